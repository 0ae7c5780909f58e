"""The figures of what curves decode to: two rows of images, or values along the way."""

from __future__ import annotations

from typing import cast

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, GlyphRenderer, Legend, LegendItem, Range1d
from bokeh.plotting import figure

from latentgeo.explorer.decoded import Decoded
from latentgeo.plots.palette import COLORS

_NAMES = ("geodesic", "straight")


class StripFigure:
    """Two figures of which one is seen: images side by side, or values against the share of the length."""

    def __init__(self) -> None:
        self._tiles = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        self.images = figure(
            name="strips", sizing_mode="stretch_width", height=150, toolbar_location=None, tools="", visible=False,
            x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=2), outline_line_color=None, min_border=0,
        )  # fmt: skip
        self.images.image_rgba(source=self._tiles)
        self.images.grid.visible = False
        self.images.xaxis.visible = False
        self.images.yaxis.update(
            ticker=FixedTicker(ticks=[0.5, 1.5]),
            axis_line_color=None,
            major_tick_line_color=None,
            minor_tick_line_color=None,
            major_label_text_font_size="12px",
        )
        self._values = ColumnDataSource({"xs": [], "ys": [], "color": [], "dash": []})
        self.profiles = figure(
            name="profiles", sizing_mode="stretch_width", height=230, toolbar_location=None, tools="", visible=False,
            x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=1),
            x_axis_label="share of the length (solid: geodesic, dashed: straight line)",
        )  # fmt: skip
        self._lines = self.profiles.multi_line(
            "xs", "ys", source=self._values, color="color", line_dash="dash", line_width=2
        )
        self._key = Legend(
            orientation="horizontal", ncols=3, border_line_width=0, label_text_font_size="12px"
        )
        self.profiles.add_layout(self._key, "above")

    def show(self, seen: Decoded | None, lengths: tuple[float, float] = (0.0, 0.0)) -> None:
        """Draws what the geodesic and the straight line decode to, with their lengths; nothing for None."""
        self.images.visible = seen is not None and seen.image_shape is not None
        self.profiles.visible = seen is not None and seen.image_shape is None
        if seen is None:
            return
        if seen.image_shape is not None:
            above, below = (f"{name}\n{length:.4g}" for name, length in zip(_NAMES, lengths, strict=True))
            self.images.yaxis.major_label_overrides = {1.5: above, 0.5: below}
            self._tiles.data = {"image": [seen.tiles()], "x": [0], "y": [0], "dw": [1], "dh": [2]}
            height, width = seen.image_shape[-2:]
            self.images.aspect_ratio = seen.values.shape[1] * width / (2 * height)
            self.images.height = None
            return
        chosen = seen.most_varied()
        rows, n = seen.values.shape[:2]
        flat = seen.values.reshape(rows, n, -1)
        drawn = flat[..., chosen][np.isfinite(flat[..., chosen])]
        low, high = (drawn.min(), drawn.max()) if len(drawn) else (0.0, 1.0)
        margin = 0.05 * (high - low) or 0.5  # a constant has room too
        self.profiles.y_range.update(start=low - margin, end=high + margin)
        self._values.data = {
            "xs": [np.linspace(0, 1, n)] * (rows * len(chosen)),
            "ys": [flat[row, :, k] for row in range(rows) for k in chosen],
            "color": [COLORS[i] for _ in range(rows) for i in range(len(chosen))],
            "dash": [dash for dash in ("solid", "dashed") for _ in chosen],
        }
        self._key.items = [
            LegendItem(label=f"value {k}", renderers=[cast(GlyphRenderer, self._lines)], index=i)
            for i, k in enumerate(chosen)
        ]
