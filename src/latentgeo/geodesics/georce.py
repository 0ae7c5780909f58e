r"""Geodesics as an optimal control problem, solved in sweeps over the curve.

The discrete energy of a curve z_0, ..., z_T is that of the controls u_t = z_{t+1} - z_t,

    minimize T/2 Σ_t u_tᵀ W_t u_t   over u with z_{t+1} = z_t + u_t and Σ_t u_t = end - start,

where W_t is the metric on segment t. A sweep holds the W_t, and the derivatives by the points of what is left (the
costates), as they are. Let g_j be the gradient of the energy by the inner points z_j. The curve z + p with steps
q_t = p_{t+1} - p_t is stationary for this linear-quadratic problem where the flux T W_t q_t drops by -g_j at z_j:

    T W_{j-1} q_{j-1} - T W_j q_j = -g_j,   so that   q_t = W_t⁻¹ (c_t - μ) / T   with   c_t = Σ_{j <= t} g_j,

and the multiplier μ of the end is what makes the q_t add up to zero,

    μ = (Σ_t W_t⁻¹)⁻¹ Σ_t W_t⁻¹ c_t.

Two cumulative sums and T inverses of d x d matrices thus solve K p = -g, with K the block-tridiagonal stiffness
matrix of the W_t (blocks T (W_{j-1} + W_j) and -T W_j). K is positive definite, so that p leads downhill.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.curve_energy import CurveEnergy
from latentgeo.geodesics.descent import Descent
from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.measure import mark_unresolved, measure, measured_result
from latentgeo.geodesics.options import check_counts, check_tolerances
from latentgeo.geodesics.result import GeodesicResult, Status
from latentgeo.geodesics.spline import resample
from latentgeo.metrics import Metric

_RIDGE = 1e-6  # of the mean eigenvalue of the metric along a curve, added to a metric that may be singular
_DECREASE = 1e-4  # Armijo's constant
_REJECTIONS = 20  # halvings of a step before its curve is given up
_QUIET = 15  # steps in a row within rounding of the energy, without a smaller residual, that end the search
_NOISE = 16.0  # relative rounding error of an energy, in units of machine epsilon
_LENGTHS = (0.1, 64.0)  # of the first trial step of a sweep, relative to the solution of the control problem


@dataclass(frozen=True, kw_only=True)
class Georce:
    """Geodesics by sweeps that solve a control problem: the GEORCE algorithm on an energy of fourth order.

    A sweep freezes the metric on the segments and the costates, solves the linear-quadratic control problem that is
    left in closed form by cumulative sums, and goes towards its solution as far as the energy decreases. All curves
    of a batch go on together, each with its own step length, and leave when they are done.

    The original takes the metric at the left end of each segment, an energy that bunched points can game. Here it
    is the mean of both ends, and gradient and line search are those of the energy of fourth order that
    :class:`MinimizeEnergy` minimizes. The line search begins with the step length of Barzilai and Borwein, as
    measured in the last sweep: the energy may bend 4/3 times as much as the control problem, or far less on long
    curves.

    Args:
        num_segments: the number T of segments of the curve. The error of points and lengths falls with the fourth
            power of T while T is even.
        tol: bound on the residual, the relative distance sqrt(gᵀ K⁻¹ g / 2E) to the discrete geodesic in the norm
            of the energy; the relative error of the energy is about its square. None for 1e-4 in float32 and 1e-6
            in float64.
        max_steps: the number of steps, taken or shortened, after which a curve is returned as it is.

    Raises:
        ValueError: ``num_segments`` or ``max_steps`` is not a positive integer, or ``tol`` not a positive number.

    References:
        F. M. Rygaard, S. Hauberg, "GEORCE: A Fast New Control Algorithm for Computing Geodesics", 2025,
        arXiv:2505.05961. J. Barzilai, J. M. Borwein, "Two-point step size gradient methods", IMA J. Numer. Anal.
        8(1), 1988.

    Example:
        >>> import torch
        >>> from latentgeo import Georce, geodesic, pullback_metric
        >>> saddle = pullback_metric(lambda z: torch.stack([z[:, 0], z[:, 1], z[:, 0] * z[:, 1]], 1))
        >>> geodesic(saddle, torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 0.5]), solver=Georce())
        GeodesicResult(1 curves, 32 segments, d=2: 1 CONVERGED)
    """

    num_segments: int = 32
    tol: float | None = None
    max_steps: int = 300

    def __post_init__(self) -> None:
        check_counts(self, "num_segments", "max_steps")
        check_tolerances(self, "tol")

    def solve(
        self,
        metric: Metric,
        start: Float[Tensor, "b d"],
        end: Float[Tensor, "b d"],
        *,
        initial: Float[Tensor, "b k d"] | None = None,
    ) -> GeodesicResult:
        """The geodesics of a batch of pairs; see :func:`latentgeo.geodesic`.

        Arguments are those of :meth:`Solver.solve`.

        Returns:
            A :class:`GeodesicResult`; no warning is given.
        """
        with torch.inference_mode(False), torch.no_grad():
            start, end = start.detach().clone(), end.detach().clone()
            origin = torch.stack([start, end], dim=1) if initial is None else initial.detach().clone()
            objective = curve_energy(metric, start, end)
            tol = objective.default_tol if self.tol is None else self.tol
            curve = resample(origin, self.num_segments)
            found = _sweeps(metric, objective, curve[:, 1:-1], tol, self.max_steps)
            curve = torch.cat([curve[:, :1], found.inner, curve[:, -1:]], dim=1)
            measured = measure(objective, curve)
            rows = torch.arange(len(start), device=start.device)
            mark_unresolved(found.status, objective, rows, found.energy, measured)
            return measured_result(
                objective,
                curve,
                measured,
                status=found.status,
                residual=found.residual,
                steps=found.steps,
            )


@dataclass
class _Active:
    """The curves still under way; every tensor has one row a curve."""

    rows: Tensor  # number of the pair of ends
    inner: Tensor
    energy: Tensor
    gradient: Tensor
    direction: Tensor
    residual: Tensor
    length: Tensor  # of the trial step, relative to the direction
    steps: Tensor
    rejections: Tensor
    quiet: Tensor
    least: Tensor  # smallest residual so far
    finite: Tensor  # whether the last trial was

    def select(self, keep: Tensor) -> _Active:
        return _Active(**{name: value[keep] for name, value in vars(self).items()})


def _sweeps(
    metric: Metric, objective: CurveEnergy, inner: Float[Tensor, "b n d"], tol: float, max_steps: int
) -> Descent:
    """Sweeps over each curve, from where it is, until it is done.

    Every pass evaluates the energy and its gradient once for each curve under way: a curve whose step failed tries
    half of it while its neighbours go on.
    """
    rows = torch.arange(len(inner), device=inner.device)
    if inner.numel():
        energy, gradient = objective.value_and_gradient(inner, rows)
    else:  # no curve, or nothing of it to move
        whole = torch.cat([objective.start[:, None], inner, objective.end[:, None]], dim=1)
        energy = objective.energy(whole, rows) if len(rows) else inner.new_zeros(0)
        gradient = torch.zeros_like(inner)
    zero, infinite = torch.zeros_like(rows), torch.full_like(energy, torch.inf)
    begun = _Active(
        rows=rows,
        inner=inner,
        energy=energy,
        gradient=gradient,
        direction=torch.zeros_like(inner),
        residual=infinite,
        length=torch.ones_like(energy),
        steps=zero,
        rejections=zero,
        quiet=zero,
        least=infinite,
        finite=energy.isfinite(),
    )
    active, done = begun.select(rows), begun.select(rows)  # copies
    status = np.full(len(rows), Status.MAX_STEPS, dtype=object)
    while len(active.rows):
        _direct(metric, objective, active)
        lost = ~(active.energy.isfinite() & active.gradient.isfinite().all(dim=2).all(dim=1))
        failed = (active.rejections > _REJECTIONS) | active.residual.isnan()
        bound = objective.reachable(active.rows, active.energy, active.inner.shape[1] + 1, tol)
        verdicts = (
            (Status.NON_FINITE, lost | (failed & ~active.finite)),
            (
                Status.CONVERGED,
                active.residual <= bound,
            ),
            (Status.STALLED, failed | (active.quiet >= _QUIET)),
            (Status.MAX_STEPS, active.steps >= max_steps),
        )
        finished = torch.zeros_like(lost)
        for verdict, holds in verdicts:
            status[active.rows[holds & ~finished].cpu().numpy()] = verdict
            finished = finished | holds
        if bool(finished.any()):
            for name, value in vars(active).items():
                getattr(done, name)[active.rows[finished]] = value[finished]
            active = active.select(~finished)
        if len(active.rows):
            _advance(objective, active)
    return Descent(done.inner, done.energy, done.residual, done.steps, status)


def _direct(metric: Metric, objective: CurveEnergy, active: _Active) -> None:
    """The sweep: a new direction and residual for the curves whose last step was taken."""
    fresh = (active.rejections == 0).nonzero()[:, 0]
    if not len(fresh):
        return
    rows, gradient = active.rows[fresh], active.gradient[fresh]
    points = torch.cat([objective.start[rows, None], active.inner[fresh], objective.end[rows, None]], dim=1)
    block = objective.curves_at_once(points.shape[1], points.shape[2] + 1)
    objective.evaluations += points.shape[:2].numel()
    matrix = torch.cat([metric(some) for some in points.split(block)])
    direction = -solve_by_sums((matrix[:, 1:] + matrix[:, :-1]) / 2, gradient)
    decrement, energy = -_dot(gradient, direction), active.energy[fresh]
    flat = energy == 0
    residual = torch.where(flat, 0, decrement / torch.where(flat, 1, 2 * energy)).clamp_min(0).sqrt()
    quieter = residual < 0.9 * active.least[fresh]
    active.direction[fresh], active.residual[fresh] = direction, residual
    active.quiet[fresh] = torch.where(quieter, 0, active.quiet[fresh])
    active.least[fresh] = torch.minimum(active.least[fresh], residual)


def solve_by_sums(weights: Float[Tensor, "b t d d"], right: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
    """The solutions p of K p = right, with K the stiffness matrix of the weights, by two cumulative sums.

    One relative ridge, of the mean eigenvalue along a curve, stands in for what singular weights lack.

    Args:
        weights: (b, T, d, d) metrics W_t on the segments, symmetric positive semi-definite.
        right: (b, T-1, d).

    Returns:
        (b, T-1, d) solutions, with p_0 = p_T = 0 left out; NaN where a weight is not positive semi-definite.
    """
    unit = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
    scale = weights.diagonal(dim1=-2, dim2=-1).mean(dim=(1, 2))
    scale = torch.where(scale > 0, scale, 1)[:, None, None, None]
    inverse = _inverse(weights + _RIDGE * scale * unit)
    force = torch.cat([torch.zeros_like(right[:, :1]), right.cumsum(dim=1)], dim=1)
    multiplier = _inverse(inverse.sum(dim=1)) @ (inverse @ force[..., None]).sum(dim=1)
    steps = inverse @ (multiplier[:, None] - force[..., None]) / weights.shape[1]
    return steps[..., 0].cumsum(dim=1)[:, :-1]


def _advance(objective: CurveEnergy, active: _Active) -> None:
    """One trial step of every curve under way: taken, or halved for the next pass."""
    step = active.length[:, None, None] * active.direction
    slope = _dot(active.gradient, step)
    trial = active.inner + step
    energy, gradient = objective.value_and_gradient(trial, active.rows)
    active.steps = active.steps + 1
    active.finite = energy.isfinite() & gradient.isfinite().all(dim=2).all(dim=1)
    noise = _NOISE * objective.eps * active.energy
    within_noise = (energy - active.energy).abs() <= noise
    # where the energy is rounding, its slope at the trial point tells whether the step went too far
    downhill = _dot(gradient, step) <= (2 * _DECREASE - 1) * slope
    taken = active.finite & ((energy <= active.energy + _DECREASE * slope) | (within_noise & downhill))
    wide = taken[:, None, None]
    # first trial of the next sweep: pᵀ K p over the bend of the energy, both along this step
    bend = _dot(gradient, step) - slope
    model = -slope * active.length
    following = torch.where(bend > 0, model / torch.where(bend > 0, bend, 1), _LENGTHS[1]).clamp(*_LENGTHS)
    active.length = torch.where(taken, following, active.length / 2)
    active.rejections = torch.where(taken, 0, active.rejections + 1)
    active.quiet = torch.where(within_noise, active.quiet + 1, torch.where(taken, 0, active.quiet))
    active.inner = torch.where(wide, trial, active.inner)
    active.gradient = torch.where(wide, gradient, active.gradient)
    active.energy = torch.where(taken, energy, active.energy)


def _inverse(matrix: Float[Tensor, "*b d d"]) -> Float[Tensor, "*b d d"]:
    """Inverses of positive definite matrices; NaN of others."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    return torch.cholesky_inverse(torch.where((failed == 0)[..., None, None], factor, torch.nan))


def _dot(u: Tensor, v: Tensor) -> Tensor:
    return (u * v).sum(dim=(1, 2))
