"""The last layer of an encoder: features to a Gaussian over the latent space."""

import math
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from latentgeo.models.chain_normal import ChainNormal
from latentgeo.models.grid_normal import GridNormal

Posterior = Literal["diagonal", "chain", "grid"]


class PosteriorHead(nn.Module):
    """A linear layer to the parameters of q(z | x), one of three families with O(k) parameters.

    - `"diagonal"`: N(μ, diag σ²) from μ and log σ².
    - `"chain"`: precision P = L Lᵀ with L lower bidiagonal, from μ, the logarithm of the diagonal of L and
      what is below it: neighbouring coordinates depend on each other.
    - `"grid"`: the same with the coordinates on a grid, row by row (`GridNormal`). The grid is the most square
      one of k cells; where k is prime that is one row.

    The parameters of L start near those of N(0, I) with PyTorch's initialization, as σ does.

    Args:
        in_features: number of features.
        latent_dim: latent dimension, k.
        posterior: the family.

    Raises:
        ValueError: a size below one, or an unknown posterior.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2014, arXiv 1312.6114.

    Examples:
        >>> import torch
        >>> q = PosteriorHead(16, 6, "chain")(torch.zeros(5, 16))
        >>> q.batch_shape, q.event_shape
        (torch.Size([5]), torch.Size([6]))
    """

    def __init__(self, in_features: int, latent_dim: int, posterior: Posterior = "diagonal") -> None:
        super().__init__()
        for name, value in {"in_features": in_features, "latent_dim": latent_dim}.items():
            if value < 1:
                raise ValueError(f"{name}: expected a positive integer, got {value!r}")
        if posterior not in ("diagonal", "chain", "grid"):
            raise ValueError(f"posterior: expected 'diagonal', 'chain' or 'grid', got {posterior!r}")
        self.latent_dim = latent_dim
        self.posterior = posterior
        self.grid = _most_square(latent_dim)
        couplings = 0
        if posterior == "chain":
            couplings = latent_dim - 1
        elif posterior == "grid":
            couplings = GridNormal.num_parameters(self.grid)
        self._sizes = (latent_dim, latent_dim, couplings)
        self.linear = nn.Linear(in_features, sum(self._sizes))

    def forward(self, features: Float[Tensor, "*batch f"]) -> Distribution:
        """q(z | x), with batch shape (...) and event shape (k,).

        Returns:
            `Independent(Normal(mean, std), 1)`, `ChainNormal` or `GridNormal`. Their arguments are not
            validated, since that would read values and so break under `torch.func.vmap`.
        """
        # Under autocast the layer answers in few bits, too few for what is made of them from here on.
        parameters = self.linear(features).to(self.linear.weight.dtype)
        mean, log_scale, couplings = parameters.split(self._sizes, dim=-1)
        if self.posterior == "chain":
            return ChainNormal(mean, log_scale.exp(), couplings, validate_args=False)
        if self.posterior == "grid":
            return GridNormal(mean, log_scale.exp(), couplings, shape=self.grid, validate_args=False)
        normal = Normal(mean, (0.5 * log_scale).exp(), validate_args=False)
        return Independent(normal, 1, validate_args=False)


def _most_square(cells: int) -> tuple[int, int]:
    """Rows and columns, rows <= columns as near each other as rows · columns = cells lets them be."""
    rows = next(n for n in range(math.isqrt(cells), 0, -1) if cells % n == 0)
    return rows, cells // rows
