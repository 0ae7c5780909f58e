"""Riemannian geometry for the latent space of any decoder."""

from latentgeo.geodesics import (
    ConvergenceWarning,
    GeodesicResult,
    MinimizeEnergy,
    Status,
    distance,
    expmap,
    geodesic,
    logmap,
)
from latentgeo.metrics import (
    EuclideanMetric,
    Metric,
    expected_pullback_metric,
    metric_from_function,
    pullback_metric,
)

__all__ = [
    "ConvergenceWarning",
    "EuclideanMetric",
    "GeodesicResult",
    "Metric",
    "MinimizeEnergy",
    "Status",
    "distance",
    "expmap",
    "expected_pullback_metric",
    "geodesic",
    "logmap",
    "metric_from_function",
    "pullback_metric",
]
