"""The page: what happens when something is clicked, dragged, typed or chosen."""

from __future__ import annotations

import base64
import dataclasses
import functools
import html
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from bokeh.document import Document
from bokeh.events import DoubleTap, Event, PointEvent
from torch import Tensor

from latentgeo.explorer.balls import Ball, ball, visible_radius
from latentgeo.explorer.chosen import Chosen
from latentgeo.explorer.clusters import Clusters, cluster
from latentgeo.explorer.computed import curve_steps, map_steps
from latentgeo.explorer.controls import AXES, CORNER, CORNERS, Controls
from latentgeo.explorer.decoded import Decoded
from latentgeo.explorer.export import curve_file
from latentgeo.explorer.joined import Joined
from latentgeo.explorer.map_figure import MapFigure
from latentgeo.explorer.placing import Placing
from latentgeo.explorer.scene import Scene
from latentgeo.explorer.strip_figure import StripFigure
from latentgeo.explorer.tasks import Task, Tasks
from latentgeo.explorer.template import TEMPLATE
from latentgeo.explorer.view import scale_of, smoothed, square_around
from latentgeo.explorer.watched import Watch, WatchedMetric
from latentgeo.metrics import Metric

Show = Callable[[], None]

_SMOOTH = 129  # points of a geodesic that is drawn
_LONGEST = 400  # letters of an error
_SAME = 0.01  # of the view: two quick clicks so near are one
_SLOW = 0.5  # seconds after which a task is worth a word
_POLL = 250  # milliseconds between two looks at the tasks
_HINT = "Click two places of the map, or drag from one to the other; or type them below."
_MAP, _CURVE, _BALL, _CLUSTERS = "the map", "the geodesic", "the ball", "the clusters"


