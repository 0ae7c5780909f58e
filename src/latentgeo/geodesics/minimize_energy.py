"""Geodesics as minimizers of the discrete curve energy: the default solver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.descent import descend
from latentgeo.geodesics.energy import CurveEnergy, curve_energy
from latentgeo.geodesics.measure import measure
from latentgeo.geodesics.result import GeodesicResult, Status
from latentgeo.geodesics.spline import resample
from latentgeo.metrics import Metric

_COARSEST = 16  # segments of the first curve; with fewer, curves jump across the folds of RBF decoders
_DOUBLINGS = 2  # how often segments are added to a curve that its segments do not resolve
_COARSE_TOL = 1e-2
_RESOLUTION = 0.01  # relative difference of discrete and refined energy from which a curve is unresolved


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
        if self.tol is not None and not self.tol > 0:
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
        with torch.no_grad():
            return self._solve(metric, start.detach(), end.detach(), initial)

    def _solve(self, metric: Metric, start: Tensor, end: Tensor, initial: Tensor | None) -> GeodesicResult:
        objective = curve_energy(metric, start, end)
        eps = objective.eps
        tol = self.tol if self.tol is not None else (1e-6 if eps < 1e-12 else 1e-4)
        b = start.shape[0]
        rows = torch.arange(b, device=start.device)
        steps = torch.zeros_like(rows)
        if initial is None:
            levels, origin = _levels(self.num_segments), torch.stack([start, end], dim=1)
        else:
            levels, origin = [self.num_segments], initial.detach()
        curve = origin
        residual = torch.zeros_like(start[:, 0])
        status = np.full(b, Status.CONVERGED, dtype=object)
        energy = residual
        for segments in levels:
            curve = resample(curve, segments)
            if segments == 1:  # nothing to move
                energy = objective.energy(curve, rows)
                break
            found = descend(
                objective,
                curve[:, 1:-1],
                rows,
                tol=tol if segments == self.num_segments else max(tol, _COARSE_TOL),
                budget=self.max_steps - steps,
                eps=eps,
            )
            curve = torch.cat([start[:, None], found.inner, end[:, None]], dim=1)
            steps, residual, status, energy = steps + found.steps, found.residual, found.status, found.energy
        status[~energy.isfinite().cpu().numpy()] = Status.NON_FINITE

        measured = measure(objective, curve)
        disagree = (measured.energy - energy).abs() > _RESOLUTION * measured.energy
        # what stopped for another reason keeps that reason
        disagree &= torch.from_numpy(status == Status.CONVERGED).to(disagree.device)
        every, finer = 1, curve
        while bool(disagree.any()):
            rows = rows[disagree]
            if every == 2**_DOUBLINGS:
                status[rows.cpu().numpy()] = Status.UNRESOLVED
                break
            every *= 2
            finer = self._restart(objective, origin[rows], finer[disagree], rows, every)
            found = descend(
                objective, finer[:, 1:-1], rows, tol=tol, budget=self.max_steps - steps[rows], eps=eps
            )
            finer[:, 1:-1] = found.inner
            again = measure(objective, finer)
            curve[rows], measured.points[rows] = finer[:, ::every], again.points[:, ::every]
            measured.arc_length[rows] = again.arc_length[:, ::every]
            measured.length[rows], measured.energy[rows] = again.length, again.energy
            residual[rows], steps[rows] = found.residual, steps[rows] + found.steps
            status[rows.cpu().numpy()] = found.status
            disagree = (again.energy - found.energy).abs() > _RESOLUTION * again.energy
            disagree &= torch.from_numpy(found.status == Status.CONVERGED).to(disagree.device)

        return GeodesicResult(
            points=curve,
            length=measured.length,
            energy=measured.energy,
            converged=torch.from_numpy(status == Status.CONVERGED).to(start.device),
            status=status,
            residual=residual,
            steps=steps,
            evaluations=objective.evaluations,
            _refined=measured.points,
            _arc_length=measured.arc_length,
        )

    def _restart(
        self, objective: CurveEnergy, origin: Tensor, found: Tensor, rows: Tensor, every: int
    ) -> Tensor:
        """An unresolved curve with more segments, or the one it came from, whichever has less energy there."""
        segments = every * self.num_segments
        origin, found = resample(origin, segments), resample(found, segments)
        better = objective.energy(origin, rows) < objective.energy(found, rows)
        return torch.where(better[:, None, None], origin, found)


def _levels(num_segments: int) -> list[int]:
    """The numbers of segments to solve with, each twice the one before."""
    levels = [num_segments]
    while levels[0] % 2 == 0 and levels[0] // 2 >= _COARSEST:
        levels.insert(0, levels[0] // 2)
    return levels
