"""Grey levels as black or white, once and for all."""

import torch
from jaxtyping import Float
from torch import Tensor


def static_binarization(
    images: Float[Tensor, "*shape"], *, generator: torch.Generator | None = None
) -> Float[Tensor, "*shape"]:
    """One Bernoulli draw of every pixel, its grey level being the probability of 1.

    For a fresh draw each time an image is used pass `transform=torch.bernoulli` to `latentgeo.training.fit`.

    Args:
        images: grey levels in [0, 1], of any shape.
        generator: of the draws, on the device of `images`; None takes torch's global one.

    Returns:
        Zeros and ones, of the same shape and dtype.

    Raises:
        TypeError: the grey levels are no floating tensor.
        ValueError: a grey level is outside [0, 1], or NaN.

    References:
        Salakhutdinov and Murray, On the quantitative analysis of deep belief networks, 2008.

    Examples:
        >>> import torch
        >>> static_binarization(torch.tensor([0.0, 0.5, 1.0]), generator=torch.Generator().manual_seed(0))
        tensor([0., 0., 1.])
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        what = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images: expected a tensor of floating grey levels in [0, 1], got {what}")
    if not bool(((images >= 0.0) & (images <= 1.0)).all()):
        raise ValueError("images: expected grey levels in [0, 1], got values outside or NaN")
    return torch.bernoulli(images, generator=generator)
