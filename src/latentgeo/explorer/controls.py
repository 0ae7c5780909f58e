"""What can be set on the page, each reachable by Tab and each with its words."""

from __future__ import annotations

from typing import Any

from bokeh.models import Button, ColumnDataSource, CustomJS, Div, Select, Spinner, TextInput

from latentgeo.explorer.gestures import drags, rests
from latentgeo.explorer.map_figure import MapFigure
from latentgeo.explorer.scene import Scene
from latentgeo.explorer.strip_figure import StripFigure

PRINCIPAL, AXES, CORNERS = "principal plane", "two coordinates", "through three latents"
PLACE, NEAREST, CORNER = "a place of the plane", "the nearest latent", "a corner of the plane"

# From the map and what is seen beneath it to one picture; the strips' figure that is hidden has no size.
_PICTURE = """
const shown = [map, images, profiles].filter((model) => model.visible)
const parts = shown.map((model) => Bokeh.index.find_one(model).export("png").canvas).filter((part) => part.height > 0)
const canvas = document.createElement("canvas")
canvas.width = Math.max(...parts.map((part) => part.width))
canvas.height = parts.reduce((sum, part) => sum + part.height, 60)
const pen = canvas.getContext("2d")
pen.fillStyle = "white"
pen.fillRect(0, 0, canvas.width, canvas.height)
let y = 0
for (const part of parts) { pen.drawImage(part, 0, y); y += part.height }
pen.fillStyle = "black"
pen.font = "20px sans-serif"
const words = new DOMParser().parseFromString(status.text, "text/html").body.textContent
pen.fillText(words, 8, y + 36, canvas.width - 16)
canvas.toBlob((blob) => {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(blob)
  link.download = "latentgeo-view.png"
  link.click()
  URL.revokeObjectURL(link.href)
})
"""
_DOWNLOAD = """
const link = document.createElement("a")
link.href = "data:application/octet-stream;base64," + cb_obj.data.base64[0]
link.download = cb_obj.data.name[0]
link.click()
"""


class Controls:
    """The widgets of the page.

    Args:
        scene: what is shown.
        drawn: the figure of the map, of which drags are listened to.
        strips: the figures beneath it.
    """

    def __init__(self, scene: Scene, drawn: MapFigure, strips: StripFigure) -> None:
        d = scene.dimension
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": (2, 4, 2, 4)}
        names: list[Any] = list(scene.metrics)  # Bokeh takes more than texts
        self.metric = Select(name="metric", title="Metric", value=names[0], options=names, **wide)
        planes: list[Any] = [PRINCIPAL, AXES, CORNERS]
        self.plane = Select(
            name="plane", title="Plane", value=PRINCIPAL, options=planes, visible=d > 2, **wide
        )
        self.axes = TextInput(
            name="axes", title=f"Coordinates (0 to {d - 1})", value="0, 1", visible=False, **wide
        )
        self.corners = TextInput(
            name="corners", title="Rows of three latents", value="", visible=False, **wide
        )
        clicks: list[Any] = [PLACE, NEAREST, *([CORNER] if d > 2 else [])]
        first = NEAREST if d > 2 else PLACE  # in a plane through many dimensions there may be no data at all
        self.click = Select(name="click", title="A click chooses", value=first, options=clicks, **wide)
        hint = "x, y" if d > 1 else "x"
        self.start = TextInput(name="start", title="From A", placeholder=f"{hint} or #row", **wide)
        self.end = TextInput(name="end", title="To B", placeholder=f"{hint} or #row", **wide)
        self.clear = Button(name="clear", label="Clear", **wide)
        self.radius = Spinner(
            name="radius", title="Radius (ambient units)", value=1.0, low=0.0, step=0.25, **wide
        )
        self.ball = Button(name="ball", label="Ball and fan at A", **wide)
        most = min(20, len(scene.latents))
        self.count = Spinner(
            name="count",
            title="How many",
            value=min(max(2, len(scene.classes)), most),
            low=1,
            high=most,
            **wide,
        )
        self.cluster = Button(name="cluster", label="k-means", **wide)
        self.picture = Button(name="picture", label="Picture (PNG)", **wide)
        self.curve = Button(name="curve", label="Curve (NPZ)", disabled=True, **wide)
        self.cancel = Button(name="cancel", label="Cancel", disabled=True, **wide)
        self.status = Div(name="status", sizing_mode="stretch_width", margin=0)
        self.progress = Div(name="progress", sizing_mode="stretch_width", margin=0)

        self.file = ColumnDataSource({"name": [], "base64": []}, name="file")
        self.file.js_on_change("data", CustomJS(code=_DOWNLOAD))
        self.curve.tags = [self.file]  # only what hangs on a widget reaches the browser
        self.drag, self.seen = drags(drawn), rests(drawn)
        figures = {"map": drawn.model, "images": strips.images, "profiles": strips.profiles}
        self.picture.js_on_click(CustomJS(args={**figures, "status": self.status}, code=_PICTURE))

    @property
    def widgets(self) -> tuple[Select | TextInput | Spinner | Button | Div, ...]:
        """All of them, in the order of Tab."""
        return (
            self.metric, self.plane, self.axes, self.corners, self.click, self.start, self.end, self.clear,
            self.radius, self.ball, self.count, self.cluster, self.picture, self.curve, self.cancel, self.status,
            self.progress,
        )  # fmt: skip
