"""What is looked at: latent points and their labels, the decoder, and the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentgeo.explorer.choices import Decode, metric_choices
from latentgeo.explorer.clusters import spread
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import describe
from latentgeo.metrics.metric import check_metric
from latentgeo.plots.palette import COLORS, MARKERS

_MOST_SHOWN = 2000  # points; of more, so many at equal steps of their rows
_MOST_LABELS = len(COLORS) * len(MARKERS)


@dataclass(frozen=True)
class Scene:
    """What the page shows.

    Attributes:
        latents: (N, d) the points that are shown.
        rows: (N,) their rows among all that were given.
        total: how many were given.
        labels: (N,) which of the classes each point has.
        classes: the names of the labels.
        decode: the decoder.
        metrics: by name, the first of them first on the page.
        image_shape: see :func:`latentgeo.explorer.decoded.decoded`.
    """

    latents: Float[Tensor, "n d"]
    rows: Int[Tensor, " n"]
    total: int
    labels: Int[np.ndarray, " n"]
    classes: tuple[str, ...]
    decode: Decode
    metrics: dict[str, Metric]
    image_shape: tuple[int, ...] | None

    @property
    def dimension(self) -> int:
        """The number d of coordinates."""
        return self.latents.shape[1]

    @property
    def looks(self) -> list[tuple[str, str]]:
        """A colour and a marker for each class; beyond seven, colours come again with other markers."""
        count, kinds = len(COLORS), len(MARKERS)
        return [(COLORS[i % count], MARKERS[(i + i // count) % kinds]) for i in range(len(self.classes))]


def scene_of(
    metric: Metric,
    latents: Tensor | np.ndarray,
    decode: Decode,
    labels: object = None,
    *,
    image_shape: Sequence[int] | None = None,
) -> Scene:
    """What the page shows, after a look at whether it fits together; arguments are those of ``explore``.

    Raises:
        TypeError: ``metric`` is no Metric, ``latents`` are no numbers, or ``decode`` is not callable.
        ValueError: ``latents`` are not (N, d), finite and as many as the labels, or the labels too many.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric
        >>> scene = scene_of(EuclideanMetric(2), torch.ones(3, 2), lambda z: z.sin(), ["a", "b", "a"])
        >>> scene.classes, scene.labels.tolist(), list(scene.metrics)
        (('a', 'b'), [0, 1, 0], ['Euclidean', 'pull-back'])
    """
    check_metric(metric)
    if not callable(decode):
        raise TypeError(f"decode must be a callable on batches (N, d), got {describe(decode)}")
    points = _points(latents)
    names, found = _labelled(labels, len(points))
    rows = spread(len(points), _MOST_SHOWN)
    shown = points[rows.to(points.device)]
    choices = metric_choices(metric, decode, shown)
    return Scene(
        latents=shown,
        rows=rows,
        total=len(points),
        labels=found[rows.numpy()],
        classes=names,
        decode=decode,
        metrics=choices,
        image_shape=None if image_shape is None else tuple(image_shape),
    )


def _points(latents: Tensor | np.ndarray) -> Tensor:
    if not isinstance(latents, Tensor | np.ndarray):
        raise TypeError(f"latents must be a tensor or an array (N, d), got {describe(latents)}")
    points = torch.as_tensor(latents).detach()
    if points.ndim != 2 or not points.numel():
        raise ValueError(f"latents must have shape (N, d) with a point, got {describe(points)}")
    if not points.is_floating_point():
        raise TypeError(f"latents must be of a floating-point dtype, got {describe(points)}")
    bad = int((~points.isfinite()).any(1).sum())
    if bad:
        raise ValueError(f"latents must be finite, but {bad} of {len(points)} rows hold NaN or infinity")
    return points


def _labelled(labels: object, count: int) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of the labels, and which of them each point has."""
    if labels is None:
        return ("latents",), np.zeros(count, dtype=np.int64)
    values = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if values.shape != (count,):
        raise ValueError(f"labels must be one for each of the {count} latents, got shape {values.shape}")
    present, found = np.unique(values, return_inverse=True)
    if len(present) > _MOST_LABELS:
        raise ValueError(f"labels: expected at most {_MOST_LABELS} to tell apart, got {len(present)}")
    return tuple(str(label) for label in present.tolist()), found.astype(np.int64)
