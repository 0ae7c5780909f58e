"""Statistics of points under a learned metric."""

from latentgeo.statistics.frechet_mean import FrechetMeanResult, frechet_mean
from latentgeo.statistics.k_means import GeodesicKMeans
from latentgeo.statistics.land import LocallyAdaptiveNormal
from latentgeo.statistics.land_mixture import LocallyAdaptiveNormalMixture
from latentgeo.statistics.neighbors import GeodesicKNeighborsClassifier
from latentgeo.statistics.principal_geodesics import PrincipalGeodesicAnalysis
from latentgeo.statistics.random_walk import random_walk

__all__ = [
    "FrechetMeanResult",
    "GeodesicKMeans",
    "GeodesicKNeighborsClassifier",
    "LocallyAdaptiveNormal",
    "LocallyAdaptiveNormalMixture",
    "PrincipalGeodesicAnalysis",
    "frechet_mean",
    "random_walk",
]
