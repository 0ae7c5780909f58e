"""Shortest paths through a graph of latent points: approximate geodesics that know of all the ways round."""

from __future__ import annotations

import warnings
from dataclasses import KW_ONLY, dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.curve_energy import CurveEnergy
from latentgeo.geodesics.descent import descend
from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.graph import NeighborGraph
from latentgeo.geodesics.measure import even_steps, mark_unresolved, measure, measured_result
from latentgeo.geodesics.options import check_counts
from latentgeo.geodesics.result import ConvergenceWarning, GeodesicResult, Status
from latentgeo.geodesics.spline import resample
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_points, describe

_NAMED = 5  # components of a graph whose sizes a warning gives


class DisconnectedGraphWarning(ConvergenceWarning):
    """No path of the graph joins some of the pairs; the message says into which pieces the graph falls."""


@dataclass(frozen=True, eq=False)
class GraphSearch:
    """Shortest paths through the nearest-neighbour graph of latent points, its edges in Riemannian length.

    It is global where other solvers are local: of all the ways round it finds the shortest, to the accuracy of the
    graph. Its curves are polygons through the points and too long: with 10, 20 and 40 neighbours by some 5%, 2% and
    0.5% in two dimensions and by 40%, 20% and 15% in five, more points alone change little. They make good starts:

        coarse = geodesic(metric, start, end, solver=GraphSearch(latents))
        result = geodesic(metric, start, end, initial=coarse.points)

    ``Status.CONVERGED`` says that the curve is the shortest path of the graph and that its segments resolve it. How
    far it is from a geodesic is its ``residual``; ``steps`` counts the edges of the path, those by which its ends
    join the graph included; 0 without a path.

    The graph is built in each ``solve`` anew, with 3 to 5 ``N * num_neighbors`` evaluations of the metric: ask for
    many pairs at once. Edges are measured at five points: one that jumps across a fold of the decoder between them
    is found too short, though the returned length, that of the curve, may tell.

    Args:
        points: (N, d) the points of the graph, such as the latents of the training data; copied. They should lie
            where curves may pass; those where the metric is not finite are passed by.
        num_neighbors: how many nearest points, in latent coordinates, each is joined to; below N. With more of
            them paths are shorter and the graph holds together, at a cost in proportion.
        num_segments: the number T of segments of the returned curve, even in Riemannian length along the path.

    Raises:
        TypeError: ``points`` is not a floating-point tensor.
        ValueError: ``points`` is not (N, d) with N >= 2, or holds NaN or infinity; ``num_neighbors`` is not a
            positive integer below N; ``num_segments`` is not a positive integer.

    References:
        J. B. Tenenbaum, V. de Silva, J. C. Langford, "A global geometric framework for nonlinear dimensionality
        reduction", Science 290, 2000. N. Chen et al., "Fast approximate geodesics for deep generative models",
        2019, arXiv:1812.08284.

    Example:
        A ridge that ends just above the straight line, from where every way down leads to its far end:

        >>> import torch
        >>> from latentgeo import GraphSearch, geodesic, metric_from_function
        >>> def ridge(z):
        ...     x, y = z[:, 0], z[:, 1]
        ...     height = torch.exp(-4 * x**2 - (y / torch.where(y > 0, 0.3, 1.2)) ** 2)
        ...     return (1 + 100 * height)[:, None, None] * torch.eye(2)
        >>> metric = metric_from_function(ridge)
        >>> side = torch.linspace(-3, 3, 31)
        >>> grid = torch.cartesian_prod(side, side)
        >>> start, end = torch.tensor([-1.5, -0.1]), torch.tensor([1.5, -0.1])
        >>> local = geodesic(metric, start, end)
        >>> coarse = geodesic(metric, start, end, solver=GraphSearch(grid))
        >>> fine = geodesic(metric, start, end, initial=coarse.points)
        >>> [round(float(r.length), 1) for r in (local, coarse, fine)]
        [7.0, 3.9, 3.8]
    """

    points: Float[Tensor, "n d"] = field(repr=False)
    _: KW_ONLY
    num_neighbors: int = 20
    num_segments: int = 32

    def __post_init__(self) -> None:
        check_points("points", self.points)
        if self.points.ndim != 2 or len(self.points) < 2:
            raise ValueError(f"points must have shape (N, d) with N >= 2, got {describe(self.points)}")
        bad = torch.nonzero(~self.points.isfinite().all(dim=1))
        if len(bad):
            raise ValueError(
                f"points must be finite, but {len(bad)} of {len(self.points)} are not: the first is row {int(bad[0])}"
            )
        check_counts(self, "num_neighbors", "num_segments")
        if self.num_neighbors >= len(self.points):
            raise ValueError(
                f"num_neighbors must be below the number of points, {len(self.points)}, got {self.num_neighbors}"
            )
        with torch.inference_mode(False):
            object.__setattr__(self, "points", self.points.detach().clone())

    def solve(
        self,
        metric: Metric,
        start: Float[Tensor, "b d"],
        end: Float[Tensor, "b d"],
        *,
        initial: Float[Tensor, "b k d"] | None = None,
    ) -> GeodesicResult:
        """The shortest paths between a batch of pairs; see :func:`latentgeo.geodesic`.

        Arguments are those of :meth:`Solver.solve`; the points need not be of the graph, and ``initial`` has no
        influence, since the search is global.

        Returns:
            A :class:`GeodesicResult`, with the straight line where no path joins a pair.

        Raises:
            ValueError: the pairs are not of the dimension, dtype and device of ``points``.

        Warns:
            DisconnectedGraphWarning: a pair is not joined; names the components of the graph.
        """
        if start.shape[1] != self.points.shape[1]:
            raise ValueError(
                f"start and end must have the {self.points.shape[1]} coordinates of the points of GraphSearch, "
                f"got {describe(start)}"
            )
        if start.dtype != self.points.dtype or start.device != self.points.device:
            raise ValueError(
                "start and end must have the dtype and device of the points of GraphSearch, "
                f"{self.points.dtype} on {self.points.device}, got {start.dtype} on {start.device}"
            )
        with torch.inference_mode(False), torch.no_grad():
            graph = NeighborGraph(metric, self.points, self.num_neighbors)
            result = self._search(graph, metric, start.detach().clone(), end.detach().clone())
        lost = int((result.status == Status.DISCONNECTED).sum())
        if lost:
            warnings.warn(diagnosis(graph, lost, len(result)), DisconnectedGraphWarning, stacklevel=3)
        return result

    def _search(self, graph: NeighborGraph, metric: Metric, start: Tensor, end: Tensor) -> GeodesicResult:
        objective = curve_energy(metric, start, end)
        curve = resample(torch.stack([start, end], dim=1), self.num_segments)
        rows = torch.arange(len(start), device=start.device)
        edges = torch.zeros_like(rows)
        finite = rows[(start.isfinite() & end.isfinite()).all(dim=1)]
        for paths in graph.paths(start[finite], end[finite]):
            joined = finite[torch.from_numpy(paths.rows).to(rows.device)]
            curve[joined] = even_steps(paths.vertices, paths.arc_length, self.num_segments)
            edges[joined] = torch.from_numpy(paths.edges).to(rows.device)

        # a descent of no steps looks at the energy and how far from stationary it is
        found = descend(objective, curve[:, 1:-1], rows, tol=0.0, budget=torch.zeros_like(rows))
        measured = measure(objective, curve)
        status = np.full(len(start), Status.CONVERGED, dtype=object)
        mark_unresolved(status, objective, rows, found.energy, measured)
        status[(edges == 0).cpu().numpy()] = Status.DISCONNECTED
        lost = (found.status == Status.NON_FINITE) & (edges > 0).cpu().numpy()
        status[lost | ~_both_finite(objective, start, end, edges == 0)] = Status.NON_FINITE
        result = measured_result(
            objective, curve, measured, status=status, residual=found.residual, steps=edges
        )
        return replace(result, evaluations=objective.evaluations + graph.evaluations)


