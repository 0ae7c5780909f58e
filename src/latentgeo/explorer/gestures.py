"""What a mouse or a finger does on the map: clicks, ends that are dragged, and what is in view."""

from __future__ import annotations

import math

from bokeh.events import DoubleTap, Event, PointEvent, Press, PressUp
from bokeh.models import ColumnDataSource, CustomJS

from latentgeo.explorer.map_figure import MapFigure

# The second of two quick clicks is no tap to Bokeh, nor is a slow one, wherever they are.
TAPS = ("tap", "doubletap", "press", "pressup")
_SAME = 0.01  # of the view: two places so near are one
_REST = 350  # milliseconds without a move, after which a view is one

# A drag is told to Python when it ends, unless a tool of the figure takes it. One that begins at an end moves it.
# Bokeh calls it a press where it begins with a rest, and then tells of moves only as of those of a mouse.
_DRAG = """
if (pan.active) { return }
const {x, y, sx, sy, event_name} = cb_obj
const [xs, ys] = [ends.get("x"), ends.get("y")]
if (event_name == "panstart" || event_name == "press") {
  const {x_scale, y_scale} = Bokeh.index.find_one(map).frame
  const away = xs.map((_, i) => Math.hypot(x_scale.compute(xs[i]) - sx, y_scale.compute(ys[i]) - sy))
  const nearest = away[1] < away[0] ? 1 : 0
  const reach = matchMedia("(pointer: coarse)").matches ? 28 : 14  // pixels
  const moved = xs.length == 2 && away[nearest] < reach ? nearest : -1
  const kept = moved < 0 ? [x, y] : [xs[1 - moved], ys[1 - moved]]
  drag.begun = {kept, moved, at: [sx, sy], far: event_name == "panstart"}
  return
}
if (!drag.begun) { return }
const {kept: [kept_x, kept_y], moved, at} = drag.begun
if (event_name == "mouseenter") {  // after a drag that the browser took for something else
  drag.begun = null
} else if (event_name == "mousemove") {
  drag.begun.far ||= Math.hypot(sx - at[0], sy - at[1]) > 5
  if (!drag.begun.far) { return }
  const [now_x, now_y] = moved == 0 ? [[x, kept_x], [y, kept_y]] : [[kept_x, x], [kept_y, y]]
  ends.data = {x: now_x, y: now_y, name: ["A", "B"]}
} else {
  const {far} = drag.begun
  drag.begun = null
  if (!far) { return }  // it is a click, of which Python knows
  drag.data = moved < 0 ? {x: [kept_x, x], y: [kept_y, y], end: [0, 1]} : {x: [x], y: [y], end: [moved]}
}
"""
_VIEW = """
clearTimeout(seen.resting)
seen.resting = setTimeout(() => {
  const [x, y] = [map.x_range, map.y_range].map(({start, end}) => [start, end])
  const told = [...seen.get("x"), ...seen.get("y")]
  if ([...x, ...y].every(Number.isFinite) && [...x, ...y].some((side, i) => side != told[i])) { seen.data = {x, y} }
}, rest)
"""


class Taps:
    """Tells the clicks among the events of Bokeh.

    Example:
        >>> from bokeh.events import DoubleTap, Tap
        >>> taps, where = Taps(), {"sx": 0, "sy": 0, "x": 1.0, "y": 2.0}
        >>> taps.place(Tap(None, **where), 9.0), taps.place(DoubleTap(None, **where), 9.0)
        ((1.0, 2.0), None)
    """

    def __init__(self) -> None:
        self._tapped: tuple[float, float] | None = None
        self._pressed: tuple[float, float] | None = None

    def place(self, event: Event, side: float) -> tuple[float, float] | None:
        """Where a click is that ends with this event, of a view of that side; None if there is none."""
        if not isinstance(event, PointEvent) or event.x is None or event.y is None:
            return None
        place = (float(event.x), float(event.y))
        if isinstance(event, Press):
            self._pressed = place
            return None
        if isinstance(event, PressUp):
            return place if _near(place, self._pressed, side) else None  # else it was a drag
        again = isinstance(event, DoubleTap) and _near(place, self._tapped, side)
        self._tapped = place
        return None if again else place


def drags(drawn: MapFigure) -> ColumnDataSource:
    """Where what was dragged has come to: x, y, and which end of the curve it is, one or both."""
    drag = ColumnDataSource({"x": [], "y": [], "end": []}, name="drag")
    heard = CustomJS(
        args={"drag": drag, "ends": drawn.ends, "pan": drawn.pan, "map": drawn.model}, code=_DRAG
    )
    for event in ("panstart", "press", "mousemove", "mouseenter", "panend", "pressup"):
        drawn.model.js_on_event(event, heard)
    return drag


def rests(drawn: MapFigure) -> ColumnDataSource:
    """What is in view once it rests: x and y of its lower left and its upper right corner."""
    seen = ColumnDataSource({"x": [], "y": []}, name="seen")
    heard = CustomJS(args={"seen": seen, "map": drawn.model, "rest": _REST}, code=_VIEW)
    for side in (drawn.model.x_range, drawn.model.y_range):
        for end in ("start", "end"):
            side.js_on_change(end, heard)
    return seen


def _near(place: tuple[float, float], before: tuple[float, float] | None, side: float) -> bool:
    return before is not None and math.dist(place, before) < _SAME * side
