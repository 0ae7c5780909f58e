"""Geodesics as solutions of the geodesic equation between two points, by SciPy's collocation, curve after curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.integrate import solve_bvp
from torch import Tensor

from latentgeo.geodesics.curve_energy import CurveEnergy
from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.measure import mark_unresolved, measure, measured_result
from latentgeo.geodesics.options import check_counts, check_tolerances
from latentgeo.geodesics.rectified import warn_if_piecewise_linear
from latentgeo.geodesics.result import GeodesicResult, Status
from latentgeo.geodesics.spline import resample
from latentgeo.geometry import geodesic_acceleration
from latentgeo.metrics import Metric

# What SciPy's status means: converged, too many nodes, a singular Jacobian, ends not met after ten meshes.
_VERDICTS = {0: Status.CONVERGED, 1: Status.MAX_STEPS, 2: Status.STALLED, 3: Status.STALLED}

_RECENT = 4  # evaluations that are remembered


@dataclass(frozen=True, kw_only=True)
class BoundaryValue:
    """Solves the geodesic equation γ'' = -Γ(γ', γ') with γ(0) = start, γ(1) = end by ``scipy.integrate.solve_bvp``.

    The equation becomes z' = v, v' = -Γ(v, v), in units of the way between the ends, and is collocated on a mesh
    that starts with T segments and is refined until the relative residual |S' - f(S)| / (1 + |f(S)|) of the
    piecewise cubic S, its root mean square over each interval, is below ``tol``. All nodes of a mesh are evaluated
    at once, in the dtype of the points; SciPy computes in float64.

    This is the baseline other programs use: one curve at a time, and local. Where the start is near a geodesic,
    Newton's method finds it in a few steps. Where it is not, the curve may end at another geodesic, longer than its
    start and converged all the same, or nowhere, with a status. The metric must be twice differentiable.

    In the result, ``residual`` is the largest of these relative residuals, ``steps`` counts the meshes, and
    ``Status.MAX_STEPS`` says that ``max_nodes`` was reached.

    Args:
        num_segments: the number T of segments of the returned curve, and of the first mesh.
        tol: bound on the residual; the error of the curve relative to the way between its ends is of this order. None
            for 1e-3 in float32, whose rounding leaves residuals of about 1e-5, and 1e-5 in float64.
        max_nodes: the number of mesh nodes after which a curve is given up.

    Warns:
        PiecewiseLinearWarning: the decoder has kinks, which the equation does not see (``solve``).

    Raises:
        ValueError: ``num_segments`` or ``max_nodes`` is not a positive integer, ``tol`` not a positive number, or
            ``max_nodes`` too small for the first mesh.

    References:
        J. Kierzenka, L. F. Shampine, "A BVP solver based on residual control and the Matlab PSE", ACM Trans. Math.
        Softw. 27(3), 2001.

    Example:
        >>> import torch
        >>> from latentgeo import BoundaryValue, geodesic, pullback_metric
        >>> saddle = pullback_metric(lambda z: torch.stack([z[:, 0], z[:, 1], z[:, 0] * z[:, 1]], 1))
        >>> geodesic(saddle, torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 0.5]), solver=BoundaryValue())
        GeodesicResult(1 curves, 32 segments, d=2: 1 CONVERGED)
    """

    num_segments: int = 32
    tol: float | None = None
    max_nodes: int = 1000

    def __post_init__(self) -> None:
        check_counts(self, "num_segments", "max_nodes")
        if self.max_nodes <= self.num_segments:
            raise ValueError(
                f"max_nodes must exceed num_segments={self.num_segments}, the segments of the first mesh, "
                f"got {self.max_nodes}"
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
            A :class:`GeodesicResult`. A curve that failed is SciPy's last one, or the one it started from where that
            is shorter or the last one not finite; no warning is given of it.
        """
        with torch.inference_mode(False), torch.no_grad():
            start, end = start.detach().clone(), end.detach().clone()
            origin = torch.stack([start, end], dim=1) if initial is None else initial.detach().clone()
            looked_at = warn_if_piecewise_linear(metric, start, end, stacklevel=4)
            objective = curve_energy(metric, start, end)
            objective.evaluations += looked_at
            return self._solve(metric, objective, resample(origin, self.num_segments))

    def _solve(
        self, metric: Metric, objective: CurveEnergy, origin: Float[Tensor, "b t d"]
    ) -> GeodesicResult:
        tol = self.tol if self.tol is not None else (1e-5 if objective.eps < 1e-12 else 1e-3)
        finite = self._energy(objective, origin).isfinite()
        solved = [
            self._one(metric, objective, curve, tol) if fine else (curve, Status.NON_FINITE, np.inf, 0)
            for curve, fine in zip(origin, finite.tolist(), strict=True)
        ]
        curve = origin.clone()
        for i, (points, *_) in enumerate(solved):
            curve[i, 1:-1] = points[1:-1]
        status = np.array([verdict for _, verdict, *_ in solved], dtype=object)
        residual, steps = (
            torch.tensor([row[k] for row in solved], dtype=dtype, device=origin.device)
            for k, dtype in ((2, origin.dtype), (3, torch.int64))
        )

        measured = measure(objective, curve)
        failed = torch.from_numpy(status != Status.CONVERGED).to(origin.device)
        if bool(failed.any()):
            before = measure(objective, origin)
            worse = failed & before.length.isfinite() & ~(measured.length <= before.length)
            curve[worse] = origin[worse]
            measured = measure(objective, curve)
        energy = self._energy(objective, curve)
        rows = torch.arange(len(origin), device=origin.device)
        mark_unresolved(status, objective, rows, energy, measured)
        status[(~failed & ~energy.isfinite()).cpu().numpy()] = Status.NON_FINITE
        return measured_result(objective, curve, measured, status=status, residual=residual, steps=steps)

    def _energy(self, objective: CurveEnergy, curves: Float[Tensor, "b t d"]) -> Float[Tensor, " b"]:
        blocks = curves.split(objective.curves_at_once(self.num_segments, 4))
        return torch.cat([objective.energy(block) for block in blocks])

    def _one(
        self, metric: Metric, objective: CurveEnergy, origin: Float[Tensor, "t d"], tol: float
    ) -> tuple[Tensor, Status, float, int]:
        """The points of one curve, its status, residual and number of meshes."""
        if torch.equal(origin, origin[:1].expand_as(origin)):  # it stays where it is
            return origin, Status.CONVERGED, 0.0, 0
        equation = _GeodesicEquation(metric, objective, origin)
        mesh = np.linspace(0, 1, len(origin))
        state = equation.state(origin)
        if not np.isfinite(equation.slope(mesh, state)).all():
            return origin, Status.NON_FINITE, np.inf, 0
        # steps to where the metric is not finite are shortened, or end in a status
        with np.errstate(all="ignore"):
            found = solve_bvp(
                equation.slope,
                equation.miss,
                mesh,
                state,
                fun_jac=equation.slope_jacobian,
                bc_jac=equation.miss_jacobian,
                tol=tol,
                max_nodes=self.max_nodes,
            )
            points = equation.points(found.sol(mesh))
        residual = float(found.rms_residuals.max())
        if not (np.isfinite(found.y).all() and np.isfinite(residual)):
            return origin, Status.NON_FINITE, np.inf, found.niter
        return points, _VERDICTS[found.status], residual, found.niter


