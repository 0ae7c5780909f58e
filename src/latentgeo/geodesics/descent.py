"""Preconditioned L-BFGS for a batch of curves, each with its own step length, history and end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentgeo.geodesics.curve_energy import CurveEnergy, Factorised, QuadraticModel
from latentgeo.geodesics.result import Status

_MEMORY = 20  # pairs of the L-BFGS history
_TRIAL = 5  # passes between two judgements on the quadratic model, by the share of rejected steps: ...
_TRUSTED, _DISTRUSTED = 0.1, 0.3  # ... up to the first its ridge shrinks tenfold, from the second it grows
_DECREASE = 1e-4  # Armijo's constant
_CALM = 0.8  # share of the slope that may be left, of either sign, after a step lost in the rounding of the energy
_REJECTIONS = 12  # shorter and shorter trial steps along one direction before it is given up
_QUIET = (
    20  # steps in a row within rounding of the energy, without a smaller residual, that end the search: ...
)
# ... half as many, whatever the residual does, once the gain it promises is rounding too
_RIPE = 3e-2  # residual from which it can be told whether a curve has segments enough
_NOISE = 16.0  # relative rounding error of an energy, in units of machine epsilon


@dataclass(frozen=True)
class Descent:
    """Where the descent left each curve: inner points, their energy, and how it ended."""

    inner: Float[Tensor, "b n d"]
    energy: Float[Tensor, " b"]
    residual: Float[Tensor, " b"]
    steps: Int[Tensor, " b"]
    status: np.ndarray


@dataclass
class _Active:
    """The curves still under way; every tensor has one row a curve."""

    rows: Tensor  # number of the pair of ends
    inner: Tensor
    energy: Tensor
    gradient: Tensor
    direction: Tensor
    length: Tensor  # of the trial step, relative to the direction
    steps: Tensor
    rejections: Tensor
    quiet: Tensor
    least: Tensor  # smallest residual so far
    finite: Tensor  # whether the last trial was
    plain: Tensor  # whether the direction ignores the history
    ridge: Tensor
    refused: Tensor  # rejected steps since the quadratic model was judged
    checked: Tensor  # whether the curve is known to have segments enough
    model: QuadraticModel
    preconditioner: Factorised  # the model with its ridge
    history: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def select(self, keep: Tensor) -> _Active:
        chosen = {name: value[keep] for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(
            self,
            **chosen,
            model=self.model.select(keep),
            preconditioner=self.preconditioner.select(keep),
            history=[(s[keep], y[keep], rho[keep]) for s, y, rho in self.history],
        )


def descend(
    objective: CurveEnergy,
    inner: Float[Tensor, "b n d"],
    rows: Int[Tensor, " b"],
    *,
    tol: float,
    budget: Int[Tensor, " b"],
    resolved: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> Descent:
    """Minimizes the energy of each curve from where it is.

    Every pass evaluates energy and gradient once for each curve under way, at its own trial point: a curve whose
    step failed tries a shorter one while its neighbours go on. Directions are those of L-BFGS around the
    quadratic model of the energy; the Newton decrement sqrt(gᵀ H g / 2E), the relative distance to the
    minimum in the norm of the energy, decides when a curve is done.

    Args:
        objective: the discrete energy.
        inner: the inner points to start from.
        rows: which pair of ends each curve belongs to.
        tol: bound on the relative decrement.
        budget: how many trial steps each curve may take.
        resolved: tells, from inner points, rows and energies, which curves have segments enough; asked once for each
            curve on its way down, so that those that have not end early, as ``Status.UNRESOLVED``.

    References:
        J. Nocedal, S. Wright, "Numerical Optimization", 2006, chapter 7. W. Hager, H. Zhang, "A new conjugate
        gradient method with guaranteed descent", SIAM J. Optim. 16(1), 2005, for steps lost in rounding.
    """
    b = inner.shape[0]
    if not inner.numel():  # no curve, or nothing of it to move
        whole = torch.cat([objective.start[rows, None], inner, objective.end[rows, None]], dim=1)
        energy = objective.energy(whole, rows) if b else inner.new_zeros(0)
        return Descent(
            inner,
            energy,
            torch.zeros_like(energy),
            torch.zeros_like(rows),
            np.array(
                [Status.CONVERGED if finite else Status.NON_FINITE for finite in energy.isfinite()],
                dtype=object,
            ),
        )
    energy, gradient = objective.value_and_gradient(inner, rows)
    done = Descent(
        inner.clone(),
        energy.clone(),
        torch.full_like(energy, torch.inf),
        torch.zeros_like(rows),
        np.full(b, Status.MAX_STEPS, dtype=object),
    )
    at = torch.arange(b, device=inner.device)  # where the results of the active curves belong
    none = torch.zeros_like(rows)
    model = objective.quadratic_model(inner, rows)
    ridge = torch.full_like(energy, model.ridge)
    active = _Active(
        rows=rows,
        inner=inner,
        energy=energy,
        gradient=gradient,
        direction=torch.zeros_like(inner),
        length=torch.ones_like(energy),
        steps=none,
        rejections=none,
        quiet=none,
        least=torch.full_like(energy, torch.inf),
        finite=energy.isfinite(),
        plain=none.bool(),
        checked=none.bool() if resolved is not None else ~none.bool(),
        ridge=ridge,
        refused=none,
        model=model,
        preconditioner=model.factorised(ridge),
    )
    passes = judged = 0
    renewal = 10 + inner.shape[-1] // 4  # passes with one model: a Jacobian costs more with more latents
    while True:
        newton, decrement = _newton_step(active)
        flat = active.energy == 0
        residual = torch.where(
            flat, 0, (decrement / torch.where(flat, 1, 2 * active.energy)).clamp_min(0).sqrt()
        )
        fresh = active.rejections == 0
        active.direction = torch.where(_wide(fresh), -newton, active.direction)
        residual = torch.where(fresh, residual, done.residual[at])
        # what is left to gain, residual² E, is less than the energy can tell: steps lead on, but nobody sees where
        at_rounding = residual.square() <= _NOISE * objective.eps
        active.quiet = torch.where((residual < 0.9 * active.least) & ~at_rounding, 0, active.quiet)
        active.least = torch.minimum(active.least, residual)

        lost = ~(active.energy.isfinite() & active.gradient.isfinite().all(dim=2).all(dim=1))
        failed = (active.rejections > _REJECTIONS) & active.plain
        unresolved = torch.zeros_like(lost)
        ripe = ~active.checked & ~lost & (residual <= max(tol, _RIPE))
        if resolved is not None and bool(ripe.any()):
            unresolved[ripe] = ~resolved(active.inner[ripe], active.rows[ripe], active.energy[ripe])
            active.checked = active.checked | ripe
        stuck = failed | (active.quiet >= torch.where(at_rounding, _QUIET // 2, _QUIET))
        bound = objective.reachable(active.rows, active.energy, active.inner.shape[1] + 1, tol)
        verdicts = (
            (Status.NON_FINITE, lost | (failed & ~active.finite)),
            (Status.UNRESOLVED, unresolved),
            (
                Status.CONVERGED,
                (residual <= bound) | (stuck & at_rounding),
            ),
            (Status.STALLED, stuck),
            (Status.MAX_STEPS, active.steps >= budget[at]),
        )
        finished = torch.zeros_like(lost)
        for status, holds in verdicts:
            done.status[at[holds & ~finished].cpu().numpy()] = status
            finished = finished | holds
        done.inner[at], done.energy[at] = active.inner, active.energy
        done.residual[at], done.steps[at] = residual, active.steps
        if bool(finished.any()):
            keep = ~finished
            if not bool(keep.any()):
                return done
            at, active = at[keep], active.select(keep)
        _advance(active, objective)
        passes += 1
        anew = passes % renewal == 0
        if anew:
            active.model = objective.quadratic_model(active.inner, active.rows)
        if anew or passes % _TRIAL == 0:
            share = active.refused / (passes - judged)
            change = torch.where(share <= _TRUSTED, 0.1, torch.where(share >= _DISTRUSTED, 10.0, 1.0))
            active.ridge = (active.ridge * change).clamp(*model.ridges)
            active.refused, judged = torch.zeros_like(active.refused), passes
            active.preconditioner = active.model.factorised(active.ridge)


def _newton_step(active: _Active) -> tuple[Tensor, Tensor]:
    """H g and gᵀ H g, with H the inverse Hessian of L-BFGS; without history where that is no ascent direction."""
    q, weights = active.gradient, []
    for s, y, rho in reversed(active.history):
        weight = rho * _dot(s, q)
        q = q - _wide(weight) * y
        weights.append(weight)
    step = active.preconditioner.solve(q)
    for (s, y, rho), weight in zip(active.history, reversed(weights), strict=True):
        step = step + _wide(weight - rho * _dot(y, step)) * s
    decrement = _dot(active.gradient, step)
    restart = ~(decrement > 0) | active.plain
    if active.history and bool(restart.any()):
        bare = active.preconditioner.solve(active.gradient)
        step = torch.where(_wide(restart), bare, step)
        decrement = _dot(active.gradient, step)
        for _, _, rho in active.history:
            rho.masked_fill_(restart, 0)
    return step, decrement


def _advance(active: _Active, objective: CurveEnergy) -> None:
    """One trial step of every active curve: taken, or shortened for the next pass."""
    step = _wide(active.length) * active.direction
    slope = _dot(active.gradient, step)
    trial = active.inner + step
    energy, gradient = objective.value_and_gradient(trial, active.rows)
    active.steps = active.steps + 1
    active.finite = energy.isfinite() & gradient.isfinite().all(dim=2).all(dim=1)
    noise = _NOISE * objective.eps * active.energy
    within_noise = (energy - active.energy).abs() <= noise
    # where the energy is rounding, its slope at the trial point tells whether the step went too far
    downhill = _dot(gradient, step) <= -_CALM * slope
    taken = active.finite & ((energy <= active.energy + _DECREASE * slope) | (within_noise & downhill))

    change = torch.where(_wide(taken), gradient - active.gradient, 0)
    curvature = _dot(step, change)
    useful = taken & (curvature > objective.eps * (_dot(step, step) * _dot(change, change)).sqrt())
    rho = torch.where(useful, 1 / torch.where(useful, curvature, 1), 0)
    active.history.append((torch.where(_wide(taken), step, 0), change, rho))
    del active.history[:-_MEMORY]

    # the minimum of the parabola through both energies and the slope, safeguarded
    bend = 2 * (energy - active.energy - slope)
    shrink = torch.where(active.finite & (bend > 0), -slope / torch.where(bend > 0, bend, 1), 0.25).clamp(
        0.1, 0.5
    )
    active.length = torch.where(taken, 1.0, active.length * shrink)
    active.rejections = torch.where(taken, 0, active.rejections + 1)
    active.refused = torch.where(taken, active.refused, active.refused + 1)
    active.quiet = torch.where(within_noise, active.quiet + 1, torch.where(taken, 0, active.quiet))
    # a direction that fails is tried once more without the history
    exhausted = (active.rejections > _REJECTIONS) & ~active.plain
    active.plain = torch.where(taken, False, active.plain | exhausted)
    active.length = torch.where(exhausted, 1.0, active.length)
    active.rejections = torch.where(exhausted, 0, active.rejections)

    active.inner = torch.where(_wide(taken), trial, active.inner)
    active.gradient = torch.where(_wide(taken), gradient, active.gradient)
    active.energy = torch.where(taken, energy, active.energy)


def _dot(u: Tensor, v: Tensor) -> Tensor:
    return (u * v).sum(dim=(1, 2))


def _wide(x: Tensor) -> Tensor:
    return x[:, None, None]
