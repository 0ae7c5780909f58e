"""Reference models: networks, variational autoencoders, and a variance that grows away from the data."""

from latentgeo.models.constant_std import ConstantStd
from latentgeo.models.mlp import MLPDecoder, MLPEncoder
from latentgeo.models.rbf_precision import RBFPrecision
from latentgeo.models.vae import VAE, Autoencoder

__all__ = ["VAE", "Autoencoder", "ConstantStd", "MLPDecoder", "MLPEncoder", "RBFPrecision"]
