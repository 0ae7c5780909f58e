"""Plain convolutional networks: strided convolutions, and their transposes backwards."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from latentgeo.models.arguments import is_count
from latentgeo.models.heads import Posterior, PosteriorHead
from latentgeo.models.images import ImageDecoder, ImageEncoder, ImageShape, first_image, image_sides
from latentgeo.models.mlp import Activation

# A kernel of twice the stride: every pixel of a transposed convolution is met equally often.
_KERNEL, _STRIDE, _PADDING = 4, 2, 1


class ConvEncoder(ImageEncoder):
    """Strided convolutions from images to a Gaussian over the latent space.

    Each convolution, 4 × 4 with stride 2, halves the sides (rounding down); one linear layer answers the
    parameters of q(z | x). The weights have PyTorch's initialization.

    Args:
        image_shape: (C, H, W) with H and W at least 8, or C·H·W where the image is square and has one channel
            or three.
        latent_dim: latent dimension, d.
        channels: of the convolutions, image side first.
        activation: makes the module after each convolution.
        posterior: family of q(z | x), see `PosteriorHead`.

    Raises:
        ValueError: a size out of range, more convolutions than the image can be halved, or an unknown
            posterior.

    References:
        Radford, Metz and Chintala, Unsupervised Representation Learning with Deep Convolutional Generative
        Adversarial Networks, 2016, arXiv 1511.06434, for strides in place of pooling.

    Examples:
        >>> import torch
        >>> encoder = ConvEncoder((1, 8, 8), 2, channels=(8, 16))
        >>> encoder(torch.zeros(5, 1, 8, 8)).mean.shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        image_shape: ImageShape = (1, 28, 28),
        latent_dim: int = 16,
        *,
        channels: Sequence[int] = (32, 64),
        activation: Activation = nn.ReLU,
        posterior: Posterior = "diagonal",
    ) -> None:
        shape = image_sides(image_shape)
        sides = _halved(shape, channels)
        layers: list[nn.Module] = []
        for before, after in pairwise((shape[0], *channels)):
            layers += [nn.Conv2d(before, after, _KERNEL, _STRIDE, _PADDING), activation()]
        height, width = sides[-1]
        head = PosteriorHead(channels[-1] * height * width, latent_dim, posterior)
        super().__init__(shape, nn.Sequential(*layers, nn.Flatten()), head)


class ConvDecoder(ImageDecoder):
    """Transposed convolutions from the latent space to images: `ConvEncoder` backwards.

    A linear layer to the smallest images, then for each convolution of the encoder its transpose, with an
    activation between them. The weights have PyTorch's initialization.

    Args:
        latent_dim: latent dimension, d.
        image_shape: as of `ConvEncoder`.
        channels: of the images between the layers, latent side first: those of the encoder reversed.
        activation: makes the module between layers. ReLU leaves JᵀJ piecewise constant; take a
            smooth one (`nn.Softplus`, `nn.Tanh`, `nn.SiLU`) where curvature or geodesic equations matter.
        output_activation: makes the module after the last layer; None leaves it linear, as the
            logits of a Bernoulli likelihood need.

    Raises:
        ValueError: a size out of range, or more convolutions than the image can be halved.

    References:
        Dumoulin and Visin, A Guide to Convolution Arithmetic for Deep Learning, 2016, arXiv 1603.07285.
        Odena, Dumoulin and Olah, Deconvolution and Checkerboard Artifacts, 2016, doi 10.23915/distill.00003, for
        kernels of a multiple of the stride.

    Examples:
        >>> import torch
        >>> ConvDecoder(2, (1, 28, 20), channels=(16, 8), activation=nn.SiLU)(torch.zeros(5, 2)).shape
        torch.Size([5, 1, 28, 20])
    """

    def __init__(
        self,
        latent_dim: int = 16,
        image_shape: ImageShape = (1, 28, 28),
        *,
        channels: Sequence[int] = (64, 32),
        activation: Activation = nn.ReLU,
        output_activation: Activation | None = None,
    ) -> None:
        shape = image_sides(image_shape)
        sides = _halved(shape, channels)[::-1]
        layers = first_image(latent_dim, (channels[0], *sides[0]))
        for (before, after), small, large in zip(
            pairwise((*channels, shape[0])), sides[:-1], sides[1:], strict=True
        ):
            # An odd side was rounded down; the row or column it lost comes back.
            lost = (large[0] - 2 * small[0], large[1] - 2 * small[1])
            layers += [activation(), nn.ConvTranspose2d(before, after, _KERNEL, _STRIDE, _PADDING, lost)]
        if output_activation is not None:
            layers.append(output_activation())
        super().__init__(latent_dim, shape, nn.Sequential(*layers))


def _halved(shape: tuple[int, int, int], channels: Sequence[int]) -> list[tuple[int, int]]:
    """(H, W) of the image and after each convolution."""
    if len(channels) == 0 or not all(map(is_count, channels)):
        raise ValueError(f"channels: expected at least one, all positive integers, got {tuple(channels)!r}")
    if min(shape[1:]) < _STRIDE ** len(channels):
        raise ValueError(
            f"channels: expected at most {min(shape[1:]).bit_length() - 1} of them, since each halves the sides of "
            f"images {shape[1]} x {shape[2]}, got {len(channels)}"
        )
    return [(shape[1] // _STRIDE**n, shape[2] // _STRIDE**n) for n in range(len(channels) + 1)]
