"""What is computed from the points that are chosen, and drawn: the curve, the ball and the clusters."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.explorer.balls import Ball, ball
from latentgeo.explorer.clusters import Clusters, cluster
from latentgeo.explorer.computed import curve_steps
from latentgeo.explorer.controls import Controls
from latentgeo.explorer.decoded import Decoded
from latentgeo.explorer.export import curve_file
from latentgeo.explorer.joined import Joined
from latentgeo.explorer.map_figure import MapFigure
from latentgeo.explorer.placing import Placing, array
from latentgeo.explorer.scene import Scene
from latentgeo.explorer.strip_figure import StripFigure
from latentgeo.explorer.tasks import Tasks
from latentgeo.explorer.watched import Watch, WatchedMetric
from latentgeo.metrics import Metric

_SMOOTH = 129  # points of a geodesic that is drawn
_CURVE, _BALL, _CLUSTERS = "the geodesic", "the ball", "the clusters"

Show = Callable[[], None]


class Answers:
    """The answers of one page, each drawn in the latest placing.

    Args:
        scene: what is shown.
        controls: the widgets.
        drawn: the figure of the map.
        strips: the figures beneath it.
        tasks: of the page.
        say: shows a sentence.

    Attributes:
        joined: the curve that is drawn, or None.
        ball: the ball that is drawn, or None.
        clusters: those by which the points are coloured, or None.
    """

    def __init__(
        self,
        scene: Scene,
        controls: Controls,
        drawn: MapFigure,
        strips: StripFigure,
        tasks: Tasks,
        say: Callable[[str], None],
    ) -> None:
        self._scene = scene
        self._controls = controls
        self._drawn = drawn
        self._strips = strips
        self._tasks = tasks
        self._say = say
        self._placing: Placing
        self.joined: Joined | None = None
        self.ball: Ball | None = None
        self.clusters: Clusters | None = None

    def redraw(self, placing: Placing) -> None:
        """Draws the curve and the clusters where they now are."""
        self._placing = placing
        self._show_joined(self.joined)
        self._show_clusters(self.clusters)

    def forget(self) -> None:
        """Takes away what belongs to one metric."""
        self.forget_curve()
        self.forget_ball()
        self._tasks.cancel(_CLUSTERS)
        self._show_clusters(None)

    def forget_curve(self) -> None:
        """Takes the curve away."""
        self._tasks.cancel(_CURVE)
        self._show_joined(None)

    def forget_ball(self) -> None:
        """Takes the ball away, which belongs to one plane."""
        self._tasks.cancel(_BALL)
        self._show_ball(None)

    def join(self, metric: Metric, ends: Sequence[Float[Tensor, " d"]]) -> None:
        """Starts the search for the geodesic between two ends."""
        start, end = ends
        decode, shape = self._scene.decode, self._scene.image_shape

        def steps(watch: Watch) -> Iterator[Show]:
            for joined, seen in curve_steps(metric, start, end, decode, shape, watch):
                yield functools.partial(self._show_joined, joined, seen)

        self._tasks.start(_CURVE, steps)

    def start_ball(
        self, metric: Metric, ends: Sequence[Float[Tensor, " d"]], bounds: Float[Tensor, "2 k"]
    ) -> None:
        """Starts the ball around the first end.

        Args:
            metric: the metric.
            ends: of the curve.
            bounds: what is in view.

        Raises:
            ValueError: there is no centre, or no radius.
        """
        if not ends:
            raise ValueError("the ball: choose its centre first, as A")
        radius = self._controls.radius.value
        if radius is None:
            raise ValueError("the radius: expected a positive number")
        plane, center = self._placing.plane, ends[0]

        def steps(watch: Watch) -> Iterator[Show]:
            for found in ball(WatchedMetric(metric, watch), plane, center, float(radius), bounds):
                yield functools.partial(self._show_ball, found, bounds)

        self._tasks.start(_BALL, steps)

    def start_clusters(self, metric: Metric) -> None:
        """Starts the clusters of the points.

        Raises:
            ValueError: their number is none.
        """
        count = self._controls.count.value
        if count is None or int(count) != count:
            raise ValueError("the clusters: expected a whole number of them")
        latents = self._scene.latents

        def steps(watch: Watch) -> Iterator[Show]:
            found = cluster(WatchedMetric(metric, watch), latents, int(count))
            yield functools.partial(self._show_clusters, found)

        self._tasks.start(_CLUSTERS, steps)

    def save(self) -> None:
        """Brings the curve to the browser as a file.

        Raises:
            ValueError: there is none.
        """
        if self.joined is None:
            raise ValueError("there is no curve to save: choose two ends first")
        content = curve_file(self.joined, self._controls.metric.value)
        text = base64.b64encode(content).decode()
        self._controls.file.data = {"name": ["latentgeo-curve.npz"], "base64": [text]}
        self._say("The curve is saved as latentgeo-curve.npz, which numpy.load reads.")

    def _show_joined(self, joined: Joined | None, seen: Decoded | None = None) -> None:
        is_new = joined is not self.joined
        self.joined = joined
        self._controls.curve.disabled = joined is None
        if joined is None:
            self._drawn.show_curves([], [])
            self._strips.show(None)
            return
        smooth = joined.result.at(torch.linspace(0, 1, _SMOOTH))[0]
        self._drawn.show_curves([self._placing.places(smooth)], [self._placing.places(joined.line)])
        if seen is not None:
            self._strips.show(seen, (float(joined.result.length[0]), joined.line_length))
        if is_new:  # else something else may have been said since
            self._say(joined.words())

    def _show_ball(self, found: Ball | None, bounds: Float[Tensor, "2 k"] | None = None) -> None:
        self.ball = found
        if found is None:
            self._drawn.show_ball([])
            return
        fan = [self._placing.places(path) for path in found.fan]
        if found.distances is None or bounds is None:
            self._drawn.show_ball(fan)
        else:
            self._drawn.show_ball(fan, found.distances.numpy(), array(bounds), found.radius)
        self._say(found.words())

    def _show_clusters(self, found: Clusters | None) -> None:
        new = found is not None and found is not self.clusters
        self.clusters = found
        if found is None:
            self._drawn.show_clusters(None, np.zeros((0, 2)))
            return
        self._drawn.show_clusters(found.labels.cpu().numpy(), self._placing.places(found.centers))
        if new:
            self._say(found.words())
