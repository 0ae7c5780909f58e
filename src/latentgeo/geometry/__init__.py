"""The geometry of a metric at a point."""

from latentgeo.geometry.connection import christoffel_symbols, geodesic_acceleration
from latentgeo.geometry.curvature import (
    ricci_tensor,
    riemann_tensor,
    scalar_curvature,
    sectional_curvature,
)
from latentgeo.geometry.transport import parallel_transport
from latentgeo.geometry.volume import log_volume_element, volume_element

__all__ = [
    "christoffel_symbols",
    "geodesic_acceleration",
    "log_volume_element",
    "parallel_transport",
    "ricci_tensor",
    "riemann_tensor",
    "scalar_curvature",
    "sectional_curvature",
    "volume_element",
]
