"""The likelihood of mixtures of locally adaptive normals, with logarithms that are linear in the feet."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.statistics.logarithms import Logarithms
from latentgeo.statistics.normalizing_constant import Constant, normalizing_constant
from latentgeo.statistics.proposal import KernelProposal, log_normal

FEWEST = 0.1  # effective draws, as a share, below which constants are not believed
_WIDEST = math.log(2.5)  # standard deviations in those of the draws, beyond which they are not
_WORN = 0.7  # share of these bounds, from which it is time to draw anew
_BARRIER, _RIDGE = 10.0, 1e-6
_FARTHEST = 2.0  # logarithm of the largest change of a scale in one move


@dataclass(frozen=True)
class Parameters:
    """What is fitted: weights π (k,), feet μ (k, d), and factors B (k, d, d) of the covariances Σ = B Bᵀ."""

    weights: Float[Tensor, " k"]
    feet: Float[Tensor, "k d"]
    factors: Float[Tensor, "k d d"]

    @property
    def covariances(self) -> Float[Tensor, "k d d"]:
        """Σ."""
        return self.factors @ self.factors.mT


@dataclass(frozen=True)
class Draws:
    """Draws of the proposals, that make the constants.

    Attributes:
        proposal: what they are drawn from.
        logs: the logarithms there.
        log_density: the log of the density q of the proposal there.
        log_ratio: the log of sqrt(det G) / q.
    """

    proposal: KernelProposal
    logs: Logarithms
    log_density: Float[Tensor, "k s"]
    log_ratio: Float[Tensor, "k s"]

    def constant(
        self, feet: Float[Tensor, "k d"], factors: Float[Tensor, "k d d"], squares: Float[Tensor, "k s"]
    ) -> Constant:
        """The constants, given |Log|² of the draws in the precision; infinite where there is no logarithm."""
        z = self.logs.points.double()
        control = log_normal(z, feet, factors) - self.log_density
        return normalizing_constant(self.log_ratio - squares / 2, control)


@dataclass(frozen=True)
class State:
    """Parameters, and the logarithms of the data and of the draws at their feet."""

    parameters: Parameters
    data: Logarithms
    draws: Draws

    def constant(self) -> Constant:
        """The normalizing constants."""
        still = Move.none(self.parameters)
        squares = _White.of(self.draws.logs, self.parameters, None).squares(still)
        return self.draws.constant(self.parameters.feet, self.parameters.factors, squares)

    def worn(self) -> bool:
        """Whether the parameters have gone so far that it is time for new draws."""
        still = Move.none(self.parameters)
        strains = _White.of(self.draws.logs, self.parameters, None).strains(still, self.constant())
        return not bool((strains <= _WORN).all())


@dataclass(frozen=True)
class Move:
    """A change of parameters, in the frames of the factors.

    Attributes:
        weights: the new π.
        feet: η, with μ + B η for the new feet.
        lower: what makes the triangular factors L with which Σ⁻¹ becomes B⁻ᵀ Lᵀ L B⁻¹; zero for the identity.
    """

    weights: Float[Tensor, " k"]
    feet: Float[Tensor, "k d"]
    lower: Float[Tensor, "k d d"]

    @classmethod
    def none(cls, old: Parameters) -> Move:
        """No change."""
        return cls(old.weights, torch.zeros_like(old.feet), torch.zeros_like(old.factors))

    def triangle(self) -> Float[Tensor, "k d d"]:
        """The factors L, of a positive diagonal between exp -2 and exp 2, so that no move leads too far."""
        diagonal = _FARTHEST * torch.tanh(self.lower.diagonal(dim1=1, dim2=2) / _FARTHEST)
        return self.lower.tril(-1) + torch.diag_embed(diagonal.exp())

    def of(self, old: Parameters) -> Parameters:
        """The new parameters."""
        step = (old.factors @ self.feet[..., None])[..., 0]
        return Parameters(self.weights, old.feet + step, old.factors @ torch.linalg.inv(self.triangle()))


@dataclass(frozen=True)
class Slopes:
    """Derivatives by the feet of the logarithms of the data and of the draws."""

    data: Float[Tensor, "k n d d"]
    draws: Float[Tensor, "k s d d"]


Surrogate = Callable[[Move], tuple[Tensor, Tensor]]


def surrogate(state: State, slopes: Slopes | None, reg_covar: float) -> Surrogate:
    """The log π_k + log p_k(x_n) with respect to dM (k, n), and a penalty (), as a function of a move.

    Logarithms are linear in the feet, or stay as they are without slopes. The penalty ½ ρ Σ_k π_k tr Σ_k⁻¹ adds ρ to
    the diagonals of the scatter matrices. Another keeps parameters to where the draws know the constants: a component
    smaller than the space between draws, or wider than all of them, would seem to have none, and all likelihood.
    """
    old = state.parameters
    data = _White.of(state.data, old, None if slopes is None else slopes.data)
    draws = _White.of(state.draws.logs, old, None if slopes is None else slopes.draws)
    inverse = torch.linalg.inv(old.factors)

    def joint(move: Move) -> tuple[Tensor, Tensor]:
        new = move.of(old)
        constant = state.draws.constant(new.feet, new.factors, draws.squares(move))
        penalty = reg_covar / 2 * (move.weights @ (move.triangle() @ inverse).square().sum(dim=(1, 2)))
        strain = (draws.strains(move, constant) - 1).clamp_min(0).square().sum(dim=0)
        penalty = penalty + _BARRIER * (move.weights @ strain)
        log_density = -data.squares(move) / 2 - constant.log_value[:, None]
        return move.weights.log()[:, None] + log_density, penalty

    return joint


def responsibilities(joint: Float[Tensor, "k n"]) -> Float[Tensor, "k n"]:
    """The shares of the components in each point; zero where none reaches it."""
    total = torch.logsumexp(joint, dim=0)
    return torch.where(total.isfinite(), (joint - torch.where(total.isfinite(), total, 0)).exp(), 0)


def settled(parameters: Parameters) -> Parameters:
    """The same parameters with triangular factors."""
    triangle, failed = torch.linalg.cholesky_ex(parameters.covariances)
    if bool(failed.any()):  # B = (QR)ᵀ = RᵀQᵀ does without the squares of B Bᵀ
        triangle = torch.linalg.qr(parameters.factors.mT).R.mT
        sign = torch.where(triangle.diagonal(dim1=1, dim2=2) < 0, -1.0, 1.0).to(triangle)
        triangle = triangle * sign[:, None]
    return replace(parameters, factors=triangle)


@dataclass(frozen=True)
class _White:
    """Logarithms in the frames of the factors, B⁻¹ Log, linear in the feet."""

    values: Tensor
    slopes: Tensor | None
    known: Tensor

    @classmethod
    def of(cls, logs: Logarithms, parameters: Parameters, slopes: Tensor | None) -> _White:
        known = logs.values.isfinite().all(dim=2)
        inverse = torch.linalg.inv(parameters.factors)[:, None]
        values = (inverse @ torch.where(known[..., None], logs.values, 0)[..., None])[..., 0]
        return cls(values, None if slopes is None else inverse @ slopes @ parameters.factors[:, None], known)

    def moved(self, move: Move) -> Float[Tensor, "k n d"]:
        """The logarithms at the new feet."""
        if self.slopes is None:
            return self.values
        return self.values + torch.einsum("knij,kj->kni", self.slopes, move.feet)

    def strains(self, move: Move, constant: Constant) -> Float[Tensor, "2 k"]:
        """How near the draws come to the bounds of what is believed, at 1.

        First in their effective number; then in the covariance Σ, which E_p[Log Logᵀ] does not keep up with where a
        distribution is wider than all of its draws.
        """
        few = constant.effective.log() / math.log(FEWEST)
        moved = self.moved(move)
        moments = torch.einsum("ks,ksi,ksj->kij", constant.shares, moved, moved)
        unit = torch.eye(moved.shape[2], dtype=moved.dtype, device=moved.device)
        size = moments.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
        root = torch.linalg.cholesky_ex(moments + _RIDGE * torch.where(size > 0, size, 1) * unit).L
        wide = torch.linalg.solve(root, torch.linalg.inv(move.triangle()))
        return torch.stack([few, torch.linalg.matrix_norm(wide, ord=2).log() / _WIDEST])

    def squares(self, move: Move) -> Float[Tensor, "k n"]:
        """|Log|² in the new precisions; infinite where there is no logarithm."""
        moved = self.moved(move)
        return torch.where(self.known, (moved @ move.triangle().mT).square().sum(dim=2), torch.inf)
