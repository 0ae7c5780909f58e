"""An empty picture for each test."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def axes():
    figure = Figure()
    yield figure.subplots()
    figure.canvas.draw()  # whatever a test drew can be rendered
