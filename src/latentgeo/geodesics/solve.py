"""Geodesics, distances and logarithms between pairs of points, by any solver."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.envelope import differentiable_length
from latentgeo.geodesics.first_variation import logarithms_of
from latentgeo.geodesics.minimize_energy import MinimizeEnergy
from latentgeo.geodesics.result import GeodesicResult, warn_of_failures
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_points, check_tangent, describe
from latentgeo.metrics.metric import check_metric

# Machine epsilons that the ends of initial curves may be away: of the way from start to end, and of the coordinates.
_OF_EXTENT, _OF_SIZE = 100.0, 8.0


@runtime_checkable
class Solver(Protocol):
    """Options of an algorithm, with one method that applies it to a batch of pairs.

    Example:
        A solver of one's own: paths of a graph, from which the energy is minimized.

        >>> import torch
        >>> from latentgeo import EuclideanMetric, GraphSearch, MinimizeEnergy, geodesic
        >>> from latentgeo.geodesics import Solver
        >>> class GraphThenEnergy:
        ...     def __init__(self, points):
        ...         self.graph = GraphSearch(points, num_neighbors=4)
        ...     def solve(self, metric, start, end, *, initial=None):
        ...         path = self.graph.solve(metric, start, end).points if initial is None else initial
        ...         return MinimizeEnergy().solve(metric, start, end, initial=path)
        >>> points = torch.cartesian_prod(torch.linspace(0, 3, 7), torch.linspace(0, 4, 7))
        >>> solver = GraphThenEnergy(points)
        >>> isinstance(solver, Solver)
        True
        >>> geodesic(EuclideanMetric(2), points[0], points[-1], solver=solver).length.round(decimals=3)
        tensor([5.])
    """

    def solve(
        self,
        metric: Metric,
        start: Float[Tensor, "b d"],
        end: Float[Tensor, "b d"],
        *,
        initial: Float[Tensor, "b k d"] | None = None,
    ) -> GeodesicResult:
        """The curves of a batch of pairs, without a warning of those that did not converge.

        Args:
            metric: the metric.
            start: (B, d) first points.
            end: (B, d) last points.
            initial: (B, K+1, d) curves to start from, with these ends; None for straight lines.

        Returns:
            A :class:`GeodesicResult` with a status for every curve.
        """
        ...


def geodesic(
    metric: Metric,
    start: Float[Tensor, "*#b d"],
    end: Float[Tensor, "*#b d"],
    *,
    solver: Solver | None = None,
    initial: Float[Tensor, "b k d"] | None = None,
) -> GeodesicResult:
    """Geodesics between pairs of points: curves of stationary energy E = 1/2 ∫ γ'ᵀ G(γ) γ' dt.

    Args:
        metric: the metric G.
        start: (B, d) or (d,) first points; a single point is joined to every point of the other batch.
        end: (B, d) or (d,) last points, of the same dtype and device.
        solver: :class:`MinimizeEnergy` with its defaults, if None.
        initial: (B, K+1, d) curves to start from, with the given ends, at equal steps of their parameter; straight
            lines, if None.

    Returns:
        A :class:`GeodesicResult` with a status for every curve. The curves are not differentiable;
        :func:`distance` is.

    Raises:
        TypeError: an argument is not a floating-point tensor, or the metric not a Metric.
        ValueError: shapes, dtypes or devices do not match, or ``initial`` has other ends.

    Warns:
        ConvergenceWarning: once for the batch, if a curve did not converge.

    References:
        Shao, Kumar, Fletcher 2018, arXiv:1711.08014. Arvanitidis, Hansen, Hauberg 2018, arXiv:1710.11379.

    Example:
        >>> import torch
        >>> from latentgeo import geodesic, pullback_metric
        >>> saddle = pullback_metric(lambda z: torch.stack([z[:, 0], z[:, 1], z[:, 0] * z[:, 1]], 1))
        >>> geodesic(saddle, torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 0.5]))
        GeodesicResult(1 curves, 32 segments, d=2: 1 CONVERGED)
    """
    start, end = _pairs(metric, start, end)
    if initial is not None:
        _check_initial(initial, start, end)
        initial = torch.cat([start[:, None], initial[:, 1:-1], end[:, None]], dim=1)
    result = solver_or_default(solver).solve(metric, start, end, initial=initial)
    warn_of_failures(result)
    return result


def distance(
    metric: Metric,
    start: Float[Tensor, "*#b d"],
    end: Float[Tensor, "*#b d"],
    *,
    solver: Solver | None = None,
) -> Float[Tensor, " b"]:
    """Geodesic distances d(start, end), the lengths of :func:`geodesic` curves.

    Differentiable in both ends and in the parameters of the decoder. A geodesic is a stationary curve, so that by
    the envelope theorem the derivative of its length is that of the length of the fixed curve: with respect to an
    end, ∂d/∂end = G γ'/|γ'|. Memory does not grow with the number of iterations of the solver. The theorem is of
    first derivatives: to differentiate the gradient again raises an error.

    Args:
        metric: the metric G.
        start: (B, d) or (d,).
        end: (B, d) or (d,).
        solver: :class:`MinimizeEnergy` with its defaults, if None.

    Returns:
        (B,) lengths in ambient units; NaN where the metric is not finite along the curve, without part in any
        gradient. At coincident points the gradient is zero.

    Raises:
        TypeError: an argument is not a floating-point tensor, or the metric not a Metric.
        ValueError: shapes, dtypes or devices do not match.
        RuntimeError: the gradient is differentiated again.

    Warns:
        ConvergenceWarning: once for the batch, if a curve did not converge.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapter 9, for the derivative in an end. P. Milgrom, I. Segal,
        "Envelope theorems for arbitrary choice sets", Econometrica 70, 2002, doi:10.1111/1468-0262.00296, for that in
        parameters.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, distance
        >>> a = torch.zeros(2, requires_grad=True)
        >>> distance(EuclideanMetric(2), a, torch.tensor([3.0, 4.0])).backward()
        >>> a.grad
        tensor([-0.6000, -0.8000])
    """
    start, end = _pairs(metric, start, end)
    result = solver_or_default(solver).solve(metric, start, end)
    warn_of_failures(result)
    if not torch.is_grad_enabled():
        return result.length
    return differentiable_length(metric, start, end, result)


def logmap(
    metric: Metric,
    z: Float[Tensor, "*#batch d"],
    w: Float[Tensor, "*#batch d"],
    *,
    solver: Solver | None = None,
) -> Float[Tensor, "... d"]:
    """The logarithm Log_z(w): the velocity at z of the geodesic that reaches w at time 1.

    Args:
        metric: the metric G.
        z: (..., d) foot points.
        w: (..., d) target points; broadcast against z.
        solver: :class:`MinimizeEnergy` with its defaults, if None.

    Returns:
        (..., d) tangent vectors with ``metric.norm(z, logmap) == distance``; zero where the distance is zero. Not
        differentiable.

    Raises:
        TypeError: an argument is not a floating-point tensor, or the metric not a Metric.
        ValueError: shapes, dtypes or devices do not match.

    Warns:
        ConvergenceWarning: once for the batch, if a curve did not converge.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapters 3 and 9. J. E. Marsden, M. West, "Discrete mechanics and
        variational integrators", Acta Numerica 10, 2001, for the velocity at the end of a discrete curve.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, logmap
        >>> logmap(EuclideanMetric(2), torch.zeros(2), torch.tensor([3.0, 4.0]))
        tensor([3.0000, 4.0000])
    """
    check_tangent(z, "w", w)  # the same demands as on a tangent
    shape = torch.broadcast_shapes(z.shape, w.shape)
    d = z.shape[-1]
    with torch.inference_mode(False), torch.no_grad():
        start, end = _pairs(metric, z.expand(shape).reshape(-1, d), w.expand(shape).reshape(-1, d))
        result = solver_or_default(solver).solve(metric, start, end)
        warn_of_failures(result)
        return logarithms_of(metric, result).reshape(shape)


def solver_or_default(solver: Solver | None) -> Solver:
    """The solver, :class:`MinimizeEnergy` with its defaults if None; refuses what is none."""
    if solver is None:
        return MinimizeEnergy()
    if isinstance(solver, type) or not callable(getattr(solver, "solve", None)):
        raise TypeError(f"solver must be an object such as MinimizeEnergy(), got {solver!r}")
    return solver


def _pairs(metric: Metric, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Both ends as (B, d)."""
    check_metric(metric)
    for name, z in (("start", start), ("end", end)):
        check_points(name, z)
        if z.ndim > 2:
            raise ValueError(f"{name} must have shape (B, d) or (d,), got {describe(z)}")
    if start.shape[-1] != end.shape[-1]:
        raise ValueError(f"end must have the {start.shape[-1]} coordinates of start, got {describe(end)}")
    if start.dtype != end.dtype or start.device != end.device:
        raise ValueError(
            "end must have the dtype and device of start, "
            f"got {end.dtype} on {end.device} and {start.dtype} on {start.device}"
        )
    rows = {z.shape[0] for z in (start, end) if z.ndim == 2 and z.shape[0] != 1}
    if len(rows) > 1:
        raise ValueError(
            f"start and end must hold equally many points, or one of them a single point, "
            f"got {start.shape[0]} and {end.shape[0]}"
        )
    shape = torch.broadcast_shapes(torch.atleast_2d(start).shape, torch.atleast_2d(end).shape)
    return start.expand(shape), end.expand(shape)


def _check_initial(initial: Tensor, start: Tensor, end: Tensor) -> None:
    check_points("initial", initial)
    if initial.ndim != 3 or initial.shape[::2] != start.shape or initial.shape[1] < 2:
        b, d = start.shape
        raise ValueError(f"initial must have shape ({b}, K+1, {d}) with K >= 1, got {describe(initial)}")
    if initial.dtype != start.dtype or initial.device != start.device:
        raise ValueError(f"initial must have the dtype and device of start, got {describe(initial)}")
    ends = torch.stack([start, end])
    extent, size = (end - start).abs().amax(dim=1), ends.abs().amax(dim=(0, 2))
    slack = torch.finfo(initial.dtype).eps * (_OF_EXTENT * extent + _OF_SIZE * size)
    away = (torch.stack([initial[:, 0], initial[:, -1]]) - ends).abs().amax(dim=(0, 2))
    # ends that are not finite are those of a curve that is lost anyway
    other = (~(away <= slack) & ends.isfinite().all(dim=2).all(dim=0)).nonzero()[:, 0]
    if len(other):
        worst = int(other[torch.argmax(away[other] - slack[other])])
        raise ValueError(
            f"initial must begin at start and finish at end, but curve {worst} is {float(away[worst]):.3g} away"
        )
