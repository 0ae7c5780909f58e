"""Closed forms of the Fisher-Rao geometry of normals, and manifolds for the optimisers of geoopt."""

from latentgeo.gaussians.fisher_rao import fisher_rao_distance, fisher_rao_geodesic
from latentgeo.gaussians.full_bounds import fisher_rao_lower_bound, fisher_rao_upper_bound
from latentgeo.gaussians.latent_manifold import LatentManifold
from latentgeo.gaussians.manifold import DiagonalNormal
from latentgeo.gaussians.posterior import (
    posterior,
    posterior_distance,
    posterior_interpolation,
    posterior_points,
)

__all__ = [
    "DiagonalNormal",
    "LatentManifold",
    "fisher_rao_distance",
    "fisher_rao_geodesic",
    "fisher_rao_lower_bound",
    "fisher_rao_upper_bound",
    "posterior",
    "posterior_distance",
    "posterior_interpolation",
    "posterior_points",
]
