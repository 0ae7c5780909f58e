"""Statistics of points under a learned metric."""

from latentgeo.statistics.k_means import GeodesicKMeans

__all__ = ["GeodesicKMeans"]
