"""Computations that can be watched and called off: a metric that counts its points and asks whether to go on."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from latentgeo.metrics import Metric
from latentgeo.metrics.immersion import AmbientMap, Immersion


class Cancelled(Exception):
    """A computation was called off."""


class Watch:
    """Counts the latent points at which a metric has been evaluated, and can call the computation off.

    Attributes:
        points: how many so far.
    """

    def __init__(self) -> None:
        self.points = 0
        self._off = threading.Event()

    def cancel(self) -> None:
        """Calls the computation off, from any thread: its next look at the metric ends it."""
        self._off.set()

    def check(self) -> None:
        """Goes on.

        Raises:
            Cancelled: the computation was called off.
        """
        if self._off.is_set():
            raise Cancelled

    def count(self, z: Tensor) -> None:
        """Goes on, with one batch of points (..., d) more; raises as :meth:`check` does."""
        self.check()
        self.points += z.numel() // z.shape[-1]


class WatchedMetric(Metric):
    """A metric whose every evaluation goes past a watch; the same numbers by the same ways.

    Args:
        metric: the metric.
        watch: who counts, and may call off.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric
        >>> watch = Watch()
        >>> matrix = WatchedMetric(EuclideanMetric(2), watch)(torch.zeros(7, 2))
        >>> watch.points
        7
    """

    def __init__(self, metric: Metric, watch: Watch) -> None:
        self._metric = metric
        self._watch = watch
        self._maps: dict[int, Immersion] = {}  # kept, as each finds out once how to differentiate

    @property
    def immersion(self) -> Immersion | None:
        """That of the metric, watched."""
        inner = self._metric.immersion
        return None if inner is None else self._watched(inner)

    @property
    def ambient_map(self) -> AmbientMap | None:
        """That of the metric, watched."""
        inner = self._metric.ambient_map
        return None if inner is None else AmbientMap(self._watched(inner.map), inner.square)

    def resolved(self, z: Float[Tensor, "*batch d"]) -> Metric:
        """The metric as it is known once the decoder has answered at z, watched."""
        known = self._metric.resolved(z)
        return self if known is self._metric else WatchedMetric(known, self._watch)

    def __repr__(self) -> str:
        return f"WatchedMetric({self._metric!r})"

    def __call__(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d d"]:
        """The matrix G(z)."""
        self._watch.count(z)
        return self._metric(z)

    def inner(
        self, z: Float[Tensor, "*#batch d"], u: Float[Tensor, "*#batch d"], v: Float[Tensor, "*#batch d"]
    ) -> Float[Tensor, "..."]:
        """The inner product uᵀ G(z) v."""
        self._watch.count(z)
        return self._metric.inner(z, u, v)

    def _watched(self, inner: Immersion) -> Immersion:
        if id(inner) not in self._maps:
            function = functools.partial(_passing, self._watch, inner.function)
            self._maps[id(inner)] = Immersion(function, decoder=inner.decoder, chunk_size=inner.chunk_size)
        return self._maps[id(inner)]


def _passing(watch: Watch, function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    watch.count(z)
    return function(z)
