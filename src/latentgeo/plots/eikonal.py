"""The distance from a point to everywhere in a rectangle: the eikonal equation on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.metrics import Metric
from latentgeo.plots.plane import cells

# Neighbours around a cell, anticlockwise: with sixteen directions the error under a metric of condition 50 is a
# quarter of that with eight.
_QUARTER = ((1, 0), (2, 1), (1, 1), (1, 2))
_RING = (
    _QUARTER
    + tuple((-y, x) for x, y in _QUARTER)
    + tuple((-x, -y) for x, y in _QUARTER)
    + tuple((y, -x) for x, y in _QUARTER)
)
_REACH = 2
_STRAIGHT = (
    4  # cells from the centre within which a geodesic is taken for straight: u is not smooth at its source
)
_TOL = 1e-6  # relative change below which a value stands
_FAR = 1e300  # stands for infinity, so that no difference of two is NaN
_ROWS_AT_ONCE = 4096


def distance_field(
    metric: Metric, centers: Float[Tensor, "k 2"], bounds: Float[Tensor, "2 2"], resolution: int
) -> Float[Tensor, "k rows columns"]:
    """The distance u from centres to the cells of a grid, the viscosity solution of |∇u|_{G⁻¹} = 1, u(centre) = 0.

    Each cell x looks at the ring of its sixteen neighbours, between which u is linear, and takes

        u(x) = min over ξ on the ring of |x - ξ|_G + u(ξ),

    in closed form on each of the sixteen edges, until nothing changes any more. This is the shortest of all the
    ways round, beyond cut and conjugate points too, from one evaluation of G a cell. It converges to the distance
    with the size of the cells, from above, for any ratio of eigenvalues of G: with 160 cells within 1% as a rule.

    Args:
        metric: a metric on the plane.
        centers: (K, 2) points.
        bounds: (2, 2) lower left and upper right corner. Ways that leave the rectangle are not seen.
        resolution: cells along the longer side. A ridge narrower than a cell is not seen either.

    Returns:
        (K, rows, columns) at the cells of :func:`latentgeo.plots.plane.cells`, in float64 on the CPU. Infinite where
        no way leads, such as where G is not finite.

    Raises:
        ValueError: ``bounds`` is no rectangle, ``resolution`` is below 2, or a centre does not lie within bounds.

    References:
        F. Bornemann, C. Rasch, "Finite-element discretization of static Hamilton-Jacobi equations based on a local
        variational principle", Comput. Vis. Sci. 9, 2006, arXiv:math/0403517.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric
        >>> square = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
        >>> distance_field(EuclideanMetric(2), torch.zeros(1, 2), square, 20)[0, 10, 15].round(decimals=3)
        tensor(0.5540, dtype=torch.float64)
    """
    grid = cells(bounds, resolution)
    if centers.ndim != 2 or centers.shape[1] != 2 or not len(centers):
        raise ValueError(f"centers: expected shape (K, 2) with a centre, got {tuple(centers.shape)}")
    centers = centers.to(grid)
    if not bool(((centers >= bounds[0]) & (centers <= bounds[1])).all()):
        raise ValueError(f"centers: expected points within bounds {bounds.tolist()}, got {centers.tolist()}")
    rows, columns = grid.shape[:2]
    size = ((bounds[1] - bounds[0]) / torch.tensor([columns, rows]).to(bounds)).cpu().double()
    with torch.no_grad():
        matrix = torch.cat([metric(part) for part in grid.reshape(-1, 2).split(_ROWS_AT_ONCE)])
        starts = [_near(metric, center, grid, size.to(grid)) for center in centers]
    edges = _edges(matrix.cpu().double().reshape(rows, columns, 2, 2), size)
    field = torch.stack(
        [_relaxed(start, edges) for start in starts]
    )  # each in the order of its own distances
    return torch.where(field < _FAR / 2, field, torch.inf)


def _near(metric: Metric, center: Tensor, grid: Tensor, size: Tensor) -> Tensor:
    """Lengths of straight lines from the centre to the cells beside it, by Simpson's rule; far, elsewhere."""
    way = grid - center
    row, column = torch.nonzero((way / size).norm(dim=-1) <= _STRAIGHT, as_tuple=True)
    some = way[row, column]
    t = torch.linspace(0, 1, 5).to(some)[:, None, None]
    speed = metric.norm(center + t * some, some.expand(5, *some.shape))
    length = (speed.T @ torch.tensor([1.0, 4.0, 2.0, 4.0, 1.0]).to(speed) / 12).cpu().double()
    field = torch.full(grid.shape[:2], _FAR, dtype=torch.float64)
    field[row.cpu(), column.cpu()] = torch.where(length.isfinite(), length, _FAR)
    return field


