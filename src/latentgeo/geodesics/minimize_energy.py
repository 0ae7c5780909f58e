"""Geodesics as minimizers of the discrete curve energy: the default solver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.descent import Descent, descend
from latentgeo.geodesics.energy import CurveEnergy, curve_energy
from latentgeo.geodesics.measure import Measure, agrees, measure, measured_result
from latentgeo.geodesics.result import GeodesicResult, Status
from latentgeo.geodesics.spline import resample
from latentgeo.metrics import Metric

_COARSEST = 16  # segments of the first curve; with fewer, curves jump across the folds of RBF decoders
_FINEST = 4  # times num_segments, to which a curve is refined that its segments do not resolve
_COARSE_TOL = 1e-2


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

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, MinimizeEnergy, geodesic
        >>> solver = MinimizeEnergy(num_segments=8, tol=1e-3)
        >>> geodesic(EuclideanMetric(2), torch.zeros(2), torch.ones(5, 2), solver=solver)
        GeodesicResult(5 curves, 8 segments, d=2: 5 CONVERGED)

    Raises:
        ValueError: ``num_segments`` or ``max_steps`` is not a positive integer, or ``tol`` not a positive number.
    """

    num_segments: int = 32
    tol: float | None = None
    max_steps: int = 300

    def __post_init__(self) -> None:
        for name in ("num_segments", "max_steps"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        if self.tol is not None and (not isinstance(self.tol, int | float) or not self.tol > 0):
            raise ValueError(f"tol must be a positive number or None, got {self.tol!r}")

    def solve(
        self,
        metric: Metric,
        start: Float[Tensor, "b d"],
        end: Float[Tensor, "b d"],
        *,
        initial: Float[Tensor, "b k d"] | None = None,
    ) -> GeodesicResult:
        """The geodesics of a batch of pairs; see :func:`latentgeo.geodesic`.

        Args:
            metric: the metric.
            start: (B, d) first points.
            end: (B, d) last points.
            initial: (B, K+1, d) curves to start from, with these ends; None for straight lines.

        Returns:
            A :class:`GeodesicResult`; no warning is given.
        """
        with torch.inference_mode(False), torch.no_grad():
            start, end = start.detach().clone(), end.detach().clone()
            return self._solve(metric, start, end, None if initial is None else initial.detach().clone())

    def _solve(self, metric: Metric, start: Tensor, end: Tensor, initial: Tensor | None) -> GeodesicResult:
        objective = curve_energy(metric, start, end)
        tol = self.tol if self.tol is not None else (1e-6 if objective.eps < 1e-12 else 1e-4)
        origin = torch.stack([start, end], dim=1) if initial is None else initial
        segments, b = self.num_segments, start.shape[0]
        if initial is None:
            while segments % 2 == 0 and segments // 2 >= _COARSEST:
                segments //= 2
        rows = torch.arange(b, device=start.device)
        steps = torch.zeros_like(rows)
        residual = torch.zeros_like(start[:, 0])
        status = np.full(b, Status.CONVERGED, dtype=object)
        curve = resample(origin, segments)
        while segments < self.num_segments:
            found = self._descend(objective, curve, rows, steps, max(tol, _COARSE_TOL))
            segments *= 2
            curve, steps = resample(_whole(curve, found), segments), steps + found.steps

        results: tuple[Tensor, Measure] | None = None
        while True:
            last = segments >= _FINEST * self.num_segments
            found = self._descend(objective, curve, rows, steps, tol, check=not last)
            curve = _whole(curve, found)
            now = measure(objective, curve)
            apart = torch.from_numpy(found.status == Status.CONVERGED).to(rows.device)
            apart &= ~agrees(objective, rows, found.energy, now)
            found.status[apart.cpu().numpy()] = Status.UNRESOLVED
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
            again = torch.from_numpy(found.status == Status.UNRESOLVED).to(rows.device)
            if last or not bool(again.any()):
                break
            rows, segments = rows[again], 2 * segments
            curve = _better(
                objective, resample(curve[again], segments), resample(origin[rows], segments), rows
            )

        points, measured = results
        return measured_result(objective, points, measured, status=status, residual=residual, steps=steps)

    def _descend(
        self,
        objective: CurveEnergy,
        curve: Tensor,
        rows: Tensor,
        steps: Tensor,
        tol: float,
        *,
        check: bool = False,
    ) -> Descent:
        def resolved(inner: Tensor, rows: Tensor, energy: Tensor) -> Tensor:
            ends = objective.start[rows, None], objective.end[rows, None]
            again = measure(objective, torch.cat([ends[0], inner, ends[1]], dim=1))
            return agrees(objective, rows, energy, again)

        budget = self.max_steps - steps[rows]
        return descend(
            objective, curve[:, 1:-1], rows, tol=tol, budget=budget, resolved=resolved if check else None
        )


def _whole(curve: Tensor, found: Descent) -> Tensor:
    """The curve with the inner points that were found."""
    return torch.cat([curve[:, :1], found.inner, curve[:, -1:]], dim=1)


def _better(objective: CurveEnergy, found: Tensor, origin: Tensor, rows: Tensor) -> Tensor:
    """The curve found with too few segments, or the one it came from, whichever has less energy on more of them."""
    first = objective.energy(origin, rows) < objective.energy(found, rows)
    return torch.where(first[:, None, None], origin, found)
