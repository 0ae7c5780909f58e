"""Riemannian geometry for the latent space of any decoder."""

from latentgeo.metrics import (
    EuclideanMetric,
    Metric,
    expected_pullback_metric,
    metric_from_function,
    pullback_metric,
)

__all__ = [
    "EuclideanMetric",
    "Metric",
    "expected_pullback_metric",
    "metric_from_function",
    "pullback_metric",
]
