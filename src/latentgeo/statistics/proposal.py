"""Heavy-tailed proposals for importance sampling in latent coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.stats import chi2
from torch import Tensor

DEGREES = 5.0  # of freedom: tails that bound the weights of what falls off like a normal
_CELL = 2.0**-31  # half of a cell of Sobol' numbers, which keeps them off 0


@dataclass(frozen=True)
class StudentProposal:
    """Multivariate Student distributions m + L t, one for each component.

    Attributes:
        mean: the m_k.
        factor: the L_k, lower triangular.
    """

    mean: Float[Tensor, "k d"]
    factor: Float[Tensor, "k d d"]

    def place(self, standard: Float[Tensor, "s d"]) -> Float[Tensor, "k s d"]:
        """The draws that standard ones become."""
        return self.mean[:, None] + standard @ self.factor.mT

    def log_density(self, z: Float[Tensor, "k s d"]) -> Float[Tensor, "k s"]:
        """The logarithm of the density with respect to Lebesgue measure."""
        d = z.shape[2]
        constant = (
            math.lgamma((DEGREES + d) / 2) - math.lgamma(DEGREES / 2) - d / 2 * math.log(DEGREES * math.pi)
        )
        square, log_determinant = mahalanobis(z, self.mean, self.factor)
        return constant - log_determinant[:, None] - (DEGREES + d) / 2 * torch.log1p(square / DEGREES)


def standard_student(count: int, dim: int, seed: int) -> Float[Tensor, "s d"]:
    """Standard Student points (count, dim) from scrambled Sobol' numbers, more even than independent draws."""
    engine = torch.quasirandom.SobolEngine(dim + 1, scramble=True, seed=seed)
    uniform = engine.draw(count, dtype=torch.float64) * (1 - 2 * _CELL) + _CELL
    normal = torch.special.ndtri(uniform[:, :dim])
    return normal * torch.from_numpy((DEGREES / chi2.ppf(uniform[:, dim:], DEGREES)) ** 0.5)


def log_normal(
    z: Float[Tensor, "k s d"], mean: Float[Tensor, "k d"], factor: Float[Tensor, "k d d"]
) -> Float[Tensor, "k s"]:
    """The logarithm of the density of the normal distribution with covariance factor factorᵀ."""
    square, log_determinant = mahalanobis(z, mean, factor)
    return -0.5 * square - log_determinant[:, None] - z.shape[2] / 2 * math.log(2 * math.pi)


def mahalanobis(z: Tensor, mean: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """|L⁻¹ (z - m)|² (k, s) and log |det L| (k,)."""
    white = torch.linalg.solve(factor, (z - mean[:, None]).mT)
    return white.square().sum(dim=1), torch.linalg.slogdet(factor).logabsdet
