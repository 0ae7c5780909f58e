"""The variational autoencoder of the paper and the slides: two hidden layers mirrored, trained on a Rényi bound.

Experiments of the family describe their models alike, so that one trained for the first serves the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.data import LabelledImages
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Place
from latentgeo.experiments.trained import Recipe, train, train_along
from latentgeo.models import VAE
from latentgeo.training import ELBO, Renyi, static_binarization
from latentgeo.training.importance import Backward


@dataclass(frozen=True, kw_only=True)
class PaperConfig(Config):
    """Settings of the models; the defaults are those of the standard presets, on MNIST.

    Attributes:
        hidden: layers of the encoder, and mirrored of the decoder.
        epochs: passes over the data.
        batch_size: rows a step.
        learning_rate: of Adam.
        num_samples: a datum, of Rényi bounds in training.
        backward: "all" samples of them, or "one", see :class:`latentgeo.training.Renyi`; of order -∞ always one,
            which is the same there.
        binarize: draws grey levels as black and white, anew in each epoch, and once of what is looked at.
    """

    data: Literal["digits", "mnist"] = "mnist"
    seeds: tuple[int, ...] = (0, 1, 2)
    hidden: tuple[int, ...] = (200, 200)
    epochs: int = 10
    batch_size: int = 100
    learning_rate: float = 1e-3
    num_samples: int = 5
    backward: Backward = "one"
    binarize: bool = False

    @property
    def not_written(self) -> tuple[str, ...]:
        """What the documents leave open, and how it is settled."""
        grey = "drawn as black and white, anew in each epoch" if self.binarize else "taken as they are"
        return (
            "The paper names neither batches nor the rate of Adam; those of the settings are ours.",
            f"Grey levels are {grey}.",
            "The bound of order 1 is trained with its divergence in closed form and one sample.",
        )


@dataclass(frozen=True, kw_only=True)
class PaperModel:
    """One model, and where it is trained: what a job needs to know.

    Attributes:
        config: the settings that models share.
        place: where it is trained, without a client.
        latents: k.
        seed: of everything that is drawn.
        alpha: order of the bound.
        activation: of hidden layers.
        posterior: its family.
        diagonal_epochs: of training as a diagonal one before, at a constant rate.
        annealed_over: epochs over which its rate falls to zero; 0 keeps it.
    """

    config: PaperConfig
    place: Place
    latents: int
    seed: int
    alpha: float = 1.0
    activation: Literal["relu", "elu"] = "relu"
    posterior: Literal["diagonal", "chain", "grid"] = "diagonal"
    diagonal_epochs: int = 0
    annealed_over: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", self.place.alone)

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        config = self.config
        backward = "one" if self.alpha == -torch.inf else config.backward
        recipe = Recipe(
            latents=self.latents,
            hidden=config.hidden,
            activation=self.activation,
            posterior=self.posterior,
            objective=ELBO() if self.alpha == 1 else Renyi(self.alpha, config.num_samples, backward),
            epochs=config.epochs,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            annealed_over=self.annealed_over,
            binarize=config.binarize,
            seed=self.seed,
        )
        if not self.diagonal_epochs:
            return recipe
        before = replace(recipe, posterior="diagonal", epochs=self.diagonal_epochs, annealed_over=0)
        return replace(recipe, begun_with=before)

    def train(self) -> VAE:
        """The trained model."""
        images = self.images("train").images
        return cast(VAE, train(self.recipe, images, self.place).model)

    def train_along(self, epochs: tuple[int, ...]) -> list[VAE]:
        """The model after each of rising numbers of epochs, the last of which may be its own."""
        images = self.images("train").images
        return [cast(VAE, stage.model) for stage in train_along(self.recipe, epochs, images, self.place)]

    def images(self, split: Literal["train", "test"]) -> LabelledImages:
        """The images of its data."""
        return load_images(self.config.data, split, self.place)

    def rows(self, split: Literal["train", "test"]) -> Float[Tensor, "n features"]:
        """The images as rows of pixels, where the model is, as black and white where it was trained on such."""
        rows = self.images(split).images.flatten(1)
        if self.config.binarize:
            rows = static_binarization(rows, generator=torch.Generator().manual_seed(0))
        return rows.to(self.place.device)


@dataclass(frozen=True, kw_only=True)
class SweepConfig(PaperConfig):
    """Settings.

    Attributes:
        latents: dimensions k.
        alphas: orders of the bound with which models of every dimension are trained.
        further_alphas: orders for models of `further_latents` dimensions alone.
        further_latents: see there.
    """

    latents: tuple[int, ...] = (20, 30, 40, 50)
    alphas: tuple[float, ...] = (1.0,)
    further_alphas: tuple[float, ...] = (0.5, 0.0, -2.0, -torch.inf)
    further_latents: int = 30

    def models(self, place: Place) -> list[PaperModel]:
        """All models, by dimension, order and seed."""
        pairs = [(k, alpha) for k in self.latents for alpha in self.alphas]
        pairs += [(self.further_latents, alpha) for alpha in self.further_alphas]
        return [
            PaperModel(config=self, place=place, latents=k, alpha=alpha, seed=seed)
            for k, alpha in sorted(pairs, key=lambda pair: (pair[0], -pair[1]))
            for seed in self.seeds
        ]


def order(alpha: float) -> str:
    """The order as figures write it."""
    return "−∞" if alpha == -torch.inf else f"{alpha:g}".replace("-", "−")
