"""Maximum likelihood of mixtures of locally adaptive normals, by expectation and maximization."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from latentgeo.geodesics import Solver
from latentgeo.geometry import log_volume_element
from latentgeo.metrics import Metric
from latentgeo.statistics.land_likelihood import (
    FEWEST,
    Draws,
    Move,
    Parameters,
    Slopes,
    State,
    Surrogate,
    responsibilities,
    settled,
    surrogate,
)
from latentgeo.statistics.logarithms import Logarithms, differences, guided, logarithms, secant
from latentgeo.statistics.normalizing_constant import Constant
from latentgeo.statistics.proposal import KernelProposal, Standard

_ROUNDS = 3  # of draws at most, to find the proposal
_DAMPING = 0.25  # of the first step, and of the one after one that did not help
_MOST_DAMPING = 256.0  # of steps so short that there is no way up
_SURROGATE_STEPS, _SURROGATE_TOL = 50, 1e-5
_START = 1e-3  # share of all points in each component, as a cluster may hold too few for a covariance


class LandFit:
    """Expectation and maximization for mixtures Σ_k π_k p_k of locally adaptive normals; one component included.

    Geodesics are what costs. Between two solves of them the logarithms are linear in the feet,
    Log_{μ + δ} = Log_μ + D δ, for the data and for the draws that make the constants, so that the likelihood is a
    function of (π, δ, Σ) that needs no geodesic. Expectation and maximization go on on it until they come to rest;
    then the geodesics are solved at the new feet, π and Σ settle there, and the step is taken if the likelihood has
    grown; else it is shortened. D is found by differences in the beginning, and by Broyden's update from then on.
    The draws stay, so that the likelihood is one smooth function, until they are too few for what has moved away.

    The papers step along E_data[Log] - E_p[Log], the gradient if D were -1, which on bent data need not lead up.

    Args:
        metric: the metric.
        solver: for the geodesics.
        points: (N, d).
        weights: (N,) of the points, of sum one.
        n_samples: the number of draws for each component.
        reg_covar: added to the diagonal of each scatter matrix.
        seed: of the draws.

    Attributes:
        bounds: the mean log-likelihood after each step that was taken.
        iterations: the number of steps, taken or not.
        converged: whether they came to an end.
    """

    def __init__(
        self,
        metric: Metric,
        solver: Solver,
        points: Float[Tensor, "n d"],
        weights: Float[Tensor, " n"],
        *,
        n_samples: int,
        reg_covar: float,
        seed: int,
    ) -> None:
        self._metric, self._solver = metric, solver
        self._points, self._weights = points, weights.double()
        with torch.no_grad():
            self._log_volume = log_volume_element(metric, points).double()
        self._standard = [Standard.even(n_samples, points.shape[1], seed + i) for i in (0, 1)]
        self._reg = reg_covar
        self.bounds: list[float] = []
        self.iterations, self.converged = 0, False

    @torch.no_grad()
    def start(self, feet: Float[Tensor, "k d"], labels: Int[Tensor, " n"]) -> State:
        """Components with their feet there, as wide as their points."""
        k = len(feet)
        data = self._logarithms(feet, self._points.expand(k, -1, -1))
        known = data.values.isfinite().all(dim=2)
        if not bool((known.any(dim=0) & (self._weights > 0)).any()):
            raise ValueError(
                "X must hold points that geodesics reach, but the metric is finite along none of them"
            )
        members = labels == torch.arange(k, device=labels.device)[:, None]
        shares = self._weights * known * (members + _START)
        totals = shares.sum(dim=1)
        shares = shares / torch.where(totals > 0, totals, 1)[:, None]
        factors = self._factors(shares, torch.where(known[..., None], data.values, 0))
        parameters = Parameters(totals / totals.sum(), feet.double(), factors)
        draws = self._draw(parameters, data, self._points.double().expand(k, -1, -1), shares)
        return self._refreshed(State(parameters, data, draws))[0]

    @torch.no_grad()
    def run(self, state: State, max_iter: int, tol: float, bar: tqdm) -> State:
        """Goes on until a step adds, or promises to add, less than ``tol`` to the mean log-likelihood."""
        state, bound = self._refreshed(state)
        slopes = Slopes(self._differences(state, state.data), self._differences(state, state.draws.logs))
        self.bounds, damping = [bound], _DAMPING
        for self.iterations in range(1, max_iter + 1):
            bar.update()
            move, gain = self._best_move(state, slopes, damping)
            if not gain >= tol:
                self.converged = True
                break
            trial = self._moved(state, move)
            slopes = _updated(slopes, state, trial)
            trial, now = self._settle(trial)
            if now > bound and trial.worn():
                trial, now = self._refreshed(trial)  # what draws have been fitted to they judge too well
            if not now > bound:
                damping = max(4 * damping, _DAMPING)
                self.converged = damping > _MOST_DAMPING
                if self.converged:
                    break
                continue
            if trial.draws.proposal is not state.draws.proposal:
                slopes = replace(slopes, draws=self._differences(trial, trial.draws.logs))
            self.converged = now - bound < tol and damping <= _DAMPING
            state, bound, damping = trial, now, damping / 4 if damping > _DAMPING / 16 else 0.0
            self.bounds.append(bound)
            bar.set_postfix(log_likelihood=f"{bound:.4g}")
            if self.converged:
                break
        return state

    @torch.no_grad()
    def finish(self, state: State) -> tuple[State, Constant, float]:
        """The state with new draws, which the parameters have not seen, the constants, and the log-likelihood."""
        state = self._redrawn(state, fresh=True)
        joint, _ = surrogate(state, None, 0.0)(Move.none(state.parameters))
        return state, state.constant(), self._mean(joint)

    def _refreshed(self, state: State) -> tuple[State, float]:
        """The state settled, with new draws as long as those that there are do not fit; -inf, if none do."""
        for _ in range(_ROUNDS):
            if not state.worn():
                settled_state, bound = self._settle(state)
                if not settled_state.worn():
                    return settled_state, bound
                state = settled_state
            state = self._redrawn(state)
        state, bound = self._settle(state)
        # a component that its draws miss seems to have no constant, and all likelihood
        return state, bound if bool((state.constant().effective >= FEWEST).all()) else -torch.inf

    def _settle(self, state: State) -> tuple[State, float]:
        """The best weights and covariances at the feet as they are, and the penalized log-likelihood."""
        move, _ = self._best_move(state, None, 0.0)
        state = replace(state, parameters=settled(move.of(state.parameters)))
        joint, penalty = surrogate(state, None, self._reg)(Move.none(state.parameters))
        return state, self._mean(joint) - float(penalty)

    def _moved(self, state: State, move: Move) -> State:
        """The state after a move, its geodesics going on from those before."""
        parameters = settled(move.of(state.parameters))
        data, logs = (
            self._logarithms(parameters.feet, some.points, some.curves)
            for some in (state.data, state.draws.logs)
        )
        return State(parameters, data, replace(state.draws, logs=logs))

    def _best_move(self, state: State, slopes: Slopes | None, damping: float) -> tuple[Move, float]:
        """The move of most penalized likelihood, less ``damping`` times half the square of the steps, and its gain.

        Without slopes the feet stay.
        """
        likelihood = surrogate(state, slopes, self._reg)
        move = best = Move.none(state.parameters)
        values: list[float] = []
        for _ in range(_SURROGATE_STEPS):
            joint, penalty = likelihood(move)
            shares = self._weights * responsibilities(joint)
            totals = shares.sum(dim=1)
            hindrance = damping / 2 * (totals @ move.feet.square().sum(dim=1))
            value = self._mean(joint) - float(penalty + hindrance)
            if values and not value > values[-1] + _SURROGATE_TOL:
                break
            values.append(value)
            best = move
            move = _maximized(likelihood, move, shares, damping, moves=slopes is not None)
        return best, values[-1] - values[0]

    def _mean(self, joint: Float[Tensor, "k n"]) -> float:
        """The mean log-likelihood with respect to Lebesgue measure, of the points that a component reaches."""
        each = torch.logsumexp(joint, dim=0) + self._log_volume
        weights = torch.where(each.isfinite(), self._weights, 0)
        return float((weights * torch.where(each.isfinite(), each, 0)).sum() / weights.sum())

    def _redrawn(self, state: State, *, fresh: bool = False) -> State:
        """The state with draws where the ones before have found something; fresh ones of other random numbers."""
        z = state.draws.logs.points.double()
        draws = self._draw(state.parameters, state.data, z, state.constant().shares, fresh=fresh)
        return replace(state, draws=draws)

    def _draw(
        self, parameters: Parameters, data: Logarithms, points: Tensor, shares: Tensor, *, fresh: bool = False
    ) -> Draws:
        """Draws around points, with their shares."""
        standard = self._standard[int(fresh)]
        proposal = KernelProposal.around(points, shares, max(1, len(standard.choice) // 2))
        z = proposal.place(standard).to(self._points)
        log_density = proposal.log_density(z.double())
        volume = log_volume_element(self._metric, z).double()
        ratio = torch.where(volume.isnan(), -torch.inf, volume) - log_density
        logs = guided(self._metric, self._solver, data, z)
        return Draws(proposal, logs, log_density, ratio)

    def _logarithms(self, feet: Tensor, points: Tensor, curves: Tensor | None = None) -> Logarithms:
        return logarithms(self._metric, self._solver, feet.to(points), points, curves)

    def _differences(self, state: State, logs: Logarithms) -> Tensor:
        return differences(self._metric, self._solver, logs, state.parameters.factors)

    def _factors(self, shares: Float[Tensor, "k n"], away: Float[Tensor, "k n d"]) -> Float[Tensor, "k d d"]:
        """Factors of the weighted scatter matrices."""
        scatter = torch.einsum("kn,kni,knj->kij", shares, away, away)
        unit = torch.eye(away.shape[2], dtype=away.dtype, device=away.device)
        return torch.linalg.cholesky(scatter + self._reg * unit)


def _maximized(
    likelihood: Surrogate, move: Move, shares: Float[Tensor, "k n"], damping: float, *, moves: bool
) -> Move:
    """The maximization step, by the method of Broyden, Fletcher, Goldfarb and Shanno."""
    feet, lower = (a.contiguous().clone().requires_grad_() for a in (move.feet, move.lower))
    totals = shares.sum(dim=1)
    optimizer = torch.optim.LBFGS(
        [feet, lower] if moves else [lower], max_iter=30, line_search_fn="strong_wolfe"
    )
    move = replace(move, weights=totals / totals.sum())

    def loss() -> float:
        optimizer.zero_grad()
        joint, penalty = likelihood(replace(move, feet=feet, lower=lower))
        mean = torch.where(shares > 0, shares * torch.where(shares > 0, joint, 0), 0).sum()
        value = penalty + damping / 2 * (totals @ feet.square().sum(dim=1)) - mean
        value.backward()
        return float(value.detach())

    with torch.enable_grad():
        optimizer.step(loss)
    found = replace(move, feet=feet.detach(), lower=lower.detach())
    finite = bool(found.feet.isfinite().all()) and bool(found.lower.isfinite().all())
    return found if finite else move


def _updated(slopes: Slopes, old: State, new: State) -> Slopes:
    """Slopes that explain how the logarithms have changed."""
    step = new.parameters.feet - old.parameters.feet
    precision = torch.cholesky_inverse(old.parameters.factors)
    return Slopes(
        secant(slopes.data, step, new.data.values - old.data.values, precision),
        secant(slopes.draws, step, new.draws.logs.values - old.draws.logs.values, precision),
    )
