"""One standard deviation for every output and every latent point."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ConstantStd(nn.Module):
    """A standard deviation that does not depend on z: σ(z) = s.

    Where learnable, the optimum given the means is s² = the mean squared residual; a Gaussian
    likelihood then needs no weight against the Kullback-Leibler term.

    Args:
        value: s, in the units of the data.
        learnable: whether log s is a parameter (True) or a buffer (False).

    Raises:
        ValueError: `value` is not a positive finite number.

    References:
        Rybkin, Daniilidis and Levine, Simple and Effective VAE Training with Calibrated Decoders,
        2021, arXiv 2006.13202.

    Examples:
        >>> import torch
        >>> ConstantStd(0.5, learnable=False).std(torch.zeros(3, 2))
        tensor(0.5000)
    """

    log_value: Tensor

    def __init__(self, value: float = 1.0, *, learnable: bool = True) -> None:
        super().__init__()
        if not 0.0 < value < math.inf:
            raise ValueError(f"value: expected a positive finite number, got {value!r}")
        log_value = torch.tensor(math.log(value))
        if learnable:
            self.log_value = nn.Parameter(log_value)
        else:
            self.register_buffer("log_value", log_value)

    def std(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, ""]:
        """The standard deviation at `z`: a scalar, which broadcasts against any mean."""
        del z
        return self.log_value.exp()
