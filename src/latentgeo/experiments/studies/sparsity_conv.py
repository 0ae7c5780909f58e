"""A convolutional variational autoencoder leaves fewer latents unused than a dense one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.unused_latents import (
    LatentTable,
    draw_table,
    latent_tables,
    sixteen_latents,
)


@dataclass(frozen=True, kw_only=True)
class SparsityConvConfig(Config):
    """Settings.

    Attributes:
        conv_epochs: of the convolutional network.
        dense_epochs: of the dense one.
    """

    conv_epochs: int
    dense_epochs: int


def study(config: SparsityConvConfig, place: Place, record: Record) -> Findings:
    """Counts the inactive latents of both networks."""
    recipes = [
        *(sixteen_latents("conv", config.conv_epochs, seed) for seed in config.seeds),
        *(sixteen_latents("mlp", config.dense_epochs, seed) for seed in config.seeds),
    ]
    tables = latent_tables(config, recipes, place)
    conv, dense = tables[: len(config.seeds)], tables[len(config.seeds) :]
    record.table("latents.csv", [row for table in tables for row in table.rows()])
    _draw(record, conv[0], dense[0])
    counts = {
        name: np.array([table.inactive for table in some])
        for name, some in (("convolutional", conv), ("dense", dense))
    }
    return Findings(
        numbers={
            name: {
                "inactive latents of 16, by seed": some.tolist(),
                "mean": float(some.mean()),
                "spread over seeds": float(some.std()),
            }
            for name, some in counts.items()
        },
        criteria=(
            Criterion(
                "The convolutional network has fewer inactive latents than the dense one; difference of means over "
                "seeds.",
                float(counts["dense"].mean() - counts["convolutional"].mean()),
                ">",
                0.0,
                documented="3 of 16 against 8 of 16",
            ),
        ),
        deviations=(
            "The article's convolutional network is in a figure that is lost; here it has two strided convolutions "
            "each way.",
            "Both networks are trained with Adam at 1e-3; the article does not say how, or how long.",
        ),
    )


def _draw(record: Record, conv: LatentTable, dense: LatentTable) -> None:
    drawing = Figure(figsize=(10, 3.4), layout="constrained")
    row = drawing.subplots(1, 2, sharey=True)
    for axes, name, table in zip(row, ("convolutional", "dense"), (conv, dense), strict=True):
        draw_table(axes, table.statistics)
        axes.set_title(f"{name}: {table.inactive} of {table.recipe.latents} inactive")
    row[0].set_ylabel("variance")
    drawing.legend(*row[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    record.figure(
        drawing,
        "latents.png",
        title="Active and inactive latents",
        caption="Variance of the posterior means and mean of the posterior variances for each latent, over the "
        "training data, of the convolutional and of the dense network.",
        alt="Two rows of stacked bars; fewer bars on the left than on the right are nearly all mean variance.",
    )


EXPERIMENT = Experiment(
    name="sparsity-conv",
    summary="a convolutional variational autoencoder leaves fewer latents unused than a dense one",
    source="Asperti, Sparsity in Variational Autoencoders, second table",
    presets={
        "quick": SparsityConvConfig(conv_epochs=20, dense_epochs=100),
        "standard": SparsityConvConfig(data="mnist", conv_epochs=10, dense_epochs=50, seeds=(0, 1, 2)),
        "full": SparsityConvConfig(data="mnist", conv_epochs=100, dense_epochs=300, seeds=(0, 1, 2, 3, 4)),
    },
    study=study,
)
