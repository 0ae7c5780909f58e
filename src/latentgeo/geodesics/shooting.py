"""Geodesics by Newton's method on the geodesic equation as an initial value problem."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.curve_energy import CurveEnergy
from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.measure import Measure, agrees, measure, measured_result
from latentgeo.geodesics.minimize_energy import MinimizeEnergy
from latentgeo.geodesics.multiple_shooting import GeodesicFlow, newton
from latentgeo.geodesics.options import check_counts, check_tolerances
from latentgeo.geodesics.rectified import warn_if_piecewise_linear
from latentgeo.geodesics.result import GeodesicResult, Status
from latentgeo.geodesics.spline import resample, velocities
from latentgeo.metrics import Metric

_SHOTS = (16, 64)  # parts of the time, each with a shot of its own; more where fewer do not meet
_WARM_TOL = 1e-3
_FINEST = 4  # times num_segments, on which a curve is measured that its segments do not resolve
_LONGER = 1.01  # times the curve it began with: Newton's method went to another geodesic


@dataclass(frozen=True, kw_only=True)
class Shooting:
    """Newton's method on the states of the geodesic at a few nodes, each shot at the next by the geodesic flow.

    A geodesic solves γ'' = -Γ(γ', γ'), for a pull-back metric γ'' = -(JᵀJ)⁻¹ Jᵀ d²F(γ', γ'), and is found to the
    accuracy of an integrator, not of segments. One shot from the start alone amplifies errors, a thousandfold on
    trained decoders; sixteen shots, of which every one meets the next in position and velocity, do not. The search
    is local: it finds a geodesic near the curve that it begins with, a rough minimizer of the energy or ``initial``.

    Args:
        num_segments: the number T of segments of the returned curve.
        max_steps: the number of Newton steps, taken or not, after which a curve is returned as it is.
        tol: bound on the residual, the size of the last Newton correction relative to the length of the curve; that
            correction is applied, so that the error is about its square. None for 1e-4 in float32, 1e-6 in float64.
        rtol: error of a step of the integrator relative to position and velocity. None for a tenth of ``tol``.
        atol: absolute error of a step in latent units. None for ``rtol`` times the latent speed of each curve.

    Raises:
        ValueError: ``num_segments`` or ``max_steps`` is not a positive integer, or a tolerance not a positive number.

    References:
        H. B. Keller, "Numerical Solution of Two Point Boundary Value Problems", 1976. J. Stoer, R. Bulirsch,
        "Introduction to Numerical Analysis", 2002, section 7.3.5, for multiple shooting.

    Example:
        >>> import torch
        >>> from latentgeo import Shooting, geodesic, metric_from_function
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> result = geodesic(half_plane, torch.tensor([-1.0, 1.0]), torch.tensor([1.0, 1.0]), solver=Shooting())
        >>> result, result.length  # 2 asinh 1
        (GeodesicResult(1 curves, 32 segments, d=2: 1 CONVERGED), tensor([1.7627]))
    """

    num_segments: int = 32
    max_steps: int = 20
    tol: float | None = None
    rtol: float | None = None
    atol: float | None = None

    def __post_init__(self) -> None:
        check_counts(self, "num_segments", "max_steps")
        check_tolerances(self, "tol", "rtol", "atol")

    def solve(
        self,
        metric: Metric,
        start: Float[Tensor, "b d"],
        end: Float[Tensor, "b d"],
        *,
        initial: Float[Tensor, "b k d"] | None = None,
    ) -> GeodesicResult:
        """The geodesics of a batch of pairs; see :func:`latentgeo.geodesic`.

        Arguments are those of :meth:`Solver.solve`; without ``initial`` Newton begins with rough minimizers.

        Returns:
            A :class:`GeodesicResult`; no warning of convergence is given. ``steps`` counts Newton steps;
            ``evaluations`` all points put through the decoder, two for each acceleration.

        Warns:
            PiecewiseLinearWarning: the decoder has kinks, of which the geodesic equation knows nothing.
        """
        looked_at = warn_if_piecewise_linear(metric, start, end, stacklevel=4)
        with torch.inference_mode(False), torch.no_grad():
            start, end = start.detach().clone(), end.detach().clone()
            return self._solve(
                metric, start, end, None if initial is None else initial.detach().clone(), looked_at
            )

    def _solve(
        self, metric: Metric, start: Tensor, end: Tensor, initial: Tensor | None, looked_at: int
    ) -> GeodesicResult:
        objective = curve_energy(metric, start, end)
        objective.evaluations += looked_at
        tol = objective.default_tol if self.tol is None else self.tol
        rtol = self.rtol if self.rtol is not None else max(tol / 10, 50 * objective.eps)
        flow = GeodesicFlow(metric, objective, rtol, self.atol)

        everyone = torch.arange(len(start), device=start.device)
        warm = self._beginning(flow, everyone, _SHOTS[0]) if initial is None else initial
        points = resample(warm, self.num_segments)
        measured = measure(objective, points)
        lost = ~measured.energy.isfinite()
        status = np.full(len(start), Status.CONVERGED, dtype=object)
        status[lost.cpu().numpy()] = Status.NON_FINITE
        finest = points.new_empty(len(points), _FINEST * self.num_segments + 1, points.shape[2])
        refined = torch.zeros_like(lost)  # curves that are not resolved by the segments that are returned
        residual, steps = torch.zeros_like(measured.length), torch.zeros_like(everyone)
        residual[lost] = torch.nan

        rows = everyone[measured.length > 0]  # a point is its own geodesic
        for shots in _SHOTS:
            if not len(rows):
                break
            begin = warm[rows]
            if shots != _SHOTS[0] and initial is None:
                begin = self._beginning(flow, rows, shots)
            nodes = torch.cat([resample(begin, shots)[:, :-1], velocities(begin, shots)[:, :-1]], dim=2)
            found = newton(flow, nodes, end[rows], tol=tol, budget=self.max_steps - steps[rows])
            fine, now, coarse, resolved = self._draw(flow, found.nodes, rows)
            verdict = found.status
            good = torch.from_numpy(verdict == Status.CONVERGED).to(rows.device) & now.energy.isfinite()
            strayed = (
                good & (now.length > _LONGER * measured.length[rows]) if initial is None else good & False
            )
            verdict[strayed.cpu().numpy()] = Status.STALLED
            verdict[(good & ~strayed & ~resolved).cpu().numpy()] = Status.UNRESOLVED
            # of curves that are no geodesics the one of less energy is kept
            better = (good & ~strayed) | (now.energy < measured.energy[rows])
            kept = rows[better]
            points[kept], finest[kept], refined[kept] = fine[better, ::_FINEST], fine[better], coarse[better]
            _put(measured, kept, _select(now, better))
            status[rows.cpu().numpy()] = verdict
            residual[rows], steps[rows] = found.residual, steps[rows] + found.steps
            rows = rows[(~good | strayed) & (steps[rows] < self.max_steps)]
        finite = measured.energy.isfinite().cpu().numpy()
        # a flow that got lost from a curve on which the metric is finite, has found no way
        status[(status == Status.NON_FINITE) & finite] = Status.STALLED
        objective.evaluations += flow.evaluations
        result = measured_result(objective, points, measured, status=status, residual=residual, steps=steps)
        rows = refined.nonzero()[:, 0]
        return replace(result, _finer=((rows, finest[rows]),)) if len(rows) else result

    def _beginning(self, flow: GeodesicFlow, rows: Tensor, num_segments: int) -> Tensor:
        """Rough minimizers of the energy, (b, num_segments + 1, d)."""
        ends = flow.objective.start[rows], flow.objective.end[rows]
        rough = MinimizeEnergy(num_segments=num_segments, tol=_WARM_TOL).solve(flow.metric, *ends)
        flow.evaluations += rough.evaluations
        return rough.points

    def _draw(
        self, flow: GeodesicFlow, nodes: Tensor, rows: Tensor
    ) -> tuple[Tensor, Measure, Tensor, Tensor]:
        """The curves through the nodes on four times the segments that are returned, and their measures.

        What gaps are left are spread over the parts. A curve is measured on as many segments as resolve it. Last come
        those that the returned segments do not resolve, and those that some do.
        """
        fine = _curve(flow, nodes, flow.objective.end[rows], _FINEST * self.num_segments)
        measured, resolved = self._measure(flow.objective, fine[:, ::_FINEST], rows)
        coarse, every = ~resolved, 2
        while every <= _FINEST and not bool(resolved.all()):
            again = (~resolved).nonzero()[:, 0]
            now, resolved[again] = self._measure(
                flow.objective, fine[again, :: _FINEST // every], rows[again]
            )
            _put(measured, again, _thinned(now, every))
            every *= 2
        return fine, measured, coarse, resolved

    def _measure(self, objective: CurveEnergy, curve: Tensor, rows: Tensor) -> tuple[Measure, Tensor]:
        now = measure(objective, curve)
        return now, agrees(objective, rows, objective.energy(curve, rows), now)


def _curve(flow: GeodesicFlow, nodes: Tensor, end: Tensor, num_segments: int) -> Tensor:
    """Points (b, T+1, d) at equal steps of the parameter."""
    shots, d = nodes.shape[1], nodes.shape[2] // 2
    pieces = num_segments // math.gcd(
        num_segments, shots
    )  # of each part, so that all the points are among them
    times = torch.linspace(0, 1, pieces + 1, dtype=nodes.dtype, device=nodes.device)
    path, arrival = flow.arrive(nodes, times / shots)
    target = torch.cat([nodes[:, 1:, :d], end[:, None]], dim=1)
    path = path + times[:, None] * (target - arrival[..., :d])[:, :, None]
    points = torch.cat([path[:, :, :-1].flatten(1, 2), end[:, None]], dim=1)
    return points[:, :: pieces * shots // num_segments]


def _put(measured: Measure, rows: Tensor, now: Measure) -> None:
    """Writes the measures of some curves into those of the batch."""
    for name, value in vars(now).items():
        getattr(measured, name)[rows] = value


def _select(measured: Measure, keep: Tensor) -> Measure:
    return Measure(**{name: value[keep] for name, value in vars(measured).items()})


def _thinned(measured: Measure, every: int) -> Measure:
    """The measures of a curve at every so manieth of its points."""
    return Measure(
        measured.points[:, ::every], measured.arc_length[:, ::every], measured.length, measured.energy
    )
