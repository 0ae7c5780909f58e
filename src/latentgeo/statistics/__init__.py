"""Statistics of points under a learned metric."""

from latentgeo.statistics.frechet_mean import FrechetMeanResult, frechet_mean
from latentgeo.statistics.k_means import GeodesicKMeans

__all__ = ["FrechetMeanResult", "GeodesicKMeans", "frechet_mean"]
