"""A geodesic and the straight line between two points, soon and then well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics import GeodesicResult, MinimizeEnergy, Status
from latentgeo.geodesics.measure import even_steps
from latentgeo.metrics import Metric

_ROUGH = MinimizeEnergy(num_segments=16, tol=1e-2, max_steps=50)
_FINE = MinimizeEnergy()
_LINE = 256  # steps of the straight line


@dataclass(frozen=True)
class Joined:
    """What joins two points.

    Attributes:
        result: the geodesic, one curve.
        line: (n, d) points of the straight line at equal steps of its length.
        line_length: in ambient units.
        under_way: whether the search goes on.
    """

    result: GeodesicResult
    line: Float[Tensor, "n d"]
    line_length: float
    under_way: bool = False

    def strips(self, count: int) -> Float[Tensor, "2 count d"]:
        """Points at equal steps of length on the geodesic and on the straight line."""
        share = torch.linspace(0, 1, count)
        rows = (share * (len(self.line) - 1)).round().long()
        return torch.stack([self.result.at(share)[0], self.line[rows]])

    def words(self) -> str:
        """Lengths in ambient units, and how the search ended."""
        length = float(self.result.length[0])
        share = f" ({length / self.line_length:.0%} of it)" if 0 < self.line_length < torch.inf else ""
        status: Status = self.result.status[0]
        lengths = f"{length:.4g}, straight line {self.line_length:.4g} ambient units{share}."
        return f"Roughly {lengths} Still looking." if self.under_way else f"Geodesic {lengths} {status}"


def join(metric: Metric, start: Float[Tensor, " d"], end: Float[Tensor, " d"]) -> Iterator[Joined]:
    """Joins two points: roughly at once, and then by the default solver.

    The rough curve is there to be seen, and stays where the search is called off. What comes last is the curve of
    :func:`latentgeo.geodesic`, which begins anew, as it looks for other ways round.

    Args:
        metric: the metric.
        start: (d,).
        end: (d,).

    Yields:
        What was found so far; the last one is not under way.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric
        >>> rough, last = join(EuclideanMetric(2), torch.zeros(2), torch.tensor([3.0, 4.0]))
        >>> last.words()[:55]
        'Geodesic 5, straight line 5 ambient units (100% of it).'
    """
    line, length = straight_line(metric, start, end)
    for solver in (_ROUGH, _FINE):
        result = solver.solve(metric, start[None], end[None])
        yield Joined(result, line, length, under_way=solver is _ROUGH)


def straight_line(
    metric: Metric, start: Float[Tensor, " d"], end: Float[Tensor, " d"]
) -> tuple[Float[Tensor, "n d"], float]:
    """Points of the straight line at equal steps of its length, and its length ∫ |end - start|_G dt, by trapezia.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric
        >>> straight_line(EuclideanMetric(2), torch.zeros(2), torch.tensor([3.0, 4.0]))[1]
        5.0
    """
    t = torch.linspace(0, 1, _LINE + 1).to(start)
    way = end - start
    points = start + t[:, None] * way
    with torch.no_grad():
        speed = metric.norm(points, way.expand_as(points))
    arc = torch.cat([speed.new_zeros(1), torch.cumulative_trapezoid(speed, t)])
    if not bool(arc[-1].isfinite()):
        return points, float(arc[-1])
    return even_steps(points[None], arc[None], _LINE)[0], float(arc[-1])