class Page:
    """One page in one browser.

    Args:
        document: of Bokeh, which is filled.
        scene: what is shown.
        post: brings a call from another thread to that of the page; the document's own way, if None.
    """

    def __init__(
        self, document: Document, scene: Scene, *, post: Callable[[Callable[[], None]], object] | None = None
    ) -> None:
        self.scene = scene
        is_line = scene.dimension == 1
        self.drawn = MapFigure(scene.classes, scene.looks, scene.labels, is_line=is_line)
        self.strips = StripFigure()
        self.controls = Controls(scene, self.drawn, self.strips)
        to_page = post or document.add_next_tick_callback
        self.tasks = Tasks(lambda show: to_page(functools.partial(self._guard, show)), self._ended)
        self.chosen = Chosen(scene, self.controls)
        self.joined: Joined | None = None
        self.ball: Ball | None = None
        self.clusters: Clusters | None = None
        self.placing: Placing
        self._tapped: tuple[float, float] | None = None
        self._paced: str | None = None  # the metric that the radius was suggested for
        self._listen(document)
        self._fill(document)
        self.say(_HINT)
        self._guard(self._look)

    def say(self, words: str, *, error: bool = False) -> None:
        """Shows a sentence, an error in another colour and with that word."""
        text = html.escape(words)
        self.controls.status.text = (
            f'<div role="alert" style="color:#9b1c00;font-size:15px"><b>Error:</b> {text}</div>'
            if error
            else f'<div style="font-size:15px">{text}</div>'
        )

    def cancel(self) -> None:
        """Calls off all that is under way; what was found so far stays."""
        stopped = self.tasks.cancel()
        if stopped:
            words = " and ".join(_spent(task) for task in stopped)
            best = " What is drawn is the best so far." if self.joined and self.joined.under_way else ""
            self.say(f"Called off: {words}.{best}")
        self._report()

    def tap(self, x: float, y: float) -> None:
        """Takes a click at a point of the figure for an end, or for a corner of the plane."""
        before = self.chosen.ends
        if self.chosen.tap(self.placing.place(x, y), self.placing):
            self._look()
        elif self.chosen.ends is not before:
            self._follow()
        self._mark()

    def _listen(self, document: Document) -> None:
        controls = self.controls
        for widget, act in (
            (controls.metric, self._change_metric),
            (controls.plane, self._change_plane),
            (controls.axes, self._look),
            (controls.corners, self._look),
            (controls.start, functools.partial(self._type, 0)),
            (controls.end, functools.partial(self._type, 1)),
        ):
            widget.on_change("value", self._on_change(act))
        controls.drag.on_change("data", self._on_change(self._drag))
        for button, act in (
            (controls.clear, self._clear),
            (controls.ball, self._start_ball),
            (controls.cluster, self._start_clusters),
            (controls.curve, self._save),
            (controls.cancel, self.cancel),
        ):
            button.on_click(self._on_event(act))
        # the second of two quick clicks is no tap to Bokeh, nor is a slow one, wherever they are
        for gesture in ("tap", "doubletap", "press"):
            self.drawn.model.on_event(gesture, self._on_tap)
        document.add_periodic_callback(self._report, _POLL)
        document.on_session_destroyed(self._leave)

    def _fill(self, document: Document) -> None:
        figures = (self.drawn.model, self.strips.images, self.strips.profiles)
        with document.models.freeze():  # else all that hangs on the page is looked through for each
            for root in (*figures, *self.controls.widgets):
                document.add_root(root)
        document.title = "latentgeo: a latent space"
        document.template = TEMPLATE  # type: ignore[assignment] - text, from which the server makes one
        shown, total = len(self.scene.latents), self.scene.total
        some = f"{shown} of {total}" if shown < total else str(total)
        document.template_variables["about"] = f"{some} latents of dimension {self.scene.dimension}"

    def _on_change(self, act: Callable[[], None]) -> Callable[[str, Any, Any], None]:
        """An answer to the user's change of a widget; to the page's own there is none."""

        def answer(attr: str, old: Any, new: Any) -> None:
            del attr, old, new
            if not self.chosen.is_echo:
                self._guard(act)

        return answer

    def _on_event(self, act: Callable[[], None]) -> Callable[[Event], None]:
        def answer(event: Event) -> None:
            del event
            self._guard(act)

        return answer

    def _on_tap(self, event: Event) -> None:
        if not isinstance(event, PointEvent) or event.x is None or event.y is None:
            return
        place, before = (float(event.x), float(event.y)), self._tapped
        self._tapped = place
        side = float((self.placing.bounds[1] - self.placing.bounds[0]).amax())
        if not (isinstance(event, DoubleTap) and before and math.dist(place, before) < _SAME * side):
            self._guard(functools.partial(self.tap, *place))

    def _leave(self, context: object) -> None:
        del context
        self.tasks.cancel()

    def _guard(self, act: Callable[[], None]) -> None:
        """Does something; what goes wrong is said on the page."""
        try:
            act()
        except Exception as error:  # noqa: BLE001
            self.say(_sentence(error), error=True)

    # What is looked at ...

    @property
    def _metric(self) -> Metric:
        return self.scene.metrics[self.controls.metric.value]

    def _change_metric(self) -> None:
        self._forget()
        self._look()
        if len(self.chosen.ends) == 2:
            self._start_curve()

    def _change_plane(self) -> None:
        kind = self.controls.plane.value
        self.controls.axes.visible = kind == AXES
        self.controls.corners.visible = kind == CORNERS
        if kind == CORNERS and not self.controls.corners.value:
            self.chosen.write(self.controls.click, CORNER)
            self.say("Click three latents of the map, or type their rows: the plane goes through them.")
            return
        self._look()

    def _look(self) -> None:
        """Draws all anew in the plane that is chosen, and starts its map."""
        plane = self.chosen.plane()
        self.placing = Placing(plane, square_around(plane.project(self.scene.latents)))
        self._show_ball(None)
        self._redraw()
        self.tasks.start(_MAP, functools.partial(self._map_steps, self._metric, self.placing))

    def _map_steps(self, metric: Metric, placing: Placing, watch: Watch) -> Iterator[Show | None]:
        plane, bounds = placing.plane, placing.bounds
        radius = visible_radius(WatchedMetric(metric, watch), plane, bounds, self.scene.latents)
        yield functools.partial(self._suggest, radius)
        for values in map_steps(metric, plane, bounds, watch):
            yield None if values is None else functools.partial(self._show_map, values)

    def _show_map(self, values: Tensor) -> None:
        self.drawn.hide_map()  # which may be that of another metric, should there be none of this
        low, high = scale_of(values)
        if not self.placing.is_line:
            self.drawn.show_map(smoothed(values).numpy(), self.placing.frame, low, high)
            return
        heights = torch.where(values.isfinite(), values, torch.nan)
        self.placing = dataclasses.replace(self.placing, heights=heights)
        self._redraw()

    def _redraw(self) -> None:
        """Puts points, curves and marks where they are seen."""
        self.drawn.show_bounds(self.placing.frame, self.placing.names)
        self.drawn.show_height(self.placing.curve)
        self.drawn.show_points(self.placing.places(self.scene.latents))
        self._mark()
        self._show_joined(self.joined)
        self._show_clusters(self.clusters)

    # ... what is chosen ...

    def _drag(self) -> None:
        self.chosen.drag(self.placing)
        self._follow()

    def _type(self, end: int) -> None:
        if self.chosen.type(end, self.placing):
            self._follow()
        else:
            self.say("Now the other end.")

    def _follow(self) -> None:
        """Shows the ends that were chosen, and joins them."""
        self.tasks.cancel(_CURVE)
        self._show_joined(None)
        self.chosen.tell(self.placing)
        self._mark()
        if len(self.chosen.ends) == 2:
            self._start_curve()
        else:
            self.say("Now the other end.")

    def _mark(self) -> None:
        self.drawn.show_ends(*self.chosen.marks(self.placing))

    def _clear(self) -> None:
        self.tasks.cancel(_CURVE, _BALL, _CLUSTERS)
        self.chosen.corners, self.chosen.ends = [], []
        self._forget()
        self._follow()
        self.say(_HINT)

    def _forget(self) -> None:
        """Takes away what belongs to one metric."""
        self.tasks.cancel(_CURVE, _BALL, _CLUSTERS)
        self._show_joined(None)
        self._show_ball(None)
        self._show_clusters(None)

    # ... and what is computed from them.

    def _start_curve(self) -> None:
        metric, scene, (start, end) = self._metric, self.scene, self.chosen.ends

        def steps(watch: Watch) -> Iterator[Show]:
            for joined, seen in curve_steps(metric, start, end, scene.decode, scene.image_shape, watch):
                yield functools.partial(self._show_joined, joined, seen)

        self.tasks.start(_CURVE, steps)

    def _show_joined(self, joined: Joined | None, seen: Decoded | None = None) -> None:
        again = joined is not None and joined is self.joined and seen is None
        self.joined = joined
        self.controls.curve.disabled = joined is None
        if joined is None:
            self.drawn.show_curves([], [])
            self.strips.show(None)
            return
        smooth = joined.result.at(torch.linspace(0, 1, _SMOOTH))[0]
        self.drawn.show_curves([self.placing.places(smooth)], [self.placing.places(joined.line)])
        if seen is not None:
            self.strips.show(seen, (float(joined.result.length[0]), joined.line_length))
        if not again:
            self.say(joined.words())

    def _start_ball(self) -> None:
        if not self.chosen.ends:
            raise ValueError("the ball: choose its centre first, as A")
        radius = self.controls.radius.value
        if radius is None:
            raise ValueError("the radius: expected a positive number")
        metric, placing, center = self._metric, self.placing, self.chosen.ends[0]

        def steps(watch: Watch) -> Iterator[Show]:
            for found in ball(
                WatchedMetric(metric, watch), placing.plane, center, float(radius), placing.bounds
            ):
                yield functools.partial(self._show_ball, found)

        self.tasks.start(_BALL, steps)

    def _show_ball(self, found: Ball | None) -> None:
        self.ball = found
        if found is None:
            self.drawn.show_ball([])
            return
        fan = [self.placing.places(path) for path in found.fan]
        distances = None if found.distances is None else found.distances.numpy()
        self.drawn.show_ball(fan, distances, self.placing.frame, found.radius)
        self.say(found.words())

    def _start_clusters(self) -> None:
        count = self.controls.count.value
        if count is None or int(count) != count:
            raise ValueError("the clusters: expected a whole number of them")
        metric, latents = self._metric, self.scene.latents

        def steps(watch: Watch) -> Iterator[Show]:
            found = cluster(WatchedMetric(metric, watch), latents, int(count))
            yield functools.partial(self._show_clusters, found)

        self.tasks.start(_CLUSTERS, steps)

    def _show_clusters(self, found: Clusters | None) -> None:
        new = found is not None and found is not self.clusters
        self.clusters = found
        if found is None:
            self.drawn.show_clusters(None, np.zeros((0, 2)))
            return
        self.drawn.show_clusters(found.labels.cpu().numpy(), self.placing.places(found.centers))
        if new:
            self.say(found.words())

    def _suggest(self, radius: float) -> None:
        """Puts a radius of one digit into the page, for a metric that has not been seen before."""
        if self._paced == self.controls.metric.value or not 0 < radius < float("inf"):
            return
        self._paced = self.controls.metric.value
        rounded = float(f"{radius:.1g}")
        self.controls.radius.update(value=rounded, step=rounded / 4)

    def _save(self) -> None:
        if self.joined is None:
            raise ValueError("there is no curve to save: choose two ends first")
        content = curve_file(self.joined, self.controls.metric.value)
        text = base64.b64encode(content).decode()
        self.controls.file.data = {"name": ["latentgeo-curve.npz"], "base64": [text]}
        self.say("The curve is saved as latentgeo-curve.npz, which numpy.load reads.")

    def _report(self) -> None:
        """Says what is under way, if it is slow."""
        slow = [task for task in self.tasks.running if task.seconds > _SLOW]
        words = "; ".join(_spent(task) for task in slow)
        text = f"<div>At work: {html.escape(words)} …</div>" if words else ""
        if self.controls.progress.text != text:
            self.controls.progress.text = text
        if self.controls.cancel.disabled == bool(slow):
            self.controls.cancel.disabled = not slow

    def _ended(self, task: Task, error: Exception | None) -> None:
        if error is not None:
            self.say(f"{task.name}: {_sentence(error)}", error=True)
        self._report()


def _spent(task: Task) -> str:
    return f"{task.name}, {task.seconds:.1f} s, {task.watch.points:,} points"


def _sentence(error: Exception) -> str:
    """What went wrong, as the library says it; the kind of error before words that are not the library's."""
    words = " ".join(str(error).split()) or "no reason given"
    kind = "" if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: "
    return f"{kind}{words if len(words) <= _LONGEST else words[:_LONGEST] + ' …'}"
