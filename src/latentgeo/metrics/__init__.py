"""Riemannian metrics on a latent space: z -> G(z)."""

from latentgeo.metrics.euclidean import EuclideanMetric
from latentgeo.metrics.metric import Metric, metric_from_function
from latentgeo.metrics.pullback import expected_pullback_metric, pullback_metric

__all__ = [
    "EuclideanMetric",
    "Metric",
    "expected_pullback_metric",
    "metric_from_function",
    "pullback_metric",
]
