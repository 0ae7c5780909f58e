"""Geodesics as minimizers of the discrete curve energy: the default solver."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.curve_energy import CurveEnergy
from latentgeo.geodesics.descent import Descent, descend
from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.measure import Measure, agrees, even_steps, mark_unresolved, measure, measured_result
from latentgeo.geodesics.options import check_counts, check_tolerances
from latentgeo.geodesics.result import CurvesOfRows, GeodesicResult, Status
from latentgeo.geodesics.spline import resample
from latentgeo.metrics import Metric

_COARSEST = 16  # segments of the first curve; with fewer, curves jump across the folds of RBF decoders
_FINEST = 4  # times num_segments, to which a curve is refined that its segments do not resolve
_COARSE_TOL = 1e-2
_STARTS = 5  # where there may be several ways
_HEIGHTS = (0.5, 1.0, 0.25)  # of bows, in lengths of the straight line


@dataclass(frozen=True, kw_only=True)
class MinimizeEnergy:
    """Minimizes the energy of a curve between two points over its inner points.

    All curves of a batch go on together, each at its own pace, from curves of 16 segments to finer and finer ones.
    A curve whose energy, measured again on twice the segments, differs by more than 1% is solved with more.

    Args:
        num_segments: the number T of segments of the returned curve. The error of points and lengths falls with
            the fourth power of T while T is even.
        tol: bound on the residual, the relative distance to the discrete geodesic in the norm of the energy; the
            relative error of the energy is about its square. None for 1e-4 in float32 and 1e-6 in float64.
        max_steps: the number of steps after which a curve is returned as it is.
        num_starts: how many curves a search begins with, on few segments: the straight line, and bows to
            opposite sides of it in random directions, the same for every pair. The one that ends lowest goes
            on, as a geodesic need only be a local minimum of the energy. None for 5 where the curve found from the
            straight line crosses folds that 16 segments do not resolve, and 1 elsewhere. Where there are data,
            :class:`GraphSearch` gives another start. Without influence where ``initial`` is given.

    References:
        Shao, Kumar, Fletcher 2018, arXiv:1711.08014, for the energy of a discrete curve. J. Nocedal, S. Wright,
        "Numerical Optimization", 2006, chapter 7, for L-BFGS, here around a quadratic model of that energy.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, MinimizeEnergy, geodesic
        >>> solver = MinimizeEnergy(num_segments=8, tol=1e-3)
        >>> geodesic(EuclideanMetric(2), torch.zeros(2), torch.ones(5, 2), solver=solver)
        GeodesicResult(5 curves, 8 segments, d=2: 5 CONVERGED)

    Raises:
        ValueError: ``num_segments``, ``max_steps`` or ``num_starts`` is not a positive integer, or ``tol`` not a
            positive number.
    """

    num_segments: int = 32
    tol: float | None = None
    max_steps: int = 500
    num_starts: int | None = None

    def __post_init__(self) -> None:
        check_counts(
            self, "num_segments", "max_steps", *(["num_starts"] if self.num_starts is not None else [])
        )
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
            return self._solve(metric, start, end, None if initial is None else initial.detach().clone())

    def _solve(self, metric: Metric, start: Tensor, end: Tensor, initial: Tensor | None) -> GeodesicResult:
        objective = curve_energy(metric, start, end)
        tol = objective.default_tol if self.tol is None else self.tol
        origin = _paced_lines(objective) if initial is None else initial
        segments, b = self.num_segments, start.shape[0]
        if initial is None:
            while segments % 2 == 0 and segments // 2 >= _COARSEST:
                segments //= 2
        rows = torch.arange(b, device=start.device)
        steps = torch.zeros_like(rows)
        residual = torch.zeros_like(start[:, 0])
        status = np.full(b, Status.CONVERGED, dtype=object)
        curve = resample(origin, segments)
        rough = max(tol, _COARSE_TOL)
        doubtful = torch.ones_like(rows, dtype=torch.bool)  # whether segments may be too few
        if initial is None and (segments < self.num_segments or (self.num_starts or 1) > 1):
            found = self._descend(objective, curve, rows, steps, rough)
            curve, steps, doubtful = self._best_of_several(objective, curve, found, rough)
            while segments < self.num_segments:
                segments *= 2
                curve = resample(curve, segments)
                if segments < self.num_segments:
                    found = self._descend(objective, curve, rows, steps, rough)
                    curve, steps = _whole(curve, found), steps + found.steps

        results: tuple[Tensor, Measure] | None = None
        finer: list[CurvesOfRows] = []
        while True:
            last = segments >= _FINEST * self.num_segments
            found = self._descend(objective, curve, rows, steps, tol, check=None if last else doubtful)
            curve = _whole(curve, found)
            now = measure(objective, curve)
            mark_unresolved(found.status, objective, rows, found.energy, now)
            every = segments // self.num_segments
            if results is None:
                results = curve, now
            else:
                points, measured = results
                points[rows], measured.points[rows] = curve[:, ::every], now.points[:, ::every]
                measured.arc_length[rows] = now.arc_length[:, ::every]
                measured.length[rows], measured.energy[rows] = now.length, now.energy
            residual[rows], steps[rows] = found.residual, steps[rows] + found.steps
            status[rows.cpu().numpy()] = found.status
            again = torch.from_numpy((found.status == Status.UNRESOLVED) & (not last)).to(rows.device)
            if every > 1 and not bool(again.all()):
                finer.append((rows[~again], curve[~again]))
            if not bool(again.any()):
                break
            rows, segments = rows[again], 2 * segments
            curve = _better(
                objective, resample(curve[again], segments), resample(origin[rows], segments), rows
            )

        points, measured = results
        result = measured_result(objective, points, measured, status=status, residual=residual, steps=steps)
        return replace(result, _finer=tuple(finer))

    def _best_of_several(
        self, objective: CurveEnergy, line: Tensor, found: Descent, tol: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The curves from straight lines, or the lines, or what bows end in: those of least energy, as measured.

        With them their steps, and which curves the segments do not resolve: these cross folds, where a curve may jump
        and be longer than its line, and where there may be a way round, so that bows are tried.
        """
        curve, steps = _whole(line, found), found.steps.clone()
        everyone = torch.arange(len(curve), device=curve.device)
        now = measure(objective, curve)
        doubtful = ~agrees(objective, everyone, found.energy, now)
        rows = everyone if self.num_starts else everyone[doubtful & now.energy.isfinite()]
        if not len(rows):
            return curve, steps, doubtful
        tried, taken = [line[rows]], [steps[rows]]
        count = (self.num_starts or _STARTS) - 1
        if count:
            starts = bows(line[rows], count).flatten(0, 1)
            others = self._descend(objective, starts, rows.repeat(count), torch.zeros_like(steps), tol)
            tried.append(_whole(starts, others))
            taken.append(others.steps)
        candidates = torch.cat(tried)
        energies = measure(objective, candidates).energy.reshape(count + 1, -1)
        least, which = torch.where(energies.isfinite(), energies, torch.inf).min(dim=0)
        lower = least < torch.where(now.energy[rows].isfinite(), now.energy[rows], torch.inf)
        chosen = which[lower] * len(rows) + lower.nonzero()[:, 0]
        curve[rows[lower]], steps[rows[lower]] = candidates[chosen], torch.cat(taken)[chosen]
        doubtful[rows[lower]] = True
        return curve, steps, doubtful

    def _descend(
        self,
        objective: CurveEnergy,
        curve: Tensor,
        rows: Tensor,
        steps: Tensor,
        tol: float,
        *,
        check: Tensor | None = None,
    ) -> Descent:
        """The descent of curves ``rows``, of which those that ``check`` names, of all, may turn out unresolved."""
        return descend(
            objective,
            curve[:, 1:-1],
            rows,
            tol=tol,
            budget=self.max_steps - steps[rows],
            resolved=None if check is None else functools.partial(_resolved, objective, check),
        )


