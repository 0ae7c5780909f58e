"""A quadratic model of curve energies that knows the metric by a few products with Jᵀ, for many latents."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class SketchedModel:
    """The model L ⊗ Ḡ of the Hessian: second differences in time, one metric for the whole curve.

    With L = T tridiag(-1, 2, -1) it is the Hessian of T/2 Σ |z_{i+1} - z_i|² in the metric Ḡ = UᵀU, whose rows u are
    Jᵀω at points along the curve, for random signs ω: the mean of u uᵀ is that of JᵀJ. Its inverse with a ridge is

        (L ⊗ (UᵀU + ρ I))⁻¹ = L⁻¹ ⊗ (I - Uᵀ (ρ I + U Uᵀ)⁻¹ U) / ρ,

    so that nothing larger than U is held: neither a d x D Jacobian nor a d x d matrix.

    Args:
        rows: (b, r, d) the matrices U.
        segments: T.

    References:
        M. Hutchinson, "A stochastic estimator of the trace of the influence matrix", Comm. Statist. 18(3), 1989, for
        the random signs. M. Woodbury, "Inverting modified matrices", 1950.
    """

    rows: Float[Tensor, "b r d"]
    segments: int

    # Below its rank of d a sketch sees nothing of some directions: they have the ridge for their metric.
    ridge = 1e-2
    ridges = (1e-4, 1.0)

    def select(self, keep: Tensor) -> SketchedModel:
        """The models of the curves that ``keep`` picks from the batch."""
        return SketchedModel(self.rows[keep], self.segments)

    def factorised(self, ridge: Float[Tensor, " b"]) -> SketchedInverse:
        """The inverse of the model with ρ = ridge tr(Ḡ)/d."""
        mean = self.rows.square().sum(dim=(1, 2)) / self.rows.shape[2]
        shift = ridge * torch.where(mean > 0, mean, 1)
        unit = torch.eye(self.rows.shape[1], dtype=self.rows.dtype, device=self.rows.device)
        gram = self.rows @ self.rows.mT / shift[:, None, None] + unit
        return SketchedInverse(self.rows, torch.linalg.cholesky_ex(gram)[0], shift, self.segments)


@dataclass(frozen=True)
class SketchedInverse:
    """The inverse of a sketched model with its ridge ρ: U, the Cholesky factor of I + U Uᵀ/ρ, and ρ."""

    rows: Float[Tensor, "b r d"]
    factor: Float[Tensor, "b r r"]
    shift: Float[Tensor, " b"]
    segments: int

    def solve(self, right: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """The solutions x of (L ⊗ (UᵀU + ρ I)) x = right."""
        smooth = _inverse_of_second_differences(self.segments).to(right) @ right
        shift = self.shift[:, None, None]
        inside = torch.cholesky_solve(self.rows @ smooth.mT / shift, self.factor)
        return (smooth - (self.rows.mT @ inside).mT) / shift

    def select(self, keep: Tensor) -> SketchedInverse:
        """The inverses for the curves that ``keep`` picks from the batch."""
        return SketchedInverse(self.rows[keep], self.factor[keep], self.shift[keep], self.segments)


@functools.lru_cache(maxsize=64)
def _inverse_of_second_differences(segments: int) -> Tensor:
    """L⁻¹ = min(s, t) (1 - max(s, t)), the Green's function of the interval at equal steps."""
    t = torch.arange(1, segments, dtype=torch.float64) / segments
    return torch.minimum(t[:, None], t) * (1 - torch.maximum(t[:, None], t))
