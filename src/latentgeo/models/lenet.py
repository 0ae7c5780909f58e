"""LeNet-5, as an encoder and backwards as a decoder."""

from torch import nn

from latentgeo.models.heads import Posterior, PosteriorHead
from latentgeo.models.images import ImageDecoder, ImageEncoder, ImageShape, first_image, image_sides
from latentgeo.models.mlp import Activation

_SIDE = 32


class LeNet5Encoder(ImageEncoder):
    """LeNet-5 from images to a Gaussian over the latent space.

    C1 6@5×5, S2 halves, C3 16@5×5, S4 halves, C5 120@5×5, F6 84, each convolution and F6 followed by
    the activation; then the parameters of q(z | x). As in the paper the input is 32 × 32: smaller images, MNIST's
    28 × 28 among them, get a margin of zeros. Different from the paper: S2 and S4 are plain averages, without
    coefficient, bias and squashing; C3 sees all six maps; the activation is not scaled; the posterior takes the
    place of the radial basis functions of the output; the weights have PyTorch's initialization.

    Args:
        image_shape: (C, H, W) with H and W from 8 to 32, or C·H·W where the image is square and has one
            channel or three.
        latent_dim: latent dimension, d.
        activation: makes the module after the convolutions and F6; the paper's tanh is smooth.
        posterior: family of q(z | x), see `PosteriorHead`.

    Raises:
        ValueError: a size out of range, or an unknown posterior.

    References:
        LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998,
        doi 10.1109/5.726791.

    Examples:
        >>> import torch
        >>> LeNet5Encoder((1, 28, 28), 4)(torch.zeros(5, 1, 28, 28)).mean.shape
        torch.Size([5, 4])
    """

    def __init__(
        self,
        image_shape: ImageShape = (1, 28, 28),
        latent_dim: int = 4,
        *,
        activation: Activation = nn.Tanh,
        posterior: Posterior = "diagonal",
    ) -> None:
        shape = image_sides(image_shape)
        features = nn.Sequential(
            nn.ZeroPad2d(_margins(shape)),
            nn.Conv2d(shape[0], 6, 5),
            activation(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5),
            activation(),
            nn.AvgPool2d(2),
            nn.Conv2d(16, 120, 5),
            activation(),
            nn.Flatten(),
            nn.Linear(120, 84),
            activation(),
        )
        super().__init__(shape, features, PosteriorHead(84, latent_dim, posterior))


class LeNet5Decoder(ImageDecoder):
    """LeNet-5 backwards, from the latent space to images.

    84, 120 and 16@5×5 units, nearest-neighbour upsampling for each average, 5×5 transposed convolutions for
    the convolutions; of the resulting 32 × 32 image the middle. The weights have PyTorch's initialization.

    Args:
        latent_dim: latent dimension, d.
        image_shape: as of `LeNet5Encoder`.
        activation: makes the module between layers, smooth by default.
        output_activation: makes the module after the last layer; None leaves it linear, as the
            logits of a Bernoulli likelihood need.

    Raises:
        ValueError: a size out of range.

    References:
        LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998,
        doi 10.1109/5.726791.

    Examples:
        >>> import torch
        >>> LeNet5Decoder(4, (1, 28, 28), output_activation=torch.nn.Sigmoid)(torch.zeros(5, 4)).shape
        torch.Size([5, 1, 28, 28])
    """

    def __init__(
        self,
        latent_dim: int = 4,
        image_shape: ImageShape = (1, 28, 28),
        *,
        activation: Activation = nn.Tanh,
        output_activation: Activation | None = None,
    ) -> None:
        shape = image_sides(image_shape)
        left, right, top, bottom = _margins(shape)
        layers = [
            *first_image(latent_dim, (84, 1, 1)),
            activation(),
            nn.Conv2d(84, 120, 1),  # of 1 × 1 images: a linear layer
            activation(),
            nn.ConvTranspose2d(120, 16, 5),
            activation(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.ConvTranspose2d(16, 6, 5),
            activation(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.ConvTranspose2d(6, shape[0], 5),
            nn.ZeroPad2d((-left, -right, -top, -bottom)),
        ]
        if output_activation is not None:
            layers.append(output_activation())
        super().__init__(latent_dim, shape, nn.Sequential(*layers))


def _margins(shape: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, right, top, bottom: what an image lacks to 32 × 32."""
    if max(shape[1:]) > _SIDE:
        raise ValueError(f"image_shape: expected sides of at most {_SIDE} pixels for LeNet-5, got {shape!r}")
    vertical, horizontal = (_SIDE - side for side in shape[1:])
    return horizontal // 2, horizontal - horizontal // 2, vertical // 2, vertical - vertical // 2