def _resolved(
    objective: CurveEnergy, doubtful: Tensor, inner: Tensor, rows: Tensor, energy: Tensor
) -> Tensor:
    """Which curves have segments enough, by a second look at the doubtful ones."""
    answer = ~doubtful[rows]
    asked = ~answer
    if bool(asked.any()):
        ends = objective.start[rows[asked], None], objective.end[rows[asked], None]
        again = measure(objective, torch.cat([ends[0], inner[asked], ends[1]], dim=1))
        answer[asked] = agrees(objective, rows[asked], energy[asked], again)
    return answer


def _paced_lines(objective: CurveEnergy) -> Float[Tensor, "b t d"]:
    """The straight lines between the ends, at steps of equal length in the metric.

    Their energy is half the square of their length, and no descent leads up: no curve ends longer than its line.
    """
    line = resample(torch.stack([objective.start, objective.end], dim=1), _COARSEST)
    measured = measure(objective, line)
    paced = even_steps(measured.points, measured.arc_length, _COARSEST)
    return torch.where(paced.isfinite().all(dim=(1, 2), keepdim=True), paced, line)


def bows(line: Float[Tensor, "b t d"], count: int) -> Float[Tensor, "k b t d"]:
    """The lines, bent sideways in pairs of opposite directions: half as high as they are long, then 1, then 1/4.

    Directions are drawn once for all lines and calls, and made orthogonal to each line.
    """
    way = line[:, -1] - line[:, 0]
    length = way.norm(dim=1)[:, None, None]
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn((count + 1) // 2, 1, line.shape[2], generator=generator, dtype=torch.float64).to(line)
    along = torch.where(length > 0, way[:, None] / torch.where(length > 0, length, 1), 0)[:, 0]
    side = drawn - (drawn * along).sum(dim=2, keepdim=True) * along
    norm = side.norm(dim=2, keepdim=True)
    side = torch.where(norm > 0, side / torch.where(norm > 0, norm, 1), 0)
    heights = torch.tensor(_HEIGHTS).repeat(len(drawn))[: len(drawn)].to(line)
    bend = heights[:, None, None] * length[:, 0] * side
    both = torch.stack([bend, -bend], dim=1).flatten(0, 1)[:count]
    height = (torch.pi * torch.linspace(0, 1, line.shape[1], dtype=line.dtype, device=line.device)).sin()
    height[[0, -1]] = 0  # which sin π is not
    return line + height[:, None] * both[:, :, None]


def _whole(curve: Tensor, found: Descent) -> Tensor:
    """The curve with the inner points that were found."""
    return torch.cat([curve[:, :1], found.inner, curve[:, -1:]], dim=1)


def _better(objective: CurveEnergy, found: Tensor, origin: Tensor, rows: Tensor) -> Tensor:
    """The curve found with too few segments, or the one it came from, whichever has less energy on more of them."""
    first = objective.energy(origin, rows) < objective.energy(found, rows)
    return torch.where(first[:, None, None], origin, found)
