"""The variational autoencoder of "Latent Space Oddity": a mean that is trained first, a precision that follows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentgeo.models import VAE, ConstantStd, MLPDecoder, MLPEncoder, RBFPrecision
from latentgeo.training import fit, fit_precision
from latentgeo.training.generators import seeded_generators

HIDDEN = (64, 32)  # of the encoder; the decoder mirrors them


@dataclass(frozen=True, kw_only=True)
class RBFVAEConfig:
    """How the model is trained.

    Attributes:
        epochs: passes over the data with one standard deviation for all outputs, before the precision is fitted.
        batch_size: rows a step.
        learning_rate: of Adam.
        weight_decay: the L2 penalty.
        num_centers: radial basis functions of the precision.
        a: their width in units of the extents of their clusters.
        std: that standard deviation, in grey levels; None learns it.
    """

    epochs: int
    batch_size: int
    learning_rate: float = 1e-2
    weight_decay: float = 1e-5
    num_centers: int = 64
    a: float = 2.0
    std: float | None = None


def rbf_vae(features: int, num_centers: int | None = None, *, std: float | None = None) -> VAE:
    """The model before it is trained: tanh networks 64-32 and 32-64, two latents, means through a sigmoid.

    Args:
        features: D.
        num_centers: of the RBF precision, for a model that is going to be loaded; None for a constant variance.
        std: the standard deviation of that; None for one to be learned.
    """
    model = VAE(
        MLPEncoder(features, 2, hidden=HIDDEN, activation=nn.Tanh),
        MLPDecoder(2, features, hidden=HIDDEN[::-1], activation=nn.Tanh, output_activation=nn.Sigmoid),
        likelihood="gaussian",
        variance=None if std is None else ConstantStd(std, learnable=False),
    )
    if num_centers is not None:
        centers, bandwidths = torch.zeros(num_centers, 2), torch.ones(num_centers)
        model.variance = RBFPrecision(centers, bandwidths, features, zeta=1.0)
    return model


def train_rbf_vae(
    images: Float[Tensor, "n features"], config: RBFVAEConfig, *, seed: int, device: torch.device
) -> tuple[VAE, float]:
    """Trains :func:`rbf_vae`.

    Args:
        images: (N, D) grey levels in [0, 1].
        config: how.
        seed: of the initial weights, the shuffling, the sampling and k-means; torch's global generators are left
            where they were.
        device: where the model is and stays.

    Returns:
        The model in eval mode, with an RBFPrecision for its variance, and the mean loss of the last epoch.

    References:
        Arvanitidis, Hansen, Hauberg 2018, arXiv:1710.11379, section 5.1 and appendix.
    """
    features = images.shape[1]
    with seeded_generators(torch.device("cpu"), seed):
        model = rbf_vae(features, std=config.std)
    model.to(device)
    adam = torch.optim.Adam(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    history = fit(
        model,
        images,
        epochs=config.epochs,
        batch_size=config.batch_size,
        optimizer=adam,
        seed=seed,
        progress=False,
    )
    fit_precision(model, images, num_centers=config.num_centers, a=config.a, random_state=seed)
    return model, history[-1].loss
