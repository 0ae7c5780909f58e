"""The geometry of a metric at a point."""

from latentgeo.geometry.connection import geodesic_acceleration

__all__ = ["geodesic_acceleration"]
