"""ResNet18 for small images, as an encoder and backwards as a decoder."""

from collections.abc import Callable
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from latentgeo.models.arguments import check_count
from latentgeo.models.heads import Posterior, PosteriorHead
from latentgeo.models.images import ImageDecoder, ImageEncoder, ImageShape, first_image, image_sides
from latentgeo.models.mlp import Activation

Normalization = Callable[[int], nn.Module]

_BLOCKS = 2  # in each of the four stages
_STAGES = 4


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut: y = a(s(x) + r(x)).

    The shortcut s is the identity where the shape stays, and a 1 × 1 convolution where it changes.

    Args:
        channels: of x.
        out: of y.
        stride: of the first convolution and of the shortcut.
        activation: makes a, and the module between the convolutions.
        normalization: makes the module after each convolution from its number of channels.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        *,
        stride: int = 1,
        activation: Activation = nn.ReLU,
        normalization: Normalization = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, padding=1, bias=False),
            normalization(out),
            activation(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            normalization(out),
        )
        self.shortcut = (
            nn.Identity()
            if channels == out and stride == 1
            else nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), normalization(out))
        )
        self.activation = activation()

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n out h w"]:
        """The block at `x`."""
        return self.activation(self.shortcut(x) + self.residual(x))


class ResNet18Encoder(ImageEncoder):
    """ResNet18 from images to a Gaussian over the latent space.

    The variant for images of about 32 × 32: the paper's ResNet18 with the first layer of its networks for CIFAR-10,
    a 3 × 3 convolution of stride 1 without pooling. Then four stages of two `BasicBlock` with w, 2w, 4w, 8w
    channels, of which the last three halve the sides (rounding up); the mean over the pixels; the parameters of
    q(z | x). The weights have PyTorch's initialization.

    BatchNorm is the default, as published: in eval mode it is affine, and rows do not influence one another.
    While training they do, and a batch of one row has no statistics where the last images are 1 × 1
    (sides of 8); `normalization=lambda channels: nn.GroupNorm(8, channels)` has neither trait.

    Args:
        image_shape: (C, H, W) with H and W at least 8, or C·H·W where the image is square and has one channel
            or three.
        latent_dim: latent dimension, d.
        width: w, channels of the first stage; 64 as published.
        activation: makes the modules between layers.
        normalization: makes the module after each convolution from its number of channels.
        posterior: family of q(z | x), see `PosteriorHead`.

    Raises:
        ValueError: a size out of range, or an unknown posterior.

    References:
        He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016, arXiv 1512.03385.
        Ioffe and Szegedy, Batch Normalization, 2015, arXiv 1502.03167.

    Examples:
        >>> import torch
        >>> encoder = ResNet18Encoder((3, 32, 32), 10, width=4).eval()
        >>> encoder(torch.zeros(5, 3, 32, 32)).mean.shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        image_shape: ImageShape = (3, 32, 32),
        latent_dim: int = 256,
        *,
        width: int = 64,
        activation: Activation = nn.ReLU,
        normalization: Normalization = nn.BatchNorm2d,
        posterior: Posterior = "diagonal",
    ) -> None:
        shape = image_sides(image_shape)
        widths = _widths(width)
        stem = nn.Conv2d(shape[0], width, 3, padding=1, bias=False)
        blocks = [_stage(width, width, 1, activation, normalization)]
        for before, after in pairwise(widths):
            blocks.append(_stage(before, after, 2, activation, normalization))
        features = nn.Sequential(
            stem, normalization(width), activation(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        super().__init__(shape, features, PosteriorHead(widths[-1], latent_dim, posterior))


class ResNet18Decoder(ImageDecoder):
    """ResNet18 backwards, from the latent space to images.

    A linear layer to the smallest images of `ResNet18Encoder`, four stages of two `BasicBlock` with
    8w, 4w, 2w, w channels, nearest-neighbour upsampling between them, and a 3 × 3 convolution to the channels of the
    image. The linear layer tells the pixels apart, which the encoder's mean over them, mirrored, would not. The
    weights have PyTorch's initialization.

    Call `.eval()` before taking a metric: BatchNorm is then affine. See `ResNet18Encoder` on its alternative.

    Args:
        latent_dim: latent dimension, d.
        image_shape: as of `ResNet18Encoder`.
        width: w, channels of the last stage; 64 as published.
        activation: makes the modules between layers. ReLU leaves JᵀJ piecewise constant; take a
            smooth one (`nn.SiLU`) where curvature or geodesic equations matter.
        normalization: makes the module after each convolution of a block from its number of channels.
        output_activation: makes the module after the last layer; None leaves it linear, as the
            logits of a Bernoulli likelihood need.

    Raises:
        ValueError: a size out of range.

    References:
        He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016, arXiv 1512.03385.

    Examples:
        >>> import torch
        >>> decoder = ResNet18Decoder(10, (3, 32, 32), width=4, activation=nn.SiLU).eval()
        >>> decoder(torch.zeros(5, 10)).shape
        torch.Size([5, 3, 32, 32])
    """

    def __init__(
        self,
        latent_dim: int = 256,
        image_shape: ImageShape = (3, 32, 32),
        *,
        width: int = 64,
        activation: Activation = nn.ReLU,
        normalization: Normalization = nn.BatchNorm2d,
        output_activation: Activation | None = None,
    ) -> None:
        shape = image_sides(image_shape)
        widths = _widths(width)[::-1]
        # Halving and rounding up, as the encoder's convolutions of stride 2 do.
        sides = [(-(-shape[1] // 2**n), -(-shape[2] // 2**n)) for n in reversed(range(_STAGES))]
        layers = first_image(latent_dim, (widths[0], *sides[0]))
        layers.append(_stage(widths[0], widths[0], 1, activation, normalization))
        for (before, after), size in zip(pairwise(widths), sides[1:], strict=True):
            layers += [
                nn.Upsample(size, mode="nearest"),
                _stage(before, after, 1, activation, normalization),
            ]
        layers.append(nn.Conv2d(width, shape[0], 3, padding=1))
        if output_activation is not None:
            layers.append(output_activation())
        super().__init__(latent_dim, shape, nn.Sequential(*layers))


def _widths(width: int) -> tuple[int, ...]:
    """Channels of the stages, image side first."""
    check_count("width", width)
    return tuple(width * 2**n for n in range(_STAGES))


def _stage(
    channels: int, out: int, stride: int, activation: Activation, normalization: Normalization
) -> nn.Module:
    """Blocks of one size, of which the first comes from another."""
    first = BasicBlock(channels, out, stride=stride, activation=activation, normalization=normalization)
    more = (
        BasicBlock(out, out, activation=activation, normalization=normalization) for _ in range(_BLOCKS - 1)
    )
    return nn.Sequential(first, *more)
