"""The metrics that can be looked at: the one given, the flat one, and what the decoder's answer allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from latentgeo.metrics import (
    EuclideanMetric,
    Metric,
    expected_pullback_metric,
    fisher_pullback_metric,
    pullback_metric,
)

_SAME = 1e-4  # relative difference of two metrics that are one, in float32
_LOOKED_AT = 8  # points

Decode = Callable[[Tensor], Any]


def metric_choices(metric: Metric, decode: Decode, latents: Float[Tensor, "n d"]) -> dict[str, Metric]:
    """The metrics by their names, the given one first.

    Args:
        metric: the metric that was given; named for one of the others where it is that, by its values.
        decode: the decoder: of tensors, of (mean, std), or of distributions.
        latents: (N, d) points, at some of which it is asked.

    Returns:
        The metrics; always with the Euclidean one.

    Example:
        >>> import torch
        >>> from latentgeo import expected_pullback_metric
        >>> decode = lambda z: (z, z.square())
        >>> list(metric_choices(expected_pullback_metric(decode), decode, torch.rand(9, 2)))
        ['expected pull-back', 'Euclidean']
    """
    some = latents[:_LOOKED_AT]
    others = {**_of_decoder(decode, some), "Euclidean": EuclideanMetric(latents.shape[1])}
    with torch.no_grad():
        given = metric(some)
        name = next((other for other, known in others.items() if _agree(given, known(some))), "as given")
    others.pop(name, None)
    return {name: metric, **others}


def _of_decoder(decode: Decode, some: Tensor) -> dict[str, Metric]:
    """Those of the metrics by a decoder that can be evaluated at some points."""
    with torch.no_grad():
        output = decode(some.clone())
    if isinstance(output, Tensor):
        tried = {"pull-back": pullback_metric(decode)}
    elif isinstance(output, Distribution):
        tried = {
            "expected pull-back": expected_pullback_metric(decode),
            "Fisher": fisher_pullback_metric(decode),
        }
    else:
        tried = {"expected pull-back": expected_pullback_metric(decode)}
    return {name: metric for name, metric in tried.items() if _answers(metric, some)}


def _answers(metric: Metric, some: Tensor) -> bool:
    """Whether the decoder's answer is of a kind that this metric is made of."""
    try:
        with torch.no_grad():
            metric(some)
    except (TypeError, ValueError, NotImplementedError):
        return False
    return True


def _agree(one: Tensor, other: Tensor) -> bool:
    size = float(torch.maximum(one.abs().amax(), other.abs().amax()))
    return float((one - other).abs().amax()) <= _SAME * size
