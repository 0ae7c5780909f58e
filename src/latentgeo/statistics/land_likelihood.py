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
from latentgeo.statistics.proposal import StudentProposal, log_normal

_FEWEST = 0.2  # effective draws, as a share, below which constants are not believed
_WIDEST = math.log(2.5)  # change of a standard deviation since the draws were made, beyond which they are not
_WORN = 0.7  # share of these bounds, from which it is time to draw anew
_BARRIER = 10.0
_FARTHEST = 2.0  # logarithm of the largest change of a scale in one move


@dataclass(frozen=True)
class Parameters:
    """What is fitted: weights π (k,), feet μ (k, d), and factors B (k, d, d) of the covariances Σ = B Bᵀ."""

    weights: Float[Tensor, " k"]
    feet: Float[Tensor, "k d"]
    factors: Float[Tensor, "k d d"]


@dataclass(frozen=True)
class Draws:
    """Draws of the proposals, that make the constants.

    Attributes:
        proposal: what they are drawn from.
        factors: of the covariances for which they were made.
        logs: the logarithms there.
        log_ratio: the log of sqrt(det G) / q.
    """

    proposal: StudentProposal
    factors: Float[Tensor, "k d d"]
    logs: Logarithms
    log_ratio: Float[Tensor, "k s"]

    def constant(
        self, feet: Float[Tensor, "k d"], factors: Float[Tensor, "k d d"], squares: Float[Tensor, "k s"]
    ) -> Constant:
        """The constants, given |Log|² of the draws in the precision; infinite where there is no logarithm."""
        z = self.logs.points.double()
        control = log_normal(z, feet, factors) - self.proposal.log_density(z)
        return normalizing_constant(self.log_ratio - squares / 2, control)

    def strain(self, factors: Float[Tensor, "k d d"], constant: Constant) -> tuple[Tensor, Tensor]:
        """How near the draws come to the bounds of what is believed, at 1: in their number, and in covariances."""
        change = torch.linalg.svdvals(torch.linalg.solve(self.factors, factors)).log().abs().amax(dim=1)
        return constant.effective.log() / math.log(_FEWEST), change / _WIDEST


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
        strains = self.draws.strain(self.parameters.factors, self.constant())
        return bool((torch.stack(strains) > _WORN).any())


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
        for strain in state.draws.strain(new.factors, constant):
            penalty = penalty + _BARRIER * (move.weights @ (strain - 1).clamp_min(0).square())
        log_density = -data.squares(move) / 2 - constant.log_value[:, None]
        return move.weights.log()[:, None] + log_density, penalty

    return joint


def responsibilities(joint: Float[Tensor, "k n"]) -> Float[Tensor, "k n"]:
    """The shares of the components in each point; zero where none reaches it."""
    total = torch.logsumexp(joint, dim=0)
    return torch.where(total.isfinite(), (joint - torch.where(total.isfinite(), total, 0)).exp(), 0)


def settled(parameters: Parameters) -> Parameters:
    """The same parameters with triangular factors."""
    covariance = parameters.factors @ parameters.factors.mT
    return replace(parameters, factors=torch.linalg.cholesky(covariance))


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

    def squares(self, move: Move) -> Float[Tensor, "k n"]:
        """|Log|² in the new precisions; infinite where there is no logarithm."""
        moved = self.values
        if self.slopes is not None:
            moved = moved + torch.einsum("knij,kj->kni", self.slopes, move.feet)
        return torch.where(self.known, (moved @ move.triangle().mT).square().sum(dim=2), torch.inf)
