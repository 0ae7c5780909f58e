"""Riemannian metrics on a latent space: z -> G(z)."""

from latentgeo.metrics.ensemble import ensemble_pullback_metric
from latentgeo.metrics.euclidean import EuclideanMetric
from latentgeo.metrics.fisher import fisher_pullback_metric
from latentgeo.metrics.local_pca import LocalPCAMetric
from latentgeo.metrics.metric import Metric, metric_from_function
from latentgeo.metrics.pullback import expected_pullback_metric, pullback_metric

__all__ = [
    "EuclideanMetric",
    "LocalPCAMetric",
    "Metric",
    "ensemble_pullback_metric",
    "expected_pullback_metric",
    "fisher_pullback_metric",
    "metric_from_function",
    "pullback_metric",
]
