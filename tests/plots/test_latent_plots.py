"""Pictures of a diagnosis show its numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from latentgeo.plots import COLORS, color_bar, correlation_map, spectrum_bars


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


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("draw", "values", "message"),
    [
        (spectrum_bars, np.ones((2, 2)), r"values: expected 1 dimensions .* got shape \(2, 2\)"),
        (spectrum_bars, np.array([1, np.nan]), "values: expected finite"),
        (correlation_map, np.ones((2, 3)), r"correlation: expected shape \(d, d\), got \(2, 3\)"),
        (correlation_map, np.full((2, 2), 3.0), "correlation: expected values from -1 to 1"),
    ],
)
def test_what_cannot_be_drawn_is_named(draw, values, message):
    with pytest.raises(ValueError, match=message):
        draw(Figure().subplots(), values)
