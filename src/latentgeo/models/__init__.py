"""Reference models: networks, variational autoencoders, and a variance that grows away from the data."""

from latentgeo.models.chain_normal import ChainNormal
from latentgeo.models.constant_std import ConstantStd
from latentgeo.models.convolutional import ConvDecoder, ConvEncoder
from latentgeo.models.grid_normal import GridNormal
from latentgeo.models.heads import PosteriorHead
from latentgeo.models.lenet import LeNet5Decoder, LeNet5Encoder
from latentgeo.models.mlp import MLPDecoder, MLPEncoder
from latentgeo.models.network_std import NetworkStd
from latentgeo.models.rbf_precision import RBFPrecision
from latentgeo.models.resnet import ResNet18Decoder, ResNet18Encoder
from latentgeo.models.vae import VAE, Autoencoder

__all__ = [
    "VAE",
    "Autoencoder",
    "ChainNormal",
    "ConstantStd",
    "ConvDecoder",
    "ConvEncoder",
    "GridNormal",
    "LeNet5Decoder",
    "LeNet5Encoder",
    "MLPDecoder",
    "MLPEncoder",
    "NetworkStd",
    "PosteriorHead",
    "RBFPrecision",
    "ResNet18Decoder",
    "ResNet18Encoder",
]
