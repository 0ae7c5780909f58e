"""Geodesics between points: the energy of curves, solvers, distances, exponential and logarithm."""

from latentgeo.geodesics.exponential import expmap
from latentgeo.geodesics.minimize_energy import MinimizeEnergy
from latentgeo.geodesics.result import ConvergenceWarning, GeodesicResult, Status
from latentgeo.geodesics.solve import Solver, distance, geodesic, logmap

__all__ = [
    "ConvergenceWarning",
    "GeodesicResult",
    "MinimizeEnergy",
    "Solver",
    "Status",
    "distance",
    "expmap",
    "geodesic",
    "logmap",
]
