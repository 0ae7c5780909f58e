"""The last layer of an encoder: features to a Gaussian over the latent space."""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from latentgeo.models.arguments import check_count
from latentgeo.models.chain_normal import ChainNormal
from latentgeo.models.grid_normal import GridNormal

Posterior = Literal["diagonal", "chain", "grid"]


class PosteriorHead(nn.Module):
    """A linear layer to the parameters of q(z | x), one of three families with O(k) parameters.

    - `"diagonal"`: N(μ, diag σ²) from μ and log σ².
    - `"chain"`: precision P = L Lᵀ with L lower bidiagonal (`ChainNormal`): neighbouring coordinates depend on each
      other.
    - `"grid"`: the same with the coordinates on a grid, row by row (`GridNormal`). The grid is the most square
      one of k cells; where k is prime that is one row.

    L = diag(1/σ) (I + B) comes from μ, log σ², of the variances σ² that coordinates have given those after them, and
    the couplings B, which start at zero: training starts from the diagonal family. B is in units of 1/σ, so that
    what a coupling does, and how fast it is learned, does not depend on how small σ is.

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

    _rows: Int[Tensor, " couplings"]

    def __init__(self, in_features: int, latent_dim: int, posterior: Posterior = "diagonal") -> None:
        super().__init__()
        for name, value in {"in_features": in_features, "latent_dim": latent_dim}.items():
            check_count(name, value)
        if posterior not in ("diagonal", "chain", "grid"):
            raise ValueError(f"posterior: expected 'diagonal', 'chain' or 'grid', got {posterior!r}")
        self.latent_dim = latent_dim
        self.posterior = posterior
        self.grid = _most_square(latent_dim)
        # the coordinates to the right, below and obliquely below others: the rows in which L has entries
        sites = torch.arange(latent_dim).reshape((1, -1) if posterior == "chain" else self.grid)
        rows = torch.cat([part.flatten() for part in (sites[:, 1:], sites[1:], sites[1:, 1:])])
        self.register_buffer("_rows", rows[:0] if posterior == "diagonal" else rows, persistent=False)
        self._sizes = (latent_dim, latent_dim, len(self._rows))
        self.linear = nn.Linear(in_features, sum(self._sizes))
        with torch.no_grad():
            self.linear.weight[2 * latent_dim :] = 0
            self.linear.bias[2 * latent_dim :] = 0

    def forward(self, features: Float[Tensor, "*batch f"]) -> Distribution:
        """q(z | x), with batch shape (...) and event shape (k,).

        Returns:
            `Independent(Normal(mean, std), 1)`, `ChainNormal` or `GridNormal`. Their arguments are not
            validated, since that would read values and so break under `torch.func.vmap`.
        """
        # Under autocast the layer answers in few bits, too few for what is made of them from here on.
        parameters = self.linear(features).to(self.linear.weight.dtype)
        mean, log_variance, couplings = parameters.split(self._sizes, dim=-1)
        if self.posterior == "diagonal":
            normal = Normal(mean, (0.5 * log_variance).exp(), validate_args=False)
            return Independent(normal, 1, validate_args=False)
        diagonal = (-0.5 * log_variance).exp()
        below = couplings * diagonal[..., self._rows]
        if self.posterior == "chain":
            return ChainNormal(mean, diagonal, below, validate_args=False)
        return GridNormal(mean, diagonal, below, shape=self.grid, validate_args=False)


def _most_square(cells: int) -> tuple[int, int]:
    """Rows and columns, rows <= columns as near each other as rows · columns = cells lets them be."""
    rows = next(n for n in range(math.isqrt(cells), 0, -1) if cells % n == 0)
    return rows, cells // rows
