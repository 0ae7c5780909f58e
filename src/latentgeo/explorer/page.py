"""The page: what happens when something is clicked, dragged, typed or chosen."""

from __future__ import annotations

import dataclasses
import functools
import html
from collections.abc import Callable
from typing import Any

import torch
from bokeh.document import Document
from bokeh.events import Event
from jaxtyping import Float
from torch import Tensor

from latentgeo.explorer.answers import Answers
from latentgeo.explorer.chosen import Chosen
from latentgeo.explorer.controls import AXES, CORNER, CORNERS, Controls
from latentgeo.explorer.gestures import TAPS, Taps
from latentgeo.explorer.map_figure import MapFigure
from latentgeo.explorer.mapped import Mapped
from latentgeo.explorer.placing import Placing
from latentgeo.explorer.scene import Scene
from latentgeo.explorer.strip_figure import StripFigure
from latentgeo.explorer.tasks import Task, Tasks
from latentgeo.explorer.template import TEMPLATE
from latentgeo.explorer.view import square_around
from latentgeo.metrics import Metric

_LONGEST = 400  # letters of an error
_SLOW = 0.5  # seconds after which a task is worth a word
_POLL = 250  # milliseconds between two looks at the tasks
_HINT = "Click two places of the map, or drag from one to the other; or type them below."


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
        self.answers = Answers(scene, self.controls, self.drawn, self.strips, self.tasks, self.say)
        self.mapped = Mapped(self.drawn, self.tasks, scene.latents, suggest=self._suggest, raised=self._raise)
        self.placing: Placing
        self._taps = Taps()
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
            words = " and ".join(task.words() for task in stopped)
            joined = self.answers.joined
            best = " What is drawn is the best so far." if joined and joined.under_way else ""
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
        controls.seen.on_change("data", self._on_change(self._see))
        for button, act in (
            (controls.clear, self._clear),
            (controls.ball, self._start_ball),
            (controls.cluster, self._start_clusters),
            (controls.curve, self.answers.save),
            (controls.cancel, self.cancel),
        ):
            button.on_click(self._on_event(act))
        for gesture in TAPS:
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
        side = float((self._in_view[1] - self._in_view[0]).amax())
        place = self._taps.place(event, side)
        if place is not None:
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

    @property
    def _in_view(self) -> Float[Tensor, "2 k"]:
        return self.placing.bounds if self.mapped.seen is None else self.mapped.seen

    def _change_metric(self) -> None:
        self.answers.forget()
        self._start_map()
        if len(self.chosen.ends) == 2:
            self.answers.join(self._metric, self.chosen.ends)

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
        self.mapped.seen = None
        self._start_map()

    def _start_map(self) -> None:
        self.placing = dataclasses.replace(self.placing, heights=None)
        self.answers.forget_ball()
        self._redraw()
        self.mapped.start(self._metric, self.placing)

    def _see(self) -> None:
        """Takes what is in view, once nobody has moved it for a while."""
        data = self.controls.seen.data
        corners = [self.placing.place(float(x), float(y)) for x, y in zip(data["x"], data["y"], strict=True)]
        self.mapped.look(torch.stack(corners))

    def _raise(self, values: Tensor) -> None:
        """Draws the map of a line."""
        heights = torch.where(values.isfinite(), values, torch.nan)
        self.placing = dataclasses.replace(self.placing, heights=heights)
        self._redraw()

    def _redraw(self) -> None:
        """Puts points, curves and marks where they are seen."""
        self.drawn.show_bounds(self.placing.frame, self.placing.names)
        self.drawn.show_height(self.placing.curve)
        self.drawn.show_points(self.placing.places(self.scene.latents))
        self._mark()
        self.answers.redraw(self.placing)

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
        self.answers.forget_curve()
        self.chosen.tell(self.placing)
        self._mark()
        if len(self.chosen.ends) == 2:
            self.answers.join(self._metric, self.chosen.ends)
        else:
            self.say("Now the other end.")

    def _mark(self) -> None:
        self.drawn.show_ends(*self.chosen.marks(self.placing))

    def _clear(self) -> None:
        self.chosen.corners, self.chosen.ends = [], []
        self.answers.forget()
        self._follow()
        self.say(_HINT)

    # ... and what is computed from them.

    def _start_ball(self) -> None:
        self.answers.start_ball(self._metric, self.chosen.ends, self._in_view)

    def _start_clusters(self) -> None:
        self.answers.start_clusters(self._metric)

    def _suggest(self, radius: float) -> None:
        """Puts a radius of one digit into the page, for a metric that has not been seen before."""
        if self._paced == self.controls.metric.value or not 0 < radius < float("inf"):
            return
        self._paced = self.controls.metric.value
        rounded = float(f"{radius:.1g}")
        self.controls.radius.update(value=rounded, step=rounded / 4)

    def _report(self) -> None:
        """Says what is under way, if it is slow."""
        slow = [task for task in self.tasks.running if task.seconds > _SLOW]
        words = "; ".join(task.words() for task in slow)
        text = f"<div>At work: {html.escape(words)} …</div>" if words else ""
        if self.controls.progress.text != text:
            self.controls.progress.text = text
        if self.controls.cancel.disabled == bool(slow):
            self.controls.cancel.update(disabled=not slow, button_type="warning" if slow else "default")

    def _ended(self, task: Task, error: Exception | None) -> None:
        if error is not None:
            self.say(f"{task.name}: {_sentence(error)}", error=True)
        self._report()


def _sentence(error: Exception) -> str:
    """What went wrong, as the library says it; the kind of error before words that are not the library's."""
    words = " ".join(str(error).split()) or "no reason given"
    kind = "" if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: "
    return f"{kind}{words if len(words) <= _LONGEST else words[:_LONGEST] + ' …'}"
