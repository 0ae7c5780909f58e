"""The figure of the latent space: its map, points, curves, balls and clusters, as Bokeh draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    CustomJS,
    DataRange1d,
    GlyphRenderer,
    Legend,
    LegendItem,
    LinearColorMapper,
    PanTool,
    ResetTool,
    SaveTool,
    WheelZoomTool,
    ZoomInTool,
    ZoomOutTool,
)
from bokeh.plotting import figure
from bokeh.plotting.contour import contour_data
from jaxtyping import Float, Int

from latentgeo.plots.palette import COLORS, GEODESIC, PALE, STRAIGHT

_MARKERS = {  # matplotlib's letters
    "o": "circle",
    "^": "triangle",
    "s": "square",
    "D": "diamond",
    "v": "inverted_triangle",
    "P": "plus",
    "X": "square_pin",  # Bokeh's x has no face
}
_LONGEST = 12  # letters of a class in the legend
_NOWHERE = [float("nan")]
_UNCLUSTERED = "#9A9A9A"
_SHADES = ["#" + bytes(shade[:3].tolist()).hex() for shade in PALE(np.linspace(0, 1, 256), bytes=True)]

Path = Float[np.ndarray, "_ 2"]


class MapFigure:
    """The figure and what can be drawn in it. Places are (n, 2) arrays in the coordinates of the figure.

    Args:
        classes: names of the labels.
        looks: a colour and matplotlib's marker of each.
        labels: (N,) the class of each point.
        is_line: whether the latent space is a line: the map is then a curve, and the figure not to scale.
    """

    def __init__(
        self,
        classes: Sequence[str],
        looks: Sequence[tuple[str, str]],
        labels: Int[np.ndarray, " n"],
        *,
        is_line: bool,
    ) -> None:
        self._labels = labels
        self._samples: list[ColumnDataSource] = []  # of the legend
        self._looks = looks
        self._is_line = is_line
        self._frame = ColumnDataSource({"x": [], "y": []})
        self.model = self._empty()
        self._shades = LinearColorMapper(palette=_SHADES, low=0, high=1, nan_color="white")
        self._image, self._closer = self._map_of(self._shades), self._map_of(self._shades)
        self._height = self._line_of("#707070", 1.5)
        self._inside = ColumnDataSource({"xs": [], "ys": []})
        self.model.multi_polygons(
            "xs", "ys", source=self._inside, fill_color=GEODESIC, fill_alpha=0.2, line_width=0
        )
        self._points = [self._scatter(marker)[0] for _, marker in looks]
        self._fan = self._line_of(GEODESIC, 0.8)
        self._rim = self._line_of(GEODESIC, 1.5)
        self._straight = self._rimmed(STRAIGHT, 1.6, "dashed")
        self._geodesic = self._rimmed(GEODESIC, 3.0)
        self._stars = ColumnDataSource({"x": [], "y": [], "color": []})
        self.model.scatter(
            "x",
            "y",
            source=self._stars,
            marker="star",
            size=20,
            color="color",
            line_color="black",
            line_width=1.2,
        )
        self.ends = ColumnDataSource({"x": [], "y": [], "name": []})
        self.model.scatter(
            "x", "y", source=self.ends, size=11, color="white", line_color="black", line_width=2
        )
        names = self.model.text(
            "x", "y", "name", source=self.ends, x_offset=8, y_offset=-4, text_font_size="15px",
            text_font_style="bold",
        )  # fmt: skip
        names.glyph.update(
            background_fill_color="white", background_fill_alpha=0.8, padding=1, border_radius=3
        )
        self._legend(classes)

    def show_points(self, places: Path) -> None:
        """Puts the points where they are seen; the middle of their rectangle is seen from the start."""
        for kind, source in enumerate(self._points):
            x, y = places[self._labels == kind].T
            source.data = {"x": x, "y": y, "color": [self._looks[kind][0]] * len(x)}

    def show_clusters(self, labels: Int[np.ndarray, " n"] | None, centers: Path) -> None:
        """Colours the points by their clusters, or by their classes again for None; the legend tells the shapes."""
        for sample, (color, _) in zip(self._samples, self._looks, strict=True):
            sample.data["color"] = [color if labels is None else _UNCLUSTERED]
        for kind, source in enumerate(self._points):
            own = self._labels == kind
            colors = [self._looks[kind][0]] * int(own.sum())
            source.data["color"] = colors if labels is None else [_color(k) for k in labels[own].tolist()]
        x, y = centers.T
        self._stars.data = {"x": x, "y": y, "color": [_color(k) for k in range(len(centers))]}

    def show_bounds(self, bounds: Float[np.ndarray, "2 2"], names: Sequence[str]) -> None:
        """What is seen before anybody zooms, and the names of the axes; another rectangle is gone to at once."""
        (left, bottom), (right, top) = bounds.tolist()
        corners = {"x": [left, right], "y": [bottom, top]}
        if corners != self._frame.data:
            self._frame.data = corners
        self.model.xaxis.axis_label, self.model.yaxis.axis_label = names

    def show_scale(self, low: float, high: float) -> None:
        """Sets the ends of the colour scale, of both maps and of the bar."""
        self._shades.update(low=low, high=high)

    def show_map(self, values: Float[np.ndarray, "rows columns"], bounds: Float[np.ndarray, "2 2"]) -> None:
        """Draws values over a rectangle; no colour where they are not finite."""
        self._image.data = _image(values, bounds)

    def show_closer(
        self,
        values: Float[np.ndarray, "rows columns"] | None,
        bounds: Float[np.ndarray, "2 2"] | None = None,
    ) -> None:
        """Draws another map over that one, or takes it away for None."""
        self._closer.data = _image(values, bounds)

    def hide_map(self) -> None:
        """Takes the maps away."""
        self._image.data = self._closer.data = _image(None, None)

    def show_height(self, places: Path) -> None:
        """Draws the map of a line, as a curve."""
        self._height.data = _paths([places])

    def show_curves(self, geodesics: Sequence[Path], lines: Sequence[Path]) -> None:
        """Draws geodesics and straight lines in place of those before."""
        self._geodesic.data, self._straight.data = _paths(geodesics), _paths(lines)

    def show_ends(self, places: Path, names: Sequence[str]) -> None:
        """Marks the ends of the curve, or the corners of a plane to be."""
        self.ends.data = {"x": places[:, 0], "y": places[:, 1], "name": list(names[: len(places)])}

    def show_ball(
        self,
        fan: Sequence[Path],
        distances: Float[np.ndarray, "rows columns"] | None = None,
        bounds: Float[np.ndarray, "2 2"] | None = None,
        radius: float = 1.0,
    ) -> None:
        """Draws the rim of a ball, a level of the distances, and the geodesics that leave its centre."""
        self._fan.data = _paths(fan)
        inside: dict[str, list] = {"xs": [], "ys": []}
        rim = dict(inside)
        if distances is not None and bounds is not None:
            rows, columns = distances.shape
            step = (bounds[1] - bounds[0]) / (columns, rows)
            x, y = (
                low + size * (np.arange(n) + 0.5)
                for low, size, n in zip(bounds[0], step, (columns, rows), strict=True)
            )
            known = np.ma.masked_invalid(distances)
            drawn = contour_data(x, y, known, [-1.0, radius])
            if drawn.fill_data is not None and drawn.line_data is not None:
                inside = {"xs": list(drawn.fill_data.xs), "ys": list(drawn.fill_data.ys)}
                rim = {"xs": list(drawn.line_data.xs[1:]), "ys": list(drawn.line_data.ys[1:])}
        self._inside.data, self._rim.data = inside, rim

    def _empty(self) -> figure:
        self.pan = PanTool()
        tools = [self.pan, WheelZoomTool(), ZoomInTool(), ZoomOutTool(), ResetTool(), SaveTool()]
        model = figure(
            name="map", sizing_mode="stretch_both", min_height=300, match_aspect=not self._is_line, tools=tools,
            toolbar_location="right", background_fill_color="white",
            x_range=DataRange1d(range_padding=0), y_range=DataRange1d(range_padding=0.05 if self._is_line else 0),
        )  # fmt: skip
        model.toolbar.logo = None
        model.toolbar.active_drag = None  # a drag joins two points
        model.toolbar.active_scroll = None  # and the wheel moves the page
        model.grid.visible = False
        corners = model.scatter("x", "y", source=self._frame, size=0, alpha=0)
        if not self._is_line:
            for side in (model.x_range, model.y_range):
                side.update(renderers=[corners])
            self._frame.js_on_change("data", CustomJS(args={"map": model}, code="map.reset.emit()"))
        return model

    def _map_of(self, shades: LinearColorMapper) -> ColumnDataSource:
        source = ColumnDataSource(_image(None, None))
        self.model.image("image", "x", "y", "dw", "dh", source=source, color_mapper=shades)  # type: ignore[call-arg]
        return source

    def _line_of(self, color: str, width: float) -> ColumnDataSource:
        source = ColumnDataSource({"xs": [], "ys": []})
        self.model.multi_line("xs", "ys", source=source, color=color, line_width=width, line_cap="round")
        return source

    def _rimmed(self, color: str, width: float, dash: str = "solid") -> ColumnDataSource:
        """Lines with a white rim that keeps them apart from points and a dark map."""
        source = ColumnDataSource({"xs": [], "ys": []})
        self.model.multi_line("xs", "ys", source=source, color="white", line_width=width + 2.5, alpha=0.8)
        self.model.multi_line("xs", "ys", source=source, color=color, line_width=width, line_dash=dash)
        return source

    def _scatter(self, marker: str) -> tuple[ColumnDataSource, GlyphRenderer]:
        source = ColumnDataSource({"x": [], "y": [], "color": []})
        return source, self.model.scatter(
            "x", "y", source=source, marker=_MARKERS[marker], size=6, fill_color="color", line_color="white",
            line_width=0.4,
        )  # fmt: skip

    def _legend(self, classes: Sequence[str]) -> None:
        """Beneath the toolbar and above the frame, so that it hides no point; with samples that are nowhere else."""
        items: list[Any] = []
        for name, (color, marker) in zip(classes, self._looks, strict=True):
            sample, drawn = self._scatter(marker)
            sample.data = {"x": _NOWHERE, "y": _NOWHERE, "color": [color]}
            self._samples.append(sample)
            items.append(_entry(_short(name), drawn))
        for name, color, width, dash in (
            ("geodesic", GEODESIC, 3.0, "solid"), ("straight line", STRAIGHT, 1.6, "dashed")
        ):  # fmt: skip
            drawn = self.model.multi_line(
                [_NOWHERE], [_NOWHERE], color=color, line_width=width, line_dash=dash
            )
            items.append(_entry(name, drawn))
        legend = Legend(
            items=items, orientation="horizontal", ncols=5, label_text_font_size="12px", padding=2,  # type: ignore[arg-type]
            spacing=6, border_line_width=0, glyph_width=16, margin=0,
        )  # fmt: skip
        self.model.add_layout(legend, "above")
        if not self._is_line:
            bar = ColorBar(
                color_mapper=self._shades, title="log √det G", height=8, padding=4, margin=0, title_standoff=2,
                ticker=BasicTicker(desired_num_ticks=5),
            )  # fmt: skip
            self.model.add_layout(bar, "below")


def _image(
    values: Float[np.ndarray, "rows columns"] | None, bounds: Float[np.ndarray, "2 2"] | None
) -> dict[str, list]:
    if values is None or bounds is None:
        return {"image": [], "x": [], "y": [], "dw": [], "dh": []}
    (left, bottom), (right, top) = bounds.tolist()
    return {
        "image": [values.astype(np.float32)], "x": [left], "y": [bottom], "dw": [right - left], "dh": [top - bottom],
    }  # fmt: skip


def _paths(paths: Sequence[Path]) -> dict[str, list[np.ndarray]]:
    return {"xs": [path[:, 0] for path in paths], "ys": [path[:, 1] for path in paths]}


def _entry(name: str, drawn: Any) -> LegendItem:
    return LegendItem(label=name, renderers=[drawn])


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _color(cluster: int) -> str:
    return COLORS[cluster % len(COLORS)] if cluster >= 0 else _UNCLUSTERED
