"""Which latents a variational autoencoder uses: its variance table, and what the unused ones change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from latentgeo.diagnostics import LatentStatistics, encoded, latent_statistics
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.trained import Recipe, train
from latentgeo.models import VAE
from latentgeo.plots import COLORS
from latentgeo.training import ELBO

_GENERATED = 2000  # random codes by which unused latents are judged
ACTIVE, INACTIVE = COLORS[0], COLORS[1]


def sixteen_latents(
    network: Literal["mlp", "conv"],
    epochs: int,
    seed: int,
    objective: ELBO = ELBO(),  # noqa: B008 - frozen
) -> Recipe:
    """Asperti's autoencoders: 784-256-64-32-16 dense, or convolutional, in batches of 128."""
    return Recipe(
        latents=16,
        hidden=(256, 64, 32),
        network=network,
        objective=objective,
        epochs=epochs,
        batch_size=128,
        seed=seed,
    )


@dataclass(frozen=True)
class LatentTable:
    """What the latents of one model do.

    Attributes:
        recipe: of the model.
        statistics: over the training data.
        change: of generated images, where inactive latents are set to zero: the mean squared difference, relative
            to the variance of generated images.
    """

    recipe: Recipe
    statistics: LatentStatistics
    change: float

    @property
    def inactive(self) -> int:
        """How many latents have means that vary by less than the threshold."""
        return int((~self.statistics.active).sum())

    @property
    def noisy(self) -> int:
        """How many latents are more noise than signal, E σ² > Var μ: a count that no rescaling of latents changes."""
        return int((self.statistics.mean_variance > self.statistics.variance_of_means).sum())

    def rows(self) -> list[dict[str, object]]:
        """A row for each latent, for a CSV."""
        found = self.statistics
        return [
            {
                "network": self.recipe.network,
                "seed": self.recipe.seed,
                "latent": i,
                "mean": float(found.mean[i]),
                "variance": float(found.variance_of_means[i]),
                "mean variance": float(found.mean_variance[i]),
                "sum": float(found.stationary_sums[i]),
                "divergence": float(found.kl[i]),
                "active": bool(found.active[i]),
            }
            for i in range(self.recipe.latents)
        ]


def latent_tables(config: Config, recipes: list[Recipe], place: Place) -> list[LatentTable]:
    """The tables of models, each trained or taken from the cache."""
    load_images(config.data, "train", place)  # before jobs try, and try again, where there are none
    items = [_Item(config.data, recipe, place.alone) for recipe in recipes]
    return run_jobs(_table, items, place, label="models")


def table_of(model: VAE, images: Tensor, recipe: Recipe) -> LatentTable:
    """The table of a trained model over images."""
    data = encoded(model, images)
    statistics = latent_statistics(data.means.cpu(), data.variances.cpu())
    codes = torch.randn(_GENERATED, recipe.latents, generator=torch.Generator().manual_seed(recipe.seed))
    with torch.no_grad():
        normal, zeroed = (
            model.decode(z.to(images.device)).mean.flatten(1) for z in (codes, codes * statistics.active)
        )
    spread = (normal - normal.mean(0)).square().mean()
    return LatentTable(recipe, statistics, float((normal - zeroed).square().mean() / spread))


def draw_table(axes: Axes, statistics: LatentStatistics) -> None:
    """Draws Var μ and E σ² of every latent as two bars that stand on each other, and their sum of one as a line."""
    order = torch.argsort(statistics.variance_of_means, descending=True)
    places = np.arange(len(order))
    variance, noise = (x[order].numpy() for x in (statistics.variance_of_means, statistics.mean_variance))
    axes.bar(places, variance, color=ACTIVE, label="variance of means")
    axes.bar(places, noise, bottom=variance, color=INACTIVE, label="mean of variances")
    axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
    axes.set(xlabel="latent, by the variance of its means", xticks=places, xticklabels=order.tolist())
    axes.tick_params(axis="x", labelsize=7)


@dataclass(frozen=True)
class _Item:
    data: Literal["digits", "mnist"]
    recipe: Recipe
    place: Place


def _table(item: _Item) -> LatentTable:
    images = load_images(item.data, "train", item.place).images
    model = cast(VAE, train(item.recipe, images, item.place).model)
    return table_of(model, images.to(item.place.device), item.recipe)