class _GeodesicEquation:
    """The first-order system y = ((z - z_0) / s, v / s) of one curve, in units s of its extent, for SciPy.

    Args:
        metric: the metric.
        objective: counts evaluations, and knows how many points fit into memory.
        origin: the curve to start from.
    """

    def __init__(self, metric: Metric, objective: CurveEnergy, origin: Float[Tensor, "t d"]) -> None:
        self._metric, self._objective, self._origin = metric, objective, origin
        self.way = float((origin - origin[0]).double().norm(dim=1).max())
        self._recent: dict[bytes, np.ndarray] = {}
        self._end = ((origin[-1] - origin[0]).double() / self.way).cpu().numpy()

    def state(self, curve: Float[Tensor, "t d"]) -> np.ndarray:
        """(2d, t) positions and velocities at the points of a curve at equal steps."""
        z = ((curve - self._origin[0]).double() / self.way).cpu().numpy()
        return np.concatenate([z, np.gradient(z, 1 / (len(z) - 1), axis=0)], axis=1).T

    def points(self, y: np.ndarray) -> Float[Tensor, "n d"]:
        """The latent points of states (2d, n)."""
        return self._latent(y)[0]

    def slope(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(2d, n) derivatives of the states; SciPy asks again for those of the last step it took."""
        known = self._recent.get(y.tobytes())
        if known is None:
            known = np.concatenate([y[len(y) // 2 :], self._acceleration(*self._latent(y)).T])
            if len(self._recent) == _RECENT:
                del self._recent[next(iter(self._recent))]
            self._recent[y.tobytes()] = known
        return known.copy()

    def slope_jacobian(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(2d, 2d, n) derivatives of the slopes by the states, by forward differences in one batch.

        On networks of 2 and 10 latents this takes a half to a quarter of the time of torch.func's forward mode, which
        differentiates the decoder three times, and less than SciPy's differences, which come one column after the
        other, with steps below the rounding of float32.
        """
        k, n = y.shape
        d = k // 2
        state = torch.cat(self._latent(y), dim=1)
        size = state.abs() + self.way
        step = torch.finfo(state.dtype).eps ** 0.5 * size.T[:, :, None] * torch.eye(k).to(state)[:, None]
        moved = torch.cat([state[None], state + step])  # (1 + k, n, k)
        width = (moved[1:] - state).diagonal(dim1=0, dim2=2)  # (n, k), as rounded
        values = self._acceleration(*moved.reshape(-1, k).tensor_split(2, dim=1)).reshape(1 + k, n, d)
        width = (width.double() / self.way).T[:, :, None].cpu().numpy()
        jacobian = np.zeros((k, k, n))
        jacobian[:d, d:] = np.eye(d)[:, :, None]
        jacobian[d:] = ((values[1:] - values[:1]) / width).transpose(2, 0, 1)
        return jacobian

    def miss(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """How far the ends are from where they should be."""
        d = len(self._end)
        return np.concatenate([first[:d], last[:d] - self._end])

    def miss_jacobian(self, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of the miss by the first and the last state: constant."""
        d = len(self._end)
        unit = np.eye(2 * d)
        unit[d:] = 0
        return unit, np.roll(unit, d, axis=0)

    def _latent(self, y: np.ndarray) -> tuple[Tensor, Tensor]:
        """Positions and velocities (n, d) in latent units."""
        z, v = (self.way * torch.from_numpy(np.ascontiguousarray(y.T))).tensor_split(2, dim=1)
        return self._origin[0] + z.to(self._origin), v.to(self._origin)

    def _acceleration(self, z: Tensor, v: Tensor) -> np.ndarray:
        """(n, d) accelerations, in units of the way."""
        self._objective.evaluations += len(z)
        size = self._objective.curves_at_once(1, z.shape[1] + 2)
        pieces = [
            geodesic_acceleration(self._metric, *some)
            for some in zip(z.split(size), v.split(size), strict=True)
        ]
        return (torch.cat(pieces).double() / self.way).cpu().numpy()
