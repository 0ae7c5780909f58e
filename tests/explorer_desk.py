"""The explorer's page without a browser, and scenes of any dimension."""

from __future__ import annotations

import operator
import queue
import time
from collections.abc import Callable

import torch
from bokeh.document import Document

from latentgeo import EuclideanMetric, pullback_metric
from latentgeo.explorer.page import Page
from latentgeo.explorer.scene import scene_of

PATIENCE = 60.0  # seconds


class Desk:
    """A page whose tasks are waited for; the words of its status."""

    def __init__(self, scene) -> None:
        self._calls: queue.Queue = queue.Queue()
        self.page = Page(Document(), scene, post=self._calls.put)
        self.controls = self.page.controls
        self.wait()

    @property
    def words(self) -> str:
        return self.controls.status.text

    def wait(self) -> None:
        """Until no task is running."""
        self._wait(lambda: not self.page.tasks.running)

    def wait_for(self, words: str) -> None:
        """Until the status holds words."""
        self._wait(lambda: words in self.words)

    def _wait(self, until: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < end, "a task did not end"
            try:
                self._calls.get(timeout=0.1)()
            except queue.Empty:
                continue

    def type(self, start: str, end: str) -> str:
        """Types both ends and waits for the curve."""
        self.controls.start.value = start
        self.controls.end.value = end
        self.wait()
        return self.words

    def click(self, name: str) -> str:
        """Presses a button of the page."""
        self.page._guard(operator.attrgetter(name)(self.page))
        self.wait()
        return self.words


def sine_scene(d: int, labels=None):
    """A decoder x = sin(W z) of d latents into more numbers than that."""
    features = d + 5
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(features, d, generator=generator) / d
    latents = torch.randn(40, d, generator=generator)

    def decode(z):
        return torch.sin(z @ weight.T)

    return scene_of(pullback_metric(decode) if d > 1 else EuclideanMetric(1), latents, decode, labels)
