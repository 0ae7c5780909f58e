"""What all networks of images share: the shape of an image, and leading dimensions that are batch."""

import math
import numbers
from collections.abc import Sequence, Sized

from jaxtyping import Float
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from latentgeo.models.arguments import check_count
from latentgeo.models.heads import PosteriorHead

ImageShape = int | Sequence[int]

_SMALLEST_SIDE = 8


class ImageEncoder(nn.Module):
    """From images to a Gaussian over the latent space: features (N, C, H, W) -> (N, F), then a head.

    Args:
        image_shape: (C, H, W).
        features: the convolutional part, on batches.
        head: makes the posterior from the features.
    """

    def __init__(self, image_shape: tuple[int, int, int], features: nn.Module, head: PosteriorHead) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.latent_dim = head.latent_dim
        self.features = features
        self.head = head

    def forward(self, x: Float[Tensor, "..."]) -> Distribution:
        """q(z | x), with batch shape (...) and event shape (d,).

        Args:
            x: images (..., C, H, W), or flat ones (..., C·H·W).

        Raises:
            ValueError: x has another shape.
        """
        images, batch = _images(x, self.image_shape)
        features = self.features(images)
        return self.head(features.reshape(*batch, features.shape[-1]))


class ImageDecoder(nn.Module):
    """From the latent space to images (..., C, H, W).

    Args:
        latent_dim: d.
        image_shape: (C, H, W).
        net: (N, d) -> (N, C, H, W).
    """

    def __init__(self, latent_dim: int, image_shape: tuple[int, int, int], net: nn.Module) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.image_shape = image_shape
        self.net = net

    def forward(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch channels height width"]:
        """Decode latent points.

        Raises:
            ValueError: the last dimension of `z` is not d.
        """
        if z.shape[-1:] != (self.latent_dim,):
            raise ValueError(f"z: expected shape (..., {self.latent_dim}), got {tuple(z.shape)}")
        images = self.net(z.reshape(-1, self.latent_dim))
        return images.reshape(*z.shape[:-1], *self.image_shape)


def image_sides(image_shape: ImageShape) -> tuple[int, int, int]:
    """(C, H, W) from itself, or from the number of values of a square image of one channel or three.

    The number is never ambiguous: D and D/3 are not both squares.

    Raises:
        ValueError: neither three positive integers nor such a number, or a side below 8.

    Examples:
        >>> image_sides(784), image_sides(3072), image_sides((1, 28, 20))
        ((1, 28, 28), (3, 32, 32), (1, 28, 20))
    """
    sides = image_shape if isinstance(image_shape, Sized) else _square_sides(image_shape)
    if len(sides) != 3 or any(not isinstance(side, numbers.Integral) for side in sides):
        raise ValueError(
            "image_shape: expected (C, H, W), or the number of values of a square image of one channel or three, "
            f"got {image_shape!r}"
        )
    channels, height, width = map(int, sides)
    if channels < 1 or min(height, width) < _SMALLEST_SIDE:
        raise ValueError(
            f"image_shape: expected at least one channel and sides of at least {_SMALLEST_SIDE} pixels, "
            f"got {(channels, height, width)!r}"
        )
    return channels, height, width


def _square_sides(values: int) -> tuple[int, ...]:
    """(C, H, W) of the square image of one channel or three that has so many values; nothing where there is none."""
    if isinstance(values, numbers.Integral):
        for channels in (1, 3):
            side = math.isqrt(max(int(values), 0) // channels)
            if channels * side**2 == values:
                return channels, side, side
    return ()


def first_image(latent_dim: int, shape: tuple[int, int, int]) -> list[nn.Module]:
    """The layers from the latent space to the smallest image of a decoder.

    Raises:
        ValueError: `latent_dim` below one.
    """
    check_count("latent_dim", latent_dim)
    return [nn.Linear(latent_dim, math.prod(shape)), nn.Unflatten(1, shape)]


def _images(x: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, Size]:
    """`x` as (N, C, H, W), and its leading dimensions."""
    values = math.prod(shape)
    if x.shape[-3:] == shape:
        batch = x.shape[:-3]
    elif x.shape[-1:] == (values,):
        batch = x.shape[:-1]
    else:
        raise ValueError(
            f"x: expected shape (..., {', '.join(map(str, shape))}) or (..., {values}), got {tuple(x.shape)}"
        )
    return x.reshape(-1, *shape), batch
