"""The map behind the points: around them all at first, and anew of what is in view once that rests."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from jaxtyping import Float
from torch import Tensor

from latentgeo.explorer.balls import visible_radius
from latentgeo.explorer.charts import Chart, Charts, can_be_finer
from latentgeo.explorer.computed import RESOLUTION, map_steps
from latentgeo.explorer.map_figure import MapFigure
from latentgeo.explorer.placing import Placing, array
from latentgeo.explorer.tasks import Tasks
from latentgeo.explorer.view import smoothed, volume_map
from latentgeo.explorer.watched import Watch, WatchedMetric
from latentgeo.metrics import Metric

_MAP, _CLOSER = "the map", "the map of what is in view"


class Mapped:
    """The map of one page.

    The colours keep their scale at every zoom, that of the map around all points: a colour is one value of log √det G
    wherever one looks, and the bar beneath always says which.

    Args:
        drawn: the figure.
        tasks: of the page.
        latents: (N, d) the points that are shown.
        suggest: told a radius of balls that are seen well.
        raised: told the map of a line, which is drawn as a curve.

    Attributes:
        seen: (2, k) what is in view, as far as the browser has told.
    """

    def __init__(
        self,
        drawn: MapFigure,
        tasks: Tasks,
        latents: Float[Tensor, "n d"],
        *,
        suggest: Callable[[float], None],
        raised: Callable[[Tensor], None],
    ) -> None:
        self._drawn = drawn
        self._tasks = tasks
        self._latents = latents
        self._suggest = suggest
        self._raised = raised
        self._charts = Charts()
        self.seen: Float[Tensor, "2 k"] | None = None

    def start(self, metric: Metric, placing: Placing) -> None:
        """Starts the map around all points, in place of all that is known of another metric or plane."""
        self._metric, self._placing = metric, placing
        self._charts = Charts()
        self._tasks.cancel(_CLOSER)
        self._tasks.start(_MAP, self._steps)

    def look(self, bounds: Float[Tensor, "2 k"]) -> None:
        """Takes what is in view: draws the finest map of it, and computes one where there is none so fine.

        The map around all points comes first, and in between the maps that are known stay.
        """
        self.seen = bounds
        if not self._tasks.is_running(_MAP):
            self._look_closer()

    def _steps(self, watch: Watch) -> Iterator[Callable[[], None] | None]:
        metric, placing = WatchedMetric(self._metric, watch), self._placing
        plane, bounds = placing.plane, placing.bounds
        yield functools.partial(self._suggest, visible_radius(metric, plane, bounds, self._latents))
        for values in map_steps(metric, plane, bounds):
            yield None if values is None else functools.partial(self._show, values)
        yield self._look_closer

    def _show(self, values: Tensor) -> None:
        self._drawn.hide_map()  # which may be that of another metric, should there be none of this
        if self._placing.is_line:
            self._raised(values)
            return
        self._charts.home = Chart(self._placing.bounds, values)
        self._drawn.show_scale(*self._charts.scale)
        self._drawn.show_map(smoothed(values).numpy(), self._placing.frame)

    def _look_closer(self) -> None:
        self._tasks.cancel(_CLOSER)
        bounds = self.seen
        if bounds is None or self._placing.is_line:
            return
        chart = self._charts.of(bounds, RESOLUTION)
        if chart is not None:
            self._draw(chart)
        elif can_be_finer(bounds, RESOLUTION):
            self._tasks.start(_CLOSER, functools.partial(self._closer_steps, bounds))

    def _closer_steps(
        self, bounds: Float[Tensor, "2 2"], watch: Watch
    ) -> Iterator[Callable[[], None] | None]:
        metric = WatchedMetric(self._metric, watch)
        for values in volume_map(metric, self._placing.plane, bounds, RESOLUTION):
            yield None if values is None else functools.partial(self._keep, Chart(bounds, values))

    def _keep(self, chart: Chart) -> None:
        self._charts.add(chart)
        self._draw(chart)

    def _draw(self, chart: Chart) -> None:
        if chart is self._charts.home:
            self._drawn.show_closer(None)
            return
        self._drawn.show_scale(*self._charts.scale)
        self._drawn.show_closer(smoothed(chart.values).numpy(), array(chart.bounds))
