"""Distances by the shortest paths of a nearest-neighbour graph: rows of the matrix from one search each."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentgeo.geodesics.distance_pairs import Found
from latentgeo.geodesics.graph import NeighborGraph
from latentgeo.geodesics.graph_search import GraphSearch
from latentgeo.geodesics.result import Status
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import describe

_DISTANCES = 2**24  # of one job


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of the matrix, of a symmetric one what lies right of the diagonal.

    Attributes:
        number: of the job.
        rows: (a,) numbers of points of X.
        columns: how many columns there are.
        symmetric: whether the columns are the points of X, too.
    """

    number: int
    rows: Int[np.ndarray, " a"] = field(repr=False)
    columns: int
    symmetric: bool

    def __len__(self) -> int:
        whole = len(self.rows) * self.columns
        return whole - int((self.rows + 1).sum()) if self.symmetric else whole


class GraphDistances:
    """Finds rows of distances through the graph of a :class:`GraphSearch`, which is built once.

    Args:
        metric: the metric.
        x: (N, d) the points of the rows.
        y: (M, d) the points of the columns.
        solver: the points of the graph.

    Raises:
        ValueError: x is not of the dimension, dtype and device of the points of the graph.
    """

    def __init__(
        self, metric: Metric, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], solver: GraphSearch
    ) -> None:
        points = solver.points
        if x.shape[1] != points.shape[1] or x.dtype != points.dtype or x.device != points.device:
            raise ValueError(
                f"X must have the coordinates, dtype and device of the points of GraphSearch, {describe(points)} "
                f"on {points.device}, got {describe(x)} on {x.device}"
            )
        self.x, self.y = x, y
        self._metric, self._solver = metric, solver

    @functools.cached_property
    def graph(self) -> NeighborGraph:
        """The graph, built when it is first needed."""
        with torch.no_grad():
            return NeighborGraph(self._metric, self._solver.points, self._solver.num_neighbors)

    def jobs(self, *, symmetric: bool) -> list[Rows]:
        """Rows that make the whole matrix."""
        n, m = len(self.x), len(self.y)
        if not n or not m:
            return []
        parts = np.array_split(np.arange(n), -(-n * m // _DISTANCES))
        return [Rows(number, rows, m, symmetric) for number, rows in enumerate(parts)]

    def __call__(self, job: Rows) -> Found:
        """The distances of some rows, infinite where no path leads."""
        rows, columns = np.meshgrid(job.rows, np.arange(job.columns), indexing="ij")
        with torch.no_grad():
            lengths = self.graph.distances(self.x[torch.from_numpy(job.rows).to(self.x.device)], self.y)
        wanted = columns > rows if job.symmetric else np.ones_like(lengths, dtype=bool)
        status = np.full(int(wanted.sum()), Status.CONVERGED, dtype=object)
        return Found(rows[wanted], columns[wanted], lengths[wanted], status)
