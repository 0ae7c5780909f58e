"""The maps that have been computed of one metric in one plane, and which of them shows what is in view."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.explorer.view import scale_of

_KEPT = 32  # of those before
_EDGE = 1e-3  # of a side, by which a rectangle may stand out
_COARSER = 1.05  # than the cells that are asked for, and still as fine
_ROUNDING = 4  # times that of a place, to tell two cells apart


@dataclass(frozen=True)
class Chart:
    """A map of a rectangle.

    Attributes:
        bounds: (2, 2) its lower left and upper right corner.
        values: (rows, columns) in the middles of its cells.
    """

    bounds: Float[Tensor, "2 2"]
    values: Float[Tensor, "rows columns"]

    @property
    def cell(self) -> float:
        """The longer side of a cell."""
        columns_rows = torch.tensor(self.values.shape[::-1]).to(self.bounds)
        return float(((self.bounds[1] - self.bounds[0]) / columns_rows).amax())

    def covers(self, bounds: Float[Tensor, "2 2"]) -> bool:
        """Whether a rectangle lies within."""
        edge = _EDGE * (bounds[1] - bounds[0])
        return bool(((bounds[0] >= self.bounds[0] - edge) & (bounds[1] <= self.bounds[1] + edge)).all())


class Charts:
    """The map around all points, and those of what has been in view; one colour scale for them all.

    Attributes:
        home: the map around all points, once it is known.

    Example:
        >>> import torch
        >>> charts, square = Charts(), torch.tensor([[0.0, 0.0], [8.0, 8.0]])
        >>> charts.home = Chart(square, torch.rand(4, 4))
        >>> charts.of(square, 4) is charts.home, charts.of(square / 2, 4) is None  # which asks for smaller cells
        (True, True)
    """

    def __init__(self) -> None:
        self.home: Chart | None = None
        self._closer: deque[Chart] = deque(maxlen=_KEPT)

    @property
    def scale(self) -> tuple[float, float]:
        """The ends of the colour scale, by the map around all points as long as that has a finite value.

        Raises:
            ValueError: no map has one.
        """
        known = self._all()
        return scale_of(next((c.values for c in known if bool(c.values.isfinite().any())), torch.zeros(0)))

    def add(self, chart: Chart) -> None:
        """Keeps a map of what was in view."""
        self._closer.append(chart)

    def of(self, bounds: Float[Tensor, "2 2"], resolution: int) -> Chart | None:
        """The finest map that holds a rectangle, with so many cells along its longer side; None without."""
        most = _COARSER * float((bounds[1] - bounds[0]).amax()) / resolution
        fit = [chart for chart in self._all() if chart.cell <= most and chart.covers(bounds)]
        return min(fit, key=lambda chart: chart.cell, default=None)

    def _all(self) -> list[Chart]:
        return [*([self.home] if self.home else []), *self._closer]


def can_be_finer(bounds: Float[Tensor, "2 2"], resolution: int) -> bool:
    """Whether so many cells of a rectangle are apart, by the rounding of its places.

    Example:
        >>> import torch
        >>> can_be_finer(torch.tensor([[1.0, 0.0], [1.001, 0.001]]), 128)
        True
        >>> can_be_finer(torch.tensor([[1.0, 0.0], [1.00001, 0.00001]]), 128)
        False
    """
    cell = float((bounds[1] - bounds[0]).amin()) / resolution
    return cell > _ROUNDING * torch.finfo(bounds.dtype).eps * float(bounds.abs().amax())
