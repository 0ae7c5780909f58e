"""Tiles of a distance matrix: pairs between two neighbourhoods of points, solved together, each once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Tile:
    """The pairs of some rows with some columns of the matrix; of a tile on the diagonal, each pair once.

    Attributes:
        number: of the job.
        rows: (a,) numbers of points of X.
        columns: (b,) numbers of points of Y, or of X again.
        on_diagonal: whether rows and columns are the same points.
    """

    number: int
    rows: Int[np.ndarray, " a"] = field(repr=False)
    columns: Int[np.ndarray, " b"] = field(repr=False)
    on_diagonal: bool

    def __len__(self) -> int:
        a, b = len(self.rows), len(self.columns)
        return a * (a - 1) // 2 if self.on_diagonal else a * b

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """The places of the pairs among rows and columns."""
        a, b = len(self.rows), len(self.columns)
        if self.on_diagonal:
            return np.triu_indices(a, 1)
        return np.repeat(np.arange(a), b), np.tile(np.arange(b), a)


def tiles(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"] | None, side: int) -> list[Tile]:
    """Tiles of about side² pairs that hold every pair of points of x, or of x with y, once."""
    if y is None:
        blocks = neighborhoods(x, -(-len(x) // side))
        corners = [(i, j) for i in range(len(blocks)) for j in range(i, len(blocks))]
        found = [Tile(n, blocks[i], blocks[j], i == j) for n, (i, j) in enumerate(corners)]
        return [tile for tile in found if len(tile)]
    if not len(x) or not len(y):
        return []
    height, width = min(side, len(x)), min(side, len(y))
    height, width = side**2 // width, side**2 // height  # few of the one are joined to more of the other
    rows, columns = neighborhoods(x, -(-len(x) // height)), neighborhoods(y, -(-len(y) // width))
    corners = [(r, c) for r in rows for c in columns]
    return [Tile(n, r, c, on_diagonal=False) for n, (r, c) in enumerate(corners)]


def neighborhoods(points: Float[np.ndarray, "n d"], count: int) -> list[np.ndarray]:
    """Numbers of points in ``count`` groups of neighbours of about one size.

    Groups are halved across the coordinate in which they are widest (a k-d tree), without a rounding error, so that
    every machine makes the same.

    References:
        J. L. Bentley, "Multidimensional binary search trees used for associative searching", Comm. ACM 18, 1975.
    """

    def halved(group: np.ndarray, count: int) -> list[np.ndarray]:
        if count <= 1:
            return [group] if len(group) else []
        here = points[group]
        widest = int(np.argmax(np.ptp(here, axis=0)))
        ordered = group[np.argsort(here[:, widest], kind="stable")]
        half = len(group) * (count // 2) // count
        return halved(ordered[:half], count // 2) + halved(ordered[half:], count - count // 2)

    return halved(np.arange(len(points)), count)


def representatives(points: Float[np.ndarray, "n d"], size: int) -> Int[np.ndarray, " n"]:
    """For each point the number of one in the middle of its neighbourhood of about ``size`` points."""
    found = np.zeros(len(points), dtype=np.int64)
    for group in neighborhoods(points, -(-len(points) // size)):
        here = points[group]
        middle = here.min(axis=0) + np.ptp(here, axis=0) / 2
        found[group] = group[np.argmin(np.abs(here - middle).sum(axis=1))]
    return found
