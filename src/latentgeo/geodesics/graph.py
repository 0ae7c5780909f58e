"""The nearest-neighbour graph of latent points, its edges in Riemannian length, and the shortest paths through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.measure import measure
from latentgeo.metrics import Metric

_EDGES = 2**16  # straight lines measured at once; the decoder sees them in its own blocks
_DISTANCES = 2**22  # distances from sources to points held at once
_PATHS = 2**12  # paths held at once, with all their vertices


@dataclass(frozen=True)
class _Joints:
    """Where m points that are not of the graph are joined to it."""

    nearest: np.ndarray  # (m, k) numbers of points of the graph
    lengths: np.ndarray  # (m, k) of the straight lines to them; infinite where there is no edge
    radius: np.ndarray  # (m,) latent distance of the farthest of them


@dataclass(frozen=True)
class Paths:
    """Shortest paths as polygons with one number of vertices: the first is repeated where there are fewer.

    Attributes:
        rows: (b,) which pairs of ends these are.
        vertices: (b, m, d), both ends included.
        arc_length: (b, m) Riemannian length of the path up to each vertex.
        edges: (b,) numbers of edges.
    """

    rows: np.ndarray
    vertices: Float[Tensor, "b m d"]
    arc_length: Float[Tensor, "b m"]
    edges: np.ndarray


class NeighborGraph:
    """The graph that joins each of N latent points to its nearest, each edge as long as the straight line on it.

    Points i and j are joined if one is among the ``num_neighbors`` points nearest to the other, in the latent
    coordinates, and the line between them has a finite length

        ℓ_ij = ∫ |z_j - z_i|_G dt   along z(t) = z_i + t (z_j - z_i),

    measured to fourth order from five points. Distances are the least sums of ℓ over paths: never below those of the
    metric, and near them where points are dense and neighbours many. Other points are joined to their
    ``num_neighbors`` nearest, and to each other directly where they are as near as those. They end paths and are
    never passed through, so that no distance depends on what else is asked for. Points that coincide count once.

    Args:
        metric: the metric, evaluated here for all edges.
        points: (N, d) finite points, N >= 1.
        num_neighbors: how many nearest points each is joined to; all of them, where there are fewer.

    Attributes:
        points: (n, d) the distinct points.
        lengths: (n, n) symmetric sparse matrix of the edges. An explicit zero is an edge.
        evaluations: points at which the decoder or the metric has been evaluated so far.

    References:
        J. B. Tenenbaum, V. de Silva, J. C. Langford, "A global geometric framework for nonlinear dimensionality
        reduction", Science 290, 2000. N. Chen et al., "Fast approximate geodesics for deep generative models",
        2019, arXiv:1812.08284. E. W. Dijkstra, "A note on two problems in connexion with graphs", Numer. Math. 1,
        1959.
    """

    def __init__(self, metric: Metric, points: Float[Tensor, "n d"], num_neighbors: int) -> None:
        self.points = points.unique(dim=0)
        self.num_neighbors = num_neighbors
        n = len(self.points)
        self._measuring = curve_energy(metric, self.points[:1], self.points[:1])
        self._search = NearestNeighbors(n_neighbors=min(num_neighbors, n)).fit(_array(self.points))
        others = min(num_neighbors, n - 1)
        nearest = self._search.kneighbors(n_neighbors=others, return_distance=False) if others else None
        i = np.repeat(np.arange(n), others)
        j = i if nearest is None else nearest.ravel()
        pairs = np.unique(np.stack([np.minimum(i, j), np.maximum(i, j)]), axis=1)
        length = self._straight(self.points, pairs[0], self.points, pairs[1])
        (i, j), length = pairs[:, np.isfinite(length)], length[np.isfinite(length)]
        both = np.concatenate([i, j]), np.concatenate([j, i])
        self.lengths = sparse.csr_array((np.concatenate([length, length]), both), shape=(n, n))

    @property
    def evaluations(self) -> int:
        """Points at which the decoder or the metric has been evaluated so far."""
        return self._measuring.evaluations

    def component_sizes(self) -> np.ndarray:
        """How many points each connected component has, the largest first."""
        labels = connected_components(self.lengths, directed=False)[1]
        return np.sort(np.bincount(labels))[::-1]

    def distances(self, sources: Float[Tensor, "s d"], targets: Float[Tensor, "m d"]) -> np.ndarray:
        """The (S, M) lengths of the shortest paths from every source to every target; infinite where there is none.

        Args:
            sources: (S, d) finite points.
            targets: (M, d) finite points.
        """
        leaving, arriving = self._join(sources), self._join(targets)
        found = np.full((len(sources), len(targets)), np.inf)
        width = len(self.points) + len(targets)
        for some in _blocks(np.arange(len(sources)), _DISTANCES // width):
            way, _ = self._shortest(leaving, some, predecessors=False)
            for near, length in zip(arriving.nearest.T, arriving.lengths.T, strict=True):
                found[some] = np.minimum(found[some], way[:, near] + length)
            apart = cdist(_array(sources)[some], _array(targets))
            i, j = np.nonzero(apart <= np.maximum(leaving.radius[some, None], arriving.radius))
            direct = self._straight(sources, some[i], targets, j)
            found[some[i], j] = np.fmin(found[some[i], j], direct)
        return found

    def paths(self, start: Float[Tensor, "b d"], end: Float[Tensor, "b d"]) -> Iterator[Paths]:
        """The shortest paths between pairs of finite points, in blocks; pairs that no path joins are left out."""
        ends, which = torch.cat([start, end]).unique(dim=0, return_inverse=True)
        joints = self._join(ends)
        first, last = which.cpu().numpy().reshape(2, -1)
        direct = self._direct(joints, ends, first, last)
        n = len(self.points)
        for some in _blocks(np.unique(first), _DISTANCES // n):
            way, before = self._shortest(joints, some, predecessors=True)
            for rows in _blocks(np.flatnonzero(np.isin(first, some)), _PATHS):
                source, near = np.searchsorted(some, first[rows]), joints.nearest[last[rows]]
                through = way[source[:, None], near] + joints.lengths[last[rows]]
                length = np.minimum(through.min(axis=1), direct[rows])
                # the node before the end: the source itself, numbered after the points, or a point
                node = np.where(
                    direct[rows] <= length, n + source, near[np.arange(len(rows)), through.argmin(axis=1)]
                )
                joined = np.isfinite(length)
                rows, source, node, length = rows[joined], source[joined], node[joined], length[joined]
                passed = _trail(before, source, node, n)
                arc = np.concatenate([way[source[:, None], passed], length[:, None]], axis=1)
                yield Paths(
                    rows,
                    self._vertices(start, end, rows, passed),
                    torch.from_numpy(arc).to(start),
                    (passed < n).sum(axis=1) + 1,
                )

    def _join(self, z: Tensor) -> _Joints:
        if not len(z):
            none = np.zeros((0, self._search.n_neighbors))
            return _Joints(none.astype(int), none, none[:, 0])
        apart, nearest = self._search.kneighbors(_array(z))
        rows = np.repeat(np.arange(len(z)), nearest.shape[1])
        length = self._straight(z, rows, self.points, nearest.ravel()).reshape(nearest.shape)
        return _Joints(nearest, np.where(np.isfinite(length), length, np.inf), apart[:, -1])

    def _direct(self, joints: _Joints, ends: Tensor, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Lengths of the straight lines between pairs of ends; infinite where they are not joined directly."""
        apart = np.linalg.norm(_array(ends)[first] - _array(ends)[last], axis=1)
        near = np.flatnonzero(apart <= np.maximum(joints.radius[first], joints.radius[last]))
        length = np.full(len(first), np.inf)
        length[near] = self._straight(ends, first[near], ends, last[near])
        return np.where(np.isfinite(length), length, np.inf)

    def _shortest(
        self, joints: _Joints, sources: np.ndarray, *, predecessors: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Distances from m sources to the n points, and to the sources as columns n to n + m; the nodes before each.

        No edge leads to a source, so that paths from one do not pass through another.
        """
        edge = np.isfinite(joints.lengths[sources])
        nodes = len(self.points) + len(sources)
        graph = sparse.csr_array(
            (
                np.concatenate([self.lengths.data, joints.lengths[sources][edge]]),
                np.concatenate([self.lengths.indices, joints.nearest[sources][edge]]),
                np.concatenate([self.lengths.indptr, self.lengths.indptr[-1] + edge.sum(axis=1).cumsum()]),
            ),
            shape=(nodes, nodes),
        )
        found = dijkstra(graph, indices=np.arange(len(self.points), nodes), return_predecessors=predecessors)
        return found if predecessors else (found, np.empty(0))

    def _vertices(self, start: Tensor, end: Tensor, rows: np.ndarray, passed: np.ndarray) -> Tensor:
        """The coordinates of paths, from the nodes passed; what is no point of the graph is the start."""
        inside = passed < len(self.points)
        row, point, of_graph = (
            torch.from_numpy(x).to(start.device) for x in (rows, np.where(inside, passed, 0), inside)
        )
        inner = torch.where(of_graph[..., None], self.points[point], start[row, None])
        return torch.cat([inner, end[row, None]], dim=1)

    def _straight(self, a: Tensor, i: np.ndarray, b: Tensor, j: np.ndarray) -> np.ndarray:
        """The Riemannian lengths of the straight lines from a[i] to b[j]."""
        lengths = [np.zeros(0)]
        for k in range(0, len(i), _EDGES):
            start, end = (z[torch.from_numpy(at[k : k + _EDGES]).to(z.device)] for z, at in ((a, i), (b, j)))
            line = torch.stack([start, (start + end) / 2, end], dim=1)
            lengths.append(_array(measure(self._measuring, line).length))
        return np.concatenate(lengths)


def _trail(before: np.ndarray, source: np.ndarray, node: np.ndarray, n: int) -> np.ndarray:
    """The nodes of each path from its source to the given one, walked back all at once until all have arrived.

    Nodes below n are points of the graph; the source, which is not, is repeated at the head of shorter paths.
    """
    trail = [node]
    while (node < n).any():
        node = np.where(node < n, before[source, node], node)
        trail.append(node)
    return np.stack(trail[::-1], axis=1)


def _blocks(numbers: np.ndarray, size: int) -> list[np.ndarray]:
    return [numbers[i : i + max(1, size)] for i in range(0, len(numbers), max(1, size))]


def _array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().double().numpy()
