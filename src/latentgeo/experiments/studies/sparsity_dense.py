"""Latents that a dense variational autoencoder leaves unused, and what of the bound makes it do so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from latentgeo.diagnostics import encoded
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.unused_latents import (
    ACTIVE,
    INACTIVE,
    LatentTable,
    draw_table,
    latent_tables,
    sixteen_latents,
    table_of,
)
from latentgeo.experiments.trained import train
from latentgeo.models import VAE
from latentgeo.plots import image_grid
from latentgeo.training import ELBO

_WATCHED, _MOMENTS = 1000, 150  # images whose codes are followed, and how often
_SHOWN = 12
_ABLATIONS = {
    "no divergence": ELBO(penalty=None),
    "its quadratic term alone": ELBO(penalty="quadratic"),
}


@dataclass(frozen=True, kw_only=True)
class SparsityDenseConfig(Config):
    """Settings.

    Attributes:
        epochs: of the network 784-256-64-32-16.
        ablations: what is put in the place of the divergence.
        ablation_epochs: of the networks trained so.
        fewest: inactive latents that are accepted.
        most: the same.
    """

    epochs: int
    ablations: tuple[str, ...] = tuple(_ABLATIONS)
    ablation_epochs: int
    fewest: int = 5
    most: int = 11


def study(config: SparsityDenseConfig, place: Place, record: Record) -> Findings:
    """Follows the variances of latents through a training, and counts those that end near zero."""
    images = load_images(config.data, "train", place).images
    recipes = [sixteen_latents("mlp", config.epochs, seed) for seed in config.seeds]
    steps, variances, model = _followed(config, images, place)
    first = table_of(model, images.to(place.device), recipes[0])
    tables = [first, *latent_tables(config, recipes[1:], place)]
    ablations = {
        name: latent_tables(
            config,
            [sixteen_latents("mlp", config.ablation_epochs, seed, _ABLATIONS[name]) for seed in config.seeds],
            place,
        )
        for name in config.ablations
    }
    record.table("latents.csv", [row for table in tables for row in table.rows()])
    record.table(
        "ablations.csv",
        [{"objective": name} | row for name, some in ablations.items() for t in some for row in t.rows()],
    )
    _draw_training(record, steps, variances, first)
    _draw_table(record, first)
    _draw_generated(record, model, first, tuple(images.shape[2:]))

    inactive = [table.inactive for table in tables]
    idle = np.concatenate([t.statistics.mean_variance[~t.statistics.active].numpy() for t in tables])
    ratios = [_gap(table) for table in tables]
    changes = [table.change for table in tables]
    noisy = {name: [table.noisy for table in some] for name, some in ablations.items()}
    unchanged = Criterion(
        "Inactive latents set to zero change generated images by less than one percent of their variance; largest "
        "change.",
        max(changes),
        "<",
        0.01,
        documented="indistinguishable",
    )
    return Findings(
        numbers={
            "inactive latents of 16, by seed": inactive,
            "mean": float(np.mean(inactive)),
            "spread over seeds": float(np.std(inactive)),
            "largest variance of an inactive latent": max(_variances(t, active=False).max() for t in tables),
            "variances of active latents": [
                min(_variances(t, active=True).min() for t in tables),
                max(_variances(t, active=True).max() for t in tables),
            ],
            "change of images by zeroing inactive latents, by seed": changes,
            "latents with more noise than signal, by objective and seed": noisy
            | {"divergence": [table.noisy for table in tables]},
            "latents of variance below 0.01, by objective and seed": {
                name: [table.inactive for table in some] for name, some in ablations.items()
            },
        },
        criteria=(
            Criterion(
                "Some of 16 latents are inactive; fewest over seeds.",
                float(min(inactive)),
                ">=",
                float(config.fewest),
                documented="8 of 16",
            ),
            Criterion(
                "The same; most over seeds.",
                float(max(inactive)),
                "<=",
                float(config.most),
                documented="8 of 16",
            ),
            Criterion(
                "Where a latent is inactive its posterior is the prior; smallest mean variance.",
                float(idle.min(initial=1.0)),
                ">=",
                0.9,
                documented="0.960 to 0.999",
            ),
            Criterion(
                "Variances of means are either near zero or not; smallest of an active latent over the largest of an "
                "inactive one, the worst seed.",
                min(ratios),
                ">=",
                10.0,
                documented="0.945 / 1.6e-4",
            ),
            *(
                Criterion(
                    f"With {name} sparsity is gone; most latents with more noise than signal, over seeds.",
                    float(max(counts)),
                    "<=",
                    0.0,
                    documented="the sparsity phenomenon disappears",
                )
                for name, counts in noisy.items()
            ),
            *((unchanged,) if config.data == "mnist" else ()),
        ),
        deviations=(
            "The article does not say how long it trained, nor with which optimizer; here it is Adam at 1e-3.",
            "Without the divergence nothing holds the scale of a latent: there it counts as unused where its mean "
            "posterior variance exceeds the variance of its means, and not by a threshold on the latter.",
        ),
    )


def _variances(table: LatentTable, *, active: bool) -> np.ndarray:
    """Variances of means of the active latents, or of the others; a zero where there are none."""
    chosen = table.statistics.active == active
    return table.statistics.variance_of_means[chosen].double().numpy() if chosen.any() else np.zeros(1)


def _gap(table: LatentTable) -> float:
    """The smallest variance of an active latent over the largest of an inactive one; one where there are none."""
    low, high = _variances(table, active=False).max(), _variances(table, active=True).min()
    return float(high / low) if low > 0 else 1.0


def _followed(
    config: SparsityDenseConfig, images: Tensor, place: Place
) -> tuple[list[int], list[np.ndarray], VAE]:
    """Trains the model of the first seed: variances of means (d,) after some steps, and the model."""
    recipe = sixteen_latents("mlp", config.epochs, config.seeds[0])
    per_epoch = -(-len(images) // recipe.batch_size)
    total = per_epoch * config.epochs
    moments = {round(x) for x in np.linspace(1, total, min(_MOMENTS, total))}
    watched = images[:_WATCHED].flatten(1).to(place.device)
    variances: list[np.ndarray] = []

    def watch(model: nn.Module, epoch: int, step: int) -> None:
        if per_epoch * (epoch - 1) + step in moments:
            variances.append(encoded(cast(VAE, model), watched).means.var(0).cpu().numpy())

    model = cast(VAE, train(recipe, images, place, callback=watch).model)
    return sorted(moments), variances, model


def _draw_training(record: Record, steps: list[int], variances: list[np.ndarray], table: LatentTable) -> None:
    drawing = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = drawing.subplots()
    for active, color, name in (
        (True, ACTIVE, "active in the end"),
        (False, INACTIVE, "inactive in the end"),
    ):
        chosen = (table.statistics.active == active).numpy()
        if chosen.any():
            lines = axes.plot(steps, np.stack(variances)[:, chosen], color=color, linewidth=0.9)
            lines[0].set_label(name)
    axes.axhline(1, color="black", linewidth=0.8, linestyle="--", zorder=0)
    axes.set(xlabel="minibatches", ylabel="variance of the means", ylim=(0, None), xlim=(0, steps[-1]))
    axes.legend(frameon=False)
    record.figure(
        drawing,
        "training.png",
        title="Variances during training",
        caption=f"The variance of the posterior means of {_WATCHED} images, for each of 16 latents: some go "
        "to one, the others to zero.",
        alt="Sixteen lines against minibatches; those of active latents rise to about one, the others fall to zero.",
    )


def _draw_table(record: Record, table: LatentTable) -> None:
    drawing = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = drawing.subplots()
    draw_table(axes, table.statistics)
    axes.set_ylabel("variance")
    drawing.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    record.figure(
        drawing,
        "latents.png",
        title="Active and inactive latents",
        caption="Variance of the posterior means and mean of the posterior variances for each latent, over the "
        "training data: either the first is near one, or the second.",
        alt="Sixteen bars of height one: some nearly all variance of means, the others nearly all mean variance.",
    )


def _draw_generated(record: Record, model: VAE, table: LatentTable, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(table.recipe.seed)
    codes = torch.randn(_SHOWN, table.recipe.latents, generator=generator)
    device = next(model.parameters()).device
    with torch.no_grad():
        both = torch.stack([codes, codes * table.statistics.active]).to(device)
        images = model.decode(both).mean.reshape(2, _SHOWN, *shape)
    drawing = Figure(figsize=(7.2, 1.35), layout="constrained")
    axes = drawing.subplots()
    image_grid(axes, images, names=("all latents", "active ones"))
    record.figure(
        drawing,
        "generated.png",
        title="Generated digits",
        caption="Above: decoded from random codes. Below: from the same codes with inactive latents set to zero.",
        alt="Two rows of generated digits that look alike.",
    )


EXPERIMENT = Experiment(
    name="sparsity-dense",
    summary="a dense variational autoencoder of sixteen latents leaves about half of them unused",
    source="Asperti, Sparsity in Variational Autoencoders, table 1, figures 1 and 2",
    presets={
        "quick": SparsityDenseConfig(
            epochs=300, ablations=("no divergence",), ablation_epochs=40, fewest=1, most=15
        ),
        "standard": SparsityDenseConfig(data="mnist", epochs=50, ablation_epochs=5, seeds=(0, 1, 2)),
        "full": SparsityDenseConfig(data="mnist", epochs=300, ablation_epochs=300, seeds=(0, 1, 2, 3, 4)),
    },
    study=study,
)
