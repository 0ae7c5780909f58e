"""Geodesic distances of the pairs of a tile, each curve found from those of its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentgeo.geodesics.distance_detours import Detours
from latentgeo.geodesics.distance_tiles import Tile, representatives
from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.measure import even_steps, measure
from latentgeo.geodesics.result import Status
from latentgeo.geodesics.solve import Solver
from latentgeo.geodesics.spline import resample
from latentgeo.metrics import Metric

_CELL = 4  # neighbours, of which one is joined first
_PIECES = 8  # of a straight line that is only compared ...
_EXCESS = 1e-3  # ... with curves that may be longer by this share, as it is measured roughly


@dataclass(frozen=True, eq=False)
class Found:
    """Distances of some pairs of points, and a word on each.

    Attributes:
        rows: (n,) numbers of points of X.
        columns: (n,) numbers of points of Y, or of X again.
        lengths: (n,) NaN where the metric is not finite along the curve.
        status: (n,) of :class:`Status`.
    """

    rows: Int[np.ndarray, " n"]
    columns: Int[np.ndarray, " n"]
    lengths: Float[np.ndarray, " n"]
    status: np.ndarray


@dataclass(frozen=True, eq=False)
class PairSolver:
    """Solves tiles and detours: a function of the job alone, whoever calls it, and in whatever order.

    Args:
        metric: the metric.
        x: (N, d) the points of the rows.
        y: (M, d) the points of the columns.
        solver: finds the curves.
    """

    metric: Metric
    x: Float[Tensor, "n d"]
    y: Float[Tensor, "m d"]
    solver: Solver

    def __call__(self, job: Tile | Detours) -> Found:
        """The distances of the pairs of a tile, or of those for which a detour may be shorter."""
        return self._tile(job) if isinstance(job, Tile) else self._detours(job)

    def _tile(self, tile: Tile) -> Found:
        """Every pair of a tile, from few to all.

        Points are put into cells of a few neighbours, and of each cell one, p(i), is joined to those of the others.
        Then every point i to those others, from the curve c of p(i) bent to end in i; and last all the rest, from

            c(i, j) ≈ c(i, p(j)) + c(p(i), j) - c(p(i), p(j)),

        which has the right ends, and is off by the product of the distances of i and j to theirs. A curve whose
        neighbours are not known starts as it would alone, and so does, once more, one that does not converge from
        there, or that ends longer than the straight line.
        """
        i, j = tile.pairs()
        start, end = self._ends(tile.rows[i], tile.columns[j])
        p = representatives(_array(self.x)[tile.rows], _CELL)
        q = p if tile.on_diagonal else representatives(_array(self.y)[tile.columns], _CELL)
        known = _Curves(tile, self.x[_index(tile.rows, self.x)])
        lengths, status = np.full(len(i), np.nan), np.full(len(i), Status.NON_FINITE, dtype=object)
        # several starts that were asked for are not given up for one
        alone = getattr(self.solver, "num_starts", None) is not None
        own = (p[i] == i).astype(int) + (q[j] == j)
        stages = [np.arange(len(i))] if alone else [np.flatnonzero(own == few) for few in (2, 1, 0)]
        for stage, pairs in enumerate(stages):
            a, b = i[pairs], j[pairs]
            apart = (start[_index(pairs, start)] != end[_index(pairs, end)]).any(dim=1).cpu().numpy()
            usable, initial = (
                known.near(a, b, p[a], q[b], apart) if stage else (np.zeros(len(pairs), bool), None)
            )
            for some, curves in ((pairs[~usable], None), (pairs[usable], initial)):
                if len(some):
                    at = _index(some, start)
                    bent = None if curves is None else _bent(curves, start[at], end[at])
                    result = self._joined(start[at], end[at], bent)
                    lengths[some], status[some] = result.lengths, result.status
                    if stage < len(stages) - 1:
                        known.add(i[some], j[some], result)
        return Found(tile.rows[i], tile.columns[j], lengths, status)

    def _detours(self, job: Detours) -> Found:
        """Pairs solved again from the curves i -> l -> k -> j, which are shorter than those known."""
        i, ell, k, j = job.chains.T
        legs, which = np.unique(
            np.concatenate([np.stack([i, ell], 1), np.stack([k, ell], 1), np.stack([k, j], 1)]),
            axis=0,
            return_inverse=True,
        )
        first, second, third = which.reshape(3, -1)
        joined = self._joined(*self._ends(legs[:, 0], legs[:, 1]), None)
        finite = np.isfinite(joined.lengths)
        whole = finite[first] & finite[second] & finite[third]
        if not whole.any():
            none = np.zeros(0, dtype=np.int64)
            return Found(none, none, np.zeros(0), np.zeros(0, dtype=object))
        i, j, first, second, third = i[whole], j[whole], first[whole], second[whole], third[whole]
        start, end = self._ends(i, j)
        legs = [_index(leg, start) for leg in (first, second, third)]
        curves = [joined.curves[legs[0]], joined.curves[legs[1]].flip(1), joined.curves[legs[2]]]
        share = torch.linspace(0, 1, joined.curves.shape[1], dtype=start.dtype, device=start.device)
        passed, arc = torch.zeros_like(start[:, :1]), []
        for leg in legs:
            length = torch.as_tensor(joined.lengths).to(start)[leg, None]
            arc.append(passed + share * length)
            passed = passed + length
        initial = even_steps(torch.cat(curves, dim=1), torch.cat(arc, dim=1), joined.curves.shape[1] - 1)
        again = self._solved(start, end, initial)
        return Found(i, j, again.lengths, again.status)

    def _joined(self, start: Tensor, end: Tensor, initial: Tensor | None) -> _Joined:
        """Curves from a start that is given; where they fail from it, or end too long, those found without may do."""
        found = self._solved(start, end, initial)
        if initial is None:
            return found
        too_long = found.lengths > (1 + _EXCESS) * self._straight(start, end)
        again = np.flatnonzero((found.status != Status.CONVERGED) | too_long)
        if not len(again):
            return found
        at = _index(again, start)
        alone = self._solved(start[at], end[at], None)
        converged, known = alone.status == Status.CONVERGED, found.lengths[again]
        shorter = (alone.lengths <= known) | np.isnan(known)
        better = np.where(converged == (found.status[again] == Status.CONVERGED), shorter, converged)
        rows = again[better]
        found.lengths[rows], found.status[rows] = alone.lengths[better], alone.status[better]
        found.curves[_index(rows, start)] = alone.curves[_index(np.flatnonzero(better), start)]
        return found

    def _straight(self, start: Tensor, end: Tensor) -> Float[np.ndarray, " n"]:
        """The lengths of straight lines."""
        with torch.inference_mode(False), torch.no_grad():
            lines = resample(torch.stack([start, end], dim=1), _PIECES)
            return _array(measure(curve_energy(self.metric, start, end), lines).length)

    def _solved(self, start: Tensor, end: Tensor, initial: Tensor | None) -> _Joined:
        result = self.solver.solve(self.metric, start, end, initial=initial)
        return _Joined(_array(result.length), result.points, result.status)

    def _ends(self, rows: np.ndarray, columns: np.ndarray) -> tuple[Tensor, Tensor]:
        return self.x[_index(rows, self.x)], self.y[_index(columns, self.y)]


@dataclass(frozen=True, eq=False)
class _Joined:
    """Solved pairs."""

    lengths: np.ndarray
    curves: Tensor
    status: np.ndarray


class _Curves:
    """The curves of a tile found so far, by places of rows and columns; on the diagonal in both directions."""

    def __init__(self, tile: Tile, points: Tensor) -> None:
        self._tile, self._points = tile, points
        self._curves: Tensor | None = None
        self._known = np.zeros((len(tile.rows), len(tile.columns)), dtype=bool)

    def add(self, i: np.ndarray, j: np.ndarray, found: _Joined) -> None:
        """Keeps curves that converged."""
        if self._curves is None:
            self._curves = found.curves.new_zeros(*self._known.shape, *found.curves.shape[1:])
            if self._tile.on_diagonal:  # the curve from a point to itself
                same = torch.arange(len(self._points), device=self._points.device)
                self._curves[same, same] = self._points[:, None]
        good = found.status == Status.CONVERGED
        i, j, curves = i[good], j[good], found.curves[_index(np.flatnonzero(good), found.curves)]
        self._curves[_index(i, curves), _index(j, curves)] = curves
        self._known[i, j] = True
        if self._tile.on_diagonal:
            self._curves[_index(j, curves), _index(i, curves)] = curves.flip(1)
            self._known[j, i] = True

    def near(
        self, i: np.ndarray, j: np.ndarray, p: np.ndarray, q: np.ndarray, wanted: np.ndarray
    ) -> tuple[np.ndarray, Tensor | None]:
        """Which of the curves from i to j that are wanted can start from those of p and q beside them, and how."""
        if self._curves is None:
            return np.zeros(len(i), dtype=bool), None
        both = (p != i) & (q != j)
        same = (p == q) & self._tile.on_diagonal
        usable = np.where(
            both, self._known[i, q] & self._known[p, j] & (self._known[p, q] | same), self._known[p, q]
        )
        usable &= wanted
        i, j, p, q, both = (_index(some[usable], self._curves) for some in (i, j, p, q, both))
        curves = self._curves[p, q]
        crossed = self._curves[i, q] + self._curves[p, j] - curves
        return usable, torch.where(both[:, None, None], crossed, curves)


def _bent(curves: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Curves with other ends, moved linearly less away from these."""
    t = torch.linspace(0, 1, curves.shape[1], dtype=curves.dtype, device=curves.device)[:, None]
    return curves + (1 - t) * (start - curves[:, 0])[:, None] + t * (end - curves[:, -1])[:, None]


def _index(numbers: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(numbers).to(like.device)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()
