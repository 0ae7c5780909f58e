"""The nearest of many points by geodesic distance, from as few geodesics as lower bounds leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentgeo.geodesics import Status
from latentgeo.statistics.space import Space

_PAIRS = 2**22  # of queries and points, of which bounds are held at once
_CURVES = 2**12  # solved at once
_SLACK = 1e-3  # relative, of the triangle inequality among distances of a solver's tolerance

_Solved = tuple[Tensor, np.ndarray]


@dataclass(frozen=True)
class Neighbors:
    """The k nearest points of each query, the nearest first.

    Attributes:
        distances: (M, k), infinite where fewer are within reach.
        indices: (M, k), -1 there.
        status: (M, k) of the geodesics, ``Status.CONVERGED`` where there is none.
    """

    distances: Float[Tensor, "m k"]
    indices: Int[Tensor, "m k"]
    status: np.ndarray


class NeighborSearch:
    """Finds nearest neighbours by solving pairs in the order of lower bounds of their distance.

    A pair is solved only while its bound is not above the k-th least distance found so far. No search with the same
    bounds can do with fewer, up to the k pairs of a query that are solved at once. The bound is the chord between
    images under an immersion, below which no curve is; for metrics without one, by the triangle inequality with
    pivots p, points far from one another whose distances to all points are solved at once, max_p |d(q, p) - d(p, x)|.

    Args:
        space: where the points are.
        points: (N, m).
        n_pivots: how many pivots there are, where there are no chords.

    References:
        T. Seidl, H.-P. Kriegel, "Optimal multi-step k-nearest neighbor search", SIGMOD 1998,
        doi:10.1145/276304.276319. M. L. Micó, J. Oncina, E. Vidal, "A new version of the nearest-neighbour
        approximating and eliminating search algorithm (AESA) with linear preprocessing time and memory
        requirements", Pattern Recognit. Lett. 15, 1994, doi:10.1016/0167-8655(94)90095-7.
    """

    def __init__(self, space: Space, points: Float[Tensor, "n m"], n_pivots: int) -> None:
        self.space, self.points = space, points
        self._pivots: list[int] = []
        self._to_pivots = points.new_zeros(0, len(points))
        farthest = 0
        for _ in range(min(n_pivots, len(points)) if space.needs_pivots(points) else 0):
            self._pivots.append(farthest)
            pivot = points[farthest].expand_as(points)
            self._to_pivots = torch.cat([self._to_pivots, self._solved(points, pivot)[0][None]])
            nearest = self._to_pivots.amin(dim=0)
            apart = torch.where(nearest.isfinite(), nearest, -1)
            apart[self._pivots] = -2
            farthest = int(apart.argmax())

    def find(
        self, queries: Float[Tensor, "q m"] | None, k: int, *, candidates: int | None = None
    ) -> Neighbors:
        """The k nearest points of each query.

        Args:
            queries: (M, m); None for the points themselves, of which none is its own neighbour.
            k: how many.
            candidates: how many points, the nearest in coordinates, are considered; all, if None.
        """
        asked = self.points if queries is None else queries
        rows = torch.arange(len(asked), device=asked.device)
        parts = [
            self._find(asked[some], some if queries is None else None, k, candidates)
            for some in rows.split(max(1, _PAIRS // max(1, len(self.points))))
        ]
        return Neighbors(
            torch.cat([part.distances for part in parts]),
            torch.cat([part.indices for part in parts]),
            np.concatenate([part.status for part in parts]),
        )

    def _find(self, queries: Tensor, own: Tensor | None, k: int, candidates: int | None) -> Neighbors:
        k = min(k, len(self.points))
        allowed = self._allowed(queries, own, candidates)
        table = _Table(self._solved, queries, self.points)
        bounds = self.space.lower_bounds(queries, self.points)
        if self._pivots and candidates is None:
            bounds = torch.maximum(bounds, self._bounds_by_pivots(table))
        while True:
            found = torch.where(allowed, table.distances, torch.inf)
            limit = found.kthvalue(k, dim=1, keepdim=True).values
            left = torch.where(allowed & ~table.solved & (bounds <= limit), bounds, torch.inf)
            # the k that come next, and all that no bound tells from them
            step = left.kthvalue(k, dim=1, keepdim=True).values
            chosen = (left <= step) & left.isfinite()
            if not bool(chosen.any()):
                break
            table.solve(chosen)
        least, indices = found.topk(k, dim=1, largest=False)
        reached = least.isfinite()
        words = np.take_along_axis(table.status, indices.cpu().numpy(), axis=1)
        words[~reached.cpu().numpy()] = Status.CONVERGED
        return Neighbors(least, torch.where(reached, indices, -1), words)

    def _allowed(self, queries: Tensor, own: Tensor | None, candidates: int | None) -> Bool[Tensor, "q n"]:
        """Which points may be neighbours of which queries."""
        allowed = torch.ones(len(queries), len(self.points), dtype=torch.bool, device=queries.device)
        if own is not None:
            allowed.scatter_(1, own[:, None], False)
        if candidates is not None and candidates < len(self.points):
            apart = torch.where(allowed, torch.cdist(queries, self.points), torch.inf)
            near = apart.topk(candidates, dim=1, largest=False).indices
            allowed &= torch.zeros_like(allowed).scatter_(1, near, True)
        return allowed

    def _bounds_by_pivots(self, table: _Table) -> Float[Tensor, "q n"]:
        chosen = torch.zeros_like(table.solved)
        chosen[:, self._pivots] = True
        table.solve(chosen)
        best = torch.zeros_like(table.distances)
        for pivot, theirs in zip(self._pivots, self._to_pivots, strict=True):
            ours = table.distances[:, pivot, None]
            bound = (ours - theirs).abs() - _SLACK * (ours + theirs)
            best = torch.where(bound.isfinite(), torch.maximum(best, bound), best)
        return best

    def _solved(self, start: Tensor, end: Tensor) -> _Solved:
        """The distances of pairs, infinite where the metric is not finite, and a word on each."""
        parts = [
            self.space.join(a, b)
            for a, b in zip(start.split(_CURVES), end.split(_CURVES), strict=True)
            if len(a)
        ]
        if not parts:
            return start.new_zeros(0), np.empty(0, dtype=object)
        length = torch.cat([part.length for part in parts])
        return torch.where(length.isnan(), torch.inf, length), np.concatenate([part.status for part in parts])


class _Table:
    """The distances from queries to points, as far as they have been solved; infinite elsewhere."""

    def __init__(self, solve: Callable[[Tensor, Tensor], _Solved], queries: Tensor, points: Tensor) -> None:
        self._solve, self._queries, self._points = solve, queries, points
        self.distances = queries.new_full((len(queries), len(points)), torch.inf)
        self.solved = torch.zeros_like(self.distances, dtype=torch.bool)
        self.status = np.full(self.distances.shape, Status.CONVERGED, dtype=object)

    def solve(self, pairs: Bool[Tensor, "q n"]) -> None:
        rows, columns = pairs.nonzero(as_tuple=True)
        length, status = self._solve(self._queries[rows], self._points[columns])
        self.distances[rows, columns] = length
        self.status[rows.cpu().numpy(), columns.cpu().numpy()] = status
        self.solved |= pairs
