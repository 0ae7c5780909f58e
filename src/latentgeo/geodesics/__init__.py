"""Geodesics between points: the energy of curves, solvers, distances, exponential and logarithm."""

from latentgeo.geodesics.boundary_value import BoundaryValue
from latentgeo.geodesics.distance_errors import SampledErrors, sampled_errors
from latentgeo.geodesics.distance_matrix import distance_matrix
from latentgeo.geodesics.exponential import expmap
from latentgeo.geodesics.georce import Georce
from latentgeo.geodesics.graph_search import GraphSearch
from latentgeo.geodesics.minimize_energy import MinimizeEnergy
from latentgeo.geodesics.result import ConvergenceWarning, GeodesicResult, Status
from latentgeo.geodesics.shooting import Shooting
from latentgeo.geodesics.solve import Solver, distance, geodesic, logmap

__all__ = [
    "BoundaryValue",
    "ConvergenceWarning",
    "GeodesicResult",
    "Georce",
    "GraphSearch",
    "MinimizeEnergy",
    "SampledErrors",
    "Shooting",
    "Solver",
    "Status",
    "distance",
    "distance_matrix",
    "expmap",
    "geodesic",
    "logmap",
    "sampled_errors",
]