def _both_finite(objective: CurveEnergy, start: Tensor, end: Tensor, asked: Tensor) -> np.ndarray:
    """Whether the metric is finite at both ends of the pairs asked for; what is not asked for is."""
    finite = torch.ones_like(asked)
    if bool(asked.any()):
        for z in (start[asked], end[asked]):  # a curve that stays there has length zero, or none
            finite[asked] &= measure(objective, torch.stack([z, z], dim=1)).length.isfinite()
    return finite.cpu().numpy()


def diagnosis(graph: NeighborGraph, lost: int, pairs: int) -> str:
    """Why pairs are not joined, and what to try."""
    sizes = graph.component_sizes()
    what = f"{lost} of {pairs} pairs are not joined by a path: "
    if len(sizes) == 1:
        return (
            f"{what}the graph of {sizes[0]} points is connected, but ends have no line of finite length to their "
            f"nearest points; add points near the ends, where the metric is finite."
        )
    named = [str(size) for size in sizes[:_NAMED]]
    rest = f"{len(sizes) - _NAMED} smaller ones" if len(sizes) > _NAMED else named.pop()
    return (
        f"{what}the graph of {sizes.sum()} points falls into {len(sizes)} components of "
        f"{', '.join(named)} and {rest}{'' if len(sizes) > _NAMED else ' points'}; raise num_neighbors, "
        f"which is {graph.num_neighbors}, or add points between them."
    )