@dataclass(frozen=True)
class _Edges:
    """The sixteen edges ξ = a + t (b - a) around each cell: |ξ|² = square + 2 t mixed + t² slope.

    Each is (cells, 16, 2), in the metric midway to a and in that midway to b. The cells are those of the grid with a
    border of the ring's reach, row by row; NaN on the border and where G is not finite.
    """

    square: Tensor
    mixed: Tensor
    slope: Tensor

    def least(self, cell: Tensor, of_a: Tensor, of_b: Tensor) -> Tensor:
        """The least |ξ|_G + u(ξ) over each of the edges of n cells, from u at their ends, (n, 16).

        With G for all of the edge, w = mixed + t slope, height² = square - mixed² / slope and rise = u(b) - u(a), the
        derivative vanishes where w = -rise · height / √(1 - rise² / slope); without a zero the least is at the lower
        end. The length there is then taken with the metric midway to ξ.
        """
        square, mixed, slope = self.square[cell], self.mixed[cell], self.slope[cell]
        middle, inclined, steep = square.mean(2), mixed.mean(2), slope.mean(2)
        rise = of_b - of_a
        share = 1 - rise.square() / steep
        height = (middle - inclined.square() / steep).clamp_min(0)  # below 0 by rounding alone
        w = -rise * (height / torch.where(share > 0, share, 1)).sqrt()
        t = torch.where(share > 0, ((w - inclined) / steep).clamp(0, 1), (rise < 0).to(rise))
        squares = square + t[..., None] * (2 * mixed + t[..., None] * slope)
        length = torch.lerp(squares[..., 0], squares[..., 1], t).clamp_min(0).sqrt()
        return length + (1 - t) * of_a + t * of_b


def _edges(matrix: Tensor, size: Tensor) -> _Edges:
    """The edges from G at the cells (rows, columns, 2, 2)."""
    padded = torch.nn.functional.pad(matrix, (0, 0, 0, 0) + (_REACH,) * 4, value=torch.nan)
    products = []
    for a, b in zip(_RING, _RING[1:] + _RING[:1], strict=True):
        ends = torch.stack([padded.roll((-y, -x), (0, 1)) for x, y in (a, b)])
        midway = (padded + torch.where(ends.isfinite(), ends, padded)) / 2
        to_a, to_b = (torch.tensor(step).double() * size for step in (a, b))
        pairs = ((to_a, to_a), (to_a, to_b - to_a), (to_b - to_a, to_b - to_a))
        products.append([torch.einsum("ercij,i,j->rce", midway, u, v).flatten(0, 1) for u, v in pairs])
    return _Edges(*(torch.stack(kind, 1) for kind in zip(*products, strict=True)))


def _relaxed(start: Tensor, edges: _Edges) -> Tensor:
    """The field from a start above it: cells beside one that fell are looked at again, until none falls.

    Of those that fell the nearer half goes first; the others may yet fall further.
    """
    padded = torch.nn.functional.pad(start, (_REACH,) * 4, value=_FAR)
    field, width = padded.flatten(), padded.shape[1]
    ring = torch.tensor([y * width + x for x, y in _RING])
    inside = edges.square.isfinite().flatten(1).all(1)
    fell = field < _FAR
    while bool(fell.any()):
        nearer = fell & (field <= field[fell].median())
        fell &= ~nearer
        beside = torch.zeros_like(fell)
        beside[nearer.nonzero() + ring] = True
        cell = (beside & inside).nonzero()[:, 0]
        around = field[cell[:, None] + ring]
        found = edges.least(cell, around, around.roll(-1, 1)).amin(1)
        lower = found < (1 - _TOL) * field[cell]
        field[cell[lower]] = found[lower]
        fell[cell[lower]] = True
    inner = slice(_REACH, -_REACH)
    return field.reshape(padded.shape)[inner, inner]
