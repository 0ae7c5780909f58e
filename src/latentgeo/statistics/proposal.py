"""Proposals for importance sampling in latent coordinates, that follow what they are made from however bent it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import chi2
from torch import Tensor

_DEGREES = 5.0  # of freedom: tails that bound the weights of what falls off like a normal
_WIDE = 0.1  # share of the one kernel that is as wide as everything
_NEIGHBORS = 8  # of each coordinate, from which a kernel has its shape
_RIDGE = 1e-3  # share of the covariance of everything in that of a kernel
_CELL = 2.0**-31  # half of a cell of Sobol' numbers, which keeps them off 0


@dataclass(frozen=True)
class Standard:
    """What draws are made from: uniform numbers (s,) that choose the kernel, and standard Student points (s, d)."""

    choice: Float[Tensor, " s"]
    points: Float[Tensor, "s d"]

    @classmethod
    def even(cls, count: int, dim: int, seed: int) -> Standard:
        """By scrambled Sobol' numbers, more even than independent draws."""
        engine = torch.quasirandom.SobolEngine(dim + 2, scramble=True, seed=seed)
        uniform = engine.draw(count, dtype=torch.float64) * (1 - 2 * _CELL) + _CELL
        scale = torch.from_numpy((_DEGREES / chi2.ppf(uniform[:, dim : dim + 1], _DEGREES)) ** 0.5)
        return cls(uniform[:, dim + 1], torch.special.ndtri(uniform[:, :dim]) * scale)

    @classmethod
    def independent(cls, count: int, dim: int, random: np.random.RandomState) -> Standard:
        """By independent draws."""
        scale = (_DEGREES / random.chisquare(_DEGREES, (count, 1))) ** 0.5
        points = random.standard_normal((count, dim)) * scale
        return cls(torch.from_numpy(random.random_sample(count)), torch.from_numpy(points))


@dataclass(frozen=True)
class KernelProposal:
    """Mixtures Σ_i w_i t(z; c_i, L_i) of multivariate Student kernels, one mixture for each of k components.

    Attributes:
        weights: the w_i.
        centers: the c_i.
        factors: the L_i.
    """

    weights: Float[Tensor, "k m"]
    centers: Float[Tensor, "k m d"]
    factors: Float[Tensor, "k m d d"]

    @classmethod
    def around(
        cls, points: Float[Tensor, "k n d"], shares: Float[Tensor, "k n"], count: int
    ) -> KernelProposal:
        """Kernels at points chosen by their shares, each of the shape of its neighbours, and one of the shape of all.

        Args:
            points: where there is something to cover.
            shares: how much there is at each point; of sum one.
            count: the number of kernels but one.
        """
        d = points.shape[2]
        mean = torch.einsum("kn,knd->kd", shares, points)
        away = points - mean[:, None]
        whole = torch.einsum("kn,kni,knj->kij", shares, away, away)
        size = whole.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
        unit = torch.eye(d, dtype=points.dtype, device=points.device)
        whole = whole + _RIDGE**2 * torch.where(size > 0, size, 1) * unit
        root = torch.linalg.cholesky(whole)

        level = (torch.arange(count, dtype=shares.dtype, device=shares.device) + 0.5) / count
        chosen = torch.searchsorted(shares.cumsum(dim=1), level.expand(len(shares), -1).contiguous())
        chosen = chosen.clamp_max(points.shape[1] - 1)
        centers = points.gather(1, chosen[..., None].expand(-1, -1, d))
        white = torch.linalg.solve_triangular(root, centers.mT, upper=False).mT
        near = torch.cdist(white, white).topk(min(_NEIGHBORS * d, count), dim=2, largest=False).indices
        neighbors = centers[torch.arange(len(centers), device=centers.device)[:, None, None], near]
        spread = neighbors - centers[:, :, None]
        local = torch.einsum("kmni,kmnj->kmij", spread, spread) / near.shape[2] + _RIDGE * whole[:, None]
        weights = torch.full_like(centers[..., 0], (1 - _WIDE) / count)
        return cls(
            torch.cat([torch.full_like(weights[:, :1], _WIDE), weights], dim=1),
            torch.cat([mean[:, None], centers], dim=1),
            torch.cat([root[:, None], torch.linalg.cholesky(local)], dim=1),
        )

    def of(self, k: int) -> KernelProposal:
        """The mixture of one component."""
        return KernelProposal(self.weights[k, None], self.centers[k, None], self.factors[k, None])

    def widened(self) -> KernelProposal:
        """The same mixture for one half, for the other with kernels of one shape, that of all, in Silverman's width.

        Where a few points have most of the shares, their neighbours are themselves: narrow kernels leave gaps.
        """
        count, d = self.centers.shape[1:]
        even = count ** (-1 / (d + 4)) * self.factors[:, :1]
        return KernelProposal(
            torch.cat([self.weights, self.weights], dim=1) / 2,
            torch.cat([self.centers, self.centers], dim=1),
            torch.cat([self.factors, even.expand_as(self.factors)], dim=1),
        )

    def place(self, standard: Standard) -> Float[Tensor, "k s d"]:
        """Draws."""
        cumulated = self.weights.cumsum(dim=1)
        choice = standard.choice.to(cumulated).expand(len(cumulated), -1).contiguous()
        chosen = torch.searchsorted(cumulated, choice).clamp_max(cumulated.shape[1] - 1)
        k = torch.arange(len(chosen), device=chosen.device)[:, None]
        moved = self.factors[k, chosen] @ standard.points.to(cumulated)[..., None]
        return self.centers[k, chosen] + moved[..., 0]

    def log_density(self, z: Float[Tensor, "k s d"]) -> Float[Tensor, "k s"]:
        """The logarithm of the density with respect to Lebesgue measure."""
        d = z.shape[2]
        constant = math.lgamma((_DEGREES + d) / 2) - math.lgamma(_DEGREES / 2)
        constant = constant - d / 2 * math.log(_DEGREES * math.pi)
        away = (z[:, None] - self.centers[:, :, None]).mT
        square = torch.linalg.solve_triangular(self.factors, away, upper=False).square().sum(dim=2)
        scale = self.weights.log() - self.factors.diagonal(dim1=2, dim2=3).log().sum(dim=2)
        kernels = scale[..., None] - (_DEGREES + d) / 2 * torch.log1p(square / _DEGREES)
        return constant + torch.logsumexp(kernels, dim=1)


def log_normal(
    z: Float[Tensor, "k s d"], mean: Float[Tensor, "k d"], factor: Float[Tensor, "k d d"]
) -> Float[Tensor, "k s"]:
    """The logarithm of the density of the normal distribution with covariance factor factorᵀ."""
    square = torch.linalg.solve(factor, (z - mean[:, None]).mT).square().sum(dim=1)
    log_determinant = torch.linalg.slogdet(factor).logabsdet
    return -0.5 * square - log_determinant[:, None] - z.shape[2] / 2 * math.log(2 * math.pi)
