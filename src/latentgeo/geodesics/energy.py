"""The discrete energy that fits a metric."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.curve_energy import CurveEnergy
from latentgeo.geodesics.immersed_energy import ImmersedEnergy
from latentgeo.geodesics.simpson_energy import AmbientEnergy, QuadratureEnergy
from latentgeo.metrics import Metric


def curve_energy(metric: Metric, start: Float[Tensor, "b d"], end: Float[Tensor, "b d"]) -> CurveEnergy:
    """The discrete energy for a metric: by its immersion or its ambient map, where it has one."""
    metric = metric.resolved(start)
    if metric.immersion is not None:
        return ImmersedEnergy(metric.immersion, start, end)
    if metric.ambient_map is not None:
        return AmbientEnergy(metric, metric.ambient_map, start, end)
    return QuadratureEnergy(metric, start, end)
