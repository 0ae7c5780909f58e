"""The autoencoders of the report: one hidden layer, a plain and a variational one trained alike.

Experiments of the family describe their models alike, so that one trained for the first serves the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributions import Distribution

from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.trained import Recipe, train
from latentgeo.models import VAE, Autoencoder
from latentgeo.plots import COLORS

Kind = Literal["autoencoder", "vae"]
KINDS: tuple[Kind, ...] = ("autoencoder", "vae")
NAMES = {"autoencoder": "AE", "vae": "VAE"}
KIND_COLORS = {"autoencoder": COLORS[5], "vae": COLORS[0]}

_ROWS = 1000
_NEIGHBORS, _JUDGED = 10_000, 500  # of data, and of images that are compared with them


@dataclass(frozen=True, kw_only=True)
class ReportConfig(Config):
    """Settings of the models; the defaults are those of the report.

    Attributes:
        hidden: units of the one hidden layer of either network.
        latents: dimensions of the latent space.
        epochs: passes over the data.
    """

    hidden: int = 500
    latents: tuple[int, ...] = (3, 5, 10, 20, 200)
    epochs: int = 40


@dataclass(frozen=True, kw_only=True)
class ReportModel:
    """One model, and where it is trained: what a job needs to know.

    Attributes:
        config: the settings that models share.
        place: where it is trained, without a client.
        kind: a plain autoencoder or a variational one.
        latents: its dimension.
        seed: of everything that is drawn.
    """

    config: ReportConfig
    place: Place
    kind: Kind
    latents: int
    seed: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", self.place.alone)

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        config = self.config
        return Recipe(
            latents=self.latents,
            hidden=(config.hidden,),
            kind=self.kind,
            epochs=config.epochs,
            batch_size=100,
            learning_rate=1e-3,
            seed=self.seed,
        )

    def train(self) -> VAE | Autoencoder:
        """The trained model."""
        images = load_images(self.config.data, "train", self.place).images
        return cast("VAE | Autoencoder", train(self.recipe, images, self.place).model)

    def rows(self, split: Literal["train", "test"]) -> Float[Tensor, "n features"]:
        """The images as rows of pixels, where the model is."""
        return load_images(self.config.data, split, self.place).images.flatten(1).to(self.place.device)

    def labels(self, split: Literal["train", "test"]) -> Int[Tensor, " n"]:
        """Their classes."""
        return load_images(self.config.data, split, self.place).labels


def report_models(config: ReportConfig, place: Place) -> list[ReportModel]:
    """A plain and a variational model of every dimension and seed, in this order."""
    return [
        ReportModel(config=config, place=place, kind=kind, latents=latents, seed=seed)
        for latents in config.latents
        for seed in config.seeds
        for kind in KINDS
    ]


def trained_models(config: ReportConfig, place: Place) -> dict[ReportModel, VAE | Autoencoder]:
    """All models of a config, trained or taken from the cache."""
    load_images(config.data, "test", place)  # before jobs try, and try again, where there are none
    models = report_models(config, place)
    run_jobs(_trained, models, place, label="models")
    return {model: model.train() for model in models}


def _trained(model: ReportModel) -> None:
    model.train()


def codes(model: VAE | Autoencoder, x: Float[Tensor, "n features"]) -> Float[Tensor, "n d"]:
    """What a model encodes data to: codes, or the means of posteriors."""
    parts = []
    with torch.no_grad():
        for rows in x.split(_ROWS):
            code = model.encode(rows)
            parts.append(code.mean if isinstance(code, Distribution) else code)
    return torch.cat(parts)


def pixels(model: VAE | Autoencoder, z: Float[Tensor, "n d"]) -> Float[Tensor, "n features"]:
    """What a model decodes codes to, as probabilities of white."""
    parts = []
    with torch.no_grad():
        for rows in z.split(_ROWS):
            output = model.decode(rows)
            parts.append(output.mean if isinstance(output, Distribution) else output.sigmoid())
    return torch.cat(parts)


def distance_to_data(images: Float[Tensor, "n features"], data: Float[Tensor, "m features"]) -> float:
    """The root mean squared distance of pixels of (some) images from the nearest of (some) data, on average."""
    nearest = torch.cdist(images[:_JUDGED], data[:_NEIGHBORS]).amin(1)
    return float((nearest / data.shape[1] ** 0.5).mean())
