"""A solver that counts the geodesics asked of it."""

from __future__ import annotations

import pytest
from torch import Tensor

import latentgeo as lg


class CountingSolver:
    """``MinimizeEnergy`` with ``count``, the number of pairs solved."""

    def __init__(self) -> None:
        self.count = 0
        self._solver = lg.MinimizeEnergy(num_segments=16, tol=1e-3)

    def solve(
        self, metric: lg.Metric, start: Tensor, end: Tensor, *, initial: Tensor | None = None
    ) -> lg.GeodesicResult:
        """As the solver inside."""
        self.count += len(start)
        return self._solver.solve(metric, start, end, initial=initial)


@pytest.fixture
def solver() -> CountingSolver:
    """One that has counted nothing yet."""
    return CountingSolver()
