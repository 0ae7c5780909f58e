"""Riemannian geometry for the latent space of any decoder."""

from latentgeo.geodesics import (
    BoundaryValue,
    ConvergenceWarning,
    GeodesicResult,
    Georce,
    GraphSearch,
    MinimizeEnergy,
    Shooting,
    Status,
    distance,
    expmap,
    geodesic,
    logmap,
)
from latentgeo.geometry import geodesic_acceleration
from latentgeo.metrics import (
    EuclideanMetric,
    Metric,
    expected_pullback_metric,
    metric_from_function,
    pullback_metric,
)
from latentgeo.statistics import GeodesicKMeans

__all__ = [
    "BoundaryValue",
    "ConvergenceWarning",
    "EuclideanMetric",
    "GeodesicKMeans",
    "GeodesicResult",
    "Georce",
    "GraphSearch",
    "Metric",
    "MinimizeEnergy",
    "Shooting",
    "Status",
    "distance",
    "expected_pullback_metric",
    "expmap",
    "geodesic",
    "geodesic_acceleration",
    "logmap",
    "metric_from_function",
    "pullback_metric",
]
