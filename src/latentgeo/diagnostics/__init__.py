"""What a trained model's latents look like: which are used, what they cost, and how likely the data are."""

from latentgeo.diagnostics.divergence import kl_at_ratio, latent_kl, stationary_variance
from latentgeo.diagnostics.encoding import EncodedData, encoded
from latentgeo.diagnostics.gain import reconstruction_gain
from latentgeo.diagnostics.importance_sampling import LogLikelihood, log_likelihood
from latentgeo.diagnostics.moments import (
    LatentStatistics,
    active_units,
    latent_correlation,
    latent_statistics,
)
from latentgeo.diagnostics.protocol import LatentModel
from latentgeo.diagnostics.separability import linear_separability
from latentgeo.diagnostics.spectrum import PCASpectrum, pca_spectrum
from latentgeo.diagnostics.traversal import latent_traversal

__all__ = [
    "EncodedData",
    "LatentModel",
    "LatentStatistics",
    "LogLikelihood",
    "PCASpectrum",
    "active_units",
    "encoded",
    "kl_at_ratio",
    "latent_correlation",
    "latent_kl",
    "latent_statistics",
    "latent_traversal",
    "linear_separability",
    "log_likelihood",
    "pca_spectrum",
    "reconstruction_gain",
    "stationary_variance",
]
