"""Pictures of a diagnosis show its numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from latentgeo.diagnostics import latent_traversal
from latentgeo.plots import COLORS, color_bar, correlation_map, image_grid, spectrum_bars


@pytest.fixture
def axes():
    figure = Figure()
    yield figure.subplots()
    figure.canvas.draw()  # whatever a test drew can be rendered


def test_bars_have_the_values_for_heights_and_tell_active_from_inactive(axes):
    values = torch.tensor([1.0, 0.5, 0.01, 1e-4])
    bars = spectrum_bars(axes, values)
    np.testing.assert_allclose([bar.get_height() for bar in bars], values)
    assert [bar.get_facecolor() == to_rgba(COLORS[0]) for bar in bars] == [True, True, False, False]
    assert axes.lines[0].get_ydata()[0] == 0.01


def test_correlations_have_zero_in_the_middle_of_their_scale(axes):
    image = correlation_map(axes, torch.tensor([[1.0, -0.2], [-0.2, 1.0]]))
    np.testing.assert_allclose(image.get_array(), [[1, -0.2], [-0.2, 1]])
    assert image.get_clim() == (-1, 1)
    assert color_bar(axes, image).mappable is image


def test_grid_has_a_row_for_each_latent_and_a_column_for_each_value(axes):
    grid = latent_traversal(
        lambda z: z.reshape(-1, 1, 1, 2).expand(-1, 1, 3, 2), torch.zeros(2), [0, 1], [0.25, 1.0]
    )
    shown = image_grid(axes, grid).get_array()
    assert shown.shape == (2 * 3 + 1, 2 * 2 + 1)
    assert shown.mask[3].all()
    assert shown.mask[:, 2].all()
    assert int(shown.mask.sum()) == 5 + 7 - 1
    np.testing.assert_allclose(shown[0].filled(-1), [0.25, 0, -1, 1, 0])
    np.testing.assert_allclose(shown[-1].filled(-1), [0, 0.25, -1, 0, 1])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("draw", "values", "message"),
    [
        (spectrum_bars, np.ones((2, 2)), r"values: expected 1 dimensions .* got shape \(2, 2\)"),
        (spectrum_bars, np.array([1, np.nan]), "values: expected finite"),
        (correlation_map, np.ones((2, 3)), r"correlation: expected shape \(d, d\), got \(2, 3\)"),
        (correlation_map, np.full((2, 2), 3.0), "correlation: expected values from -1 to 1"),
        (image_grid, np.ones((2, 3, 8)), r"images: expected 4 dimensions .* got shape \(2, 3, 8\)"),
        (image_grid, np.ones((2, 3, 3, 8, 8)), "images: expected 4 dimensions"),
    ],
)
def test_what_cannot_be_drawn_is_named(draw, values, message):
    with pytest.raises(ValueError, match=message):
        draw(Figure().subplots(), values)


def test_black_is_below_white(axes):
    with pytest.raises(ValueError, match="limits"):
        image_grid(axes, np.ones((1, 1, 2, 2)), limits=(1.0, 0.0))
