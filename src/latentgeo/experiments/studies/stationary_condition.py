"""Mean variance + variance of means = 1 for every latent, and the divergence at a fixed ratio that leads there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.optimize import minimize_scalar

from latentgeo.diagnostics import kl_at_ratio, stationary_variance
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.unused_latents import (
    LatentTable,
    draw_table,
    latent_tables,
    sixteen_latents,
)
from latentgeo.plots import COLORS

_RATIOS = (0.1, 0.25, 0.5, 1.0, 2.0)
_NAMES = {"mlp": "dense", "conv": "convolutional"}
_DOCUMENTED = {"mlp": "0.961 to 1.033", "conv": "0.912 to 1.403"}
_EXACT = 1e-6


@dataclass(frozen=True, kw_only=True)
class StationaryConditionConfig(Config):
    """Settings.

    Attributes:
        dense_epochs: of the dense network.
        conv_epochs: of the convolutional one, whose rate falls to zero over them; 0 for none.
        conv_learning_rate: its first rate.
        conv_bfloat16: whether it is trained in that precision.
    """

    dense_epochs: int
    conv_epochs: int = 0
    conv_learning_rate: float = 3e-3
    conv_bfloat16: bool = False


def study(config: StationaryConditionConfig, place: Place, record: Record) -> Findings:
    """Minimizes the analytic curves, and adds up the two variances of every latent of trained models."""
    ratios = np.geomspace(0.02, 50, 201)
    error = max(abs(_least(ratio) - float(stationary_variance(torch.tensor(ratio)))) for ratio in ratios)
    _draw_curves(record)
    recipes = [sixteen_latents("mlp", config.dense_epochs, seed) for seed in config.seeds]
    if config.conv_epochs:
        recipes += [
            replace(
                sixteen_latents("conv", config.conv_epochs, seed),
                learning_rate=config.conv_learning_rate,
                annealed_over=config.conv_epochs,
                bfloat16=config.conv_bfloat16,
            )
            for seed in config.seeds
        ]
    tables = latent_tables(config, recipes, place)
    record.table("latents.csv", [row for table in tables for row in table.rows()])
    _draw_sums(record, tables)
    numbers: dict[str, object] = {"largest error of the minimum": error}
    criteria = [
        Criterion(
            "KL(σ²; ρ) is least at σ² = ρ²/(1 + ρ²); largest difference from the minimum found by search.",
            error,
            "<",
            _EXACT,
            documented="equation (2)",
        )
    ]
    for network in dict.fromkeys(recipe.network for recipe in recipes):
        sums = np.stack([t.statistics.stationary_sums for t in tables if t.recipe.network == network])
        name = _NAMES[network]
        numbers[name] = {
            "smallest sum, by seed": sums.min(1).tolist(),
            "largest sum, by seed": sums.max(1).tolist(),
            "mean": float(sums.mean()),
            "spread": float(sums.std()),
        }
        claim = f"Mean variance + variance of means is 1 for every latent of the {name} network"
        documented = _DOCUMENTED[network]
        criteria += [
            Criterion(
                f"{claim}; smallest sum over latents and seeds.", float(sums.min()), ">=", 0.9, documented
            ),
            Criterion(
                f"{claim}; largest sum over latents and seeds.", float(sums.max()), "<=", 1.1, documented
            ),
        ]
    return Findings(
        numbers=numbers,
        criteria=tuple(criteria),
        deviations=(
            "The article does not say how long it trained, nor with which optimizer; here it is Adam at 1e-3"
            + (f", for the convolutional network{_conv_training(config)}." if config.conv_epochs else "."),
            "Its convolutional network is in a figure that is lost; here it has two strided convolutions each way.",
        ),
    )


def _conv_training(config: StationaryConditionConfig) -> str:
    precision = " in bfloat16" if config.conv_bfloat16 else ""
    return f" from {config.conv_learning_rate:g} to zero by half a cosine{precision}"


def _least(ratio: float) -> float:
    """The variance at which the divergence is least, by Brent's search in log σ²."""
    found = minimize_scalar(
        lambda x: float(kl_at_ratio(torch.tensor(x, dtype=torch.float64).exp(), ratio)),
        bracket=(-12.0, 1.0),
        options={"xtol": 1e-10},
    )
    return float(np.exp(found.x))


def _draw_curves(record: Record) -> None:
    drawing = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = drawing.subplots()
    variance = torch.linspace(0.002, 1.5, 600, dtype=torch.float64)
    for ratio, color in zip(_RATIOS, COLORS, strict=False):
        least = stationary_variance(torch.tensor(ratio, dtype=torch.float64))
        axes.plot(variance, kl_at_ratio(variance, ratio), color=color, label=f"ρ = {ratio:g}")
        axes.plot(least, kl_at_ratio(least, ratio), "o", color=color, markersize=5)
    axes.set(xlabel="σ²", ylabel="KL(σ²; ρ), nats", ylim=(0, 5), xlim=(0, 1.5))
    axes.legend(frameon=False)
    record.figure(
        drawing,
        "curves.png",
        title="The divergence at a fixed ratio ρ = σ / |μ|",
        caption="Curves of KL against the variance; dots at ρ²/(1 + ρ²), where each is least. The minimum is sharp "
        "and near 0 for small ρ, and near 1 for large ones.",
        alt="Five convex curves, each with a dot at its lowest point; the dots move right and down as ρ grows.",
    )


def _draw_sums(record: Record, tables: list[LatentTable]) -> None:
    firsts = {table.recipe.network: table for table in reversed(tables)}
    shown = [firsts[network] for network in _NAMES if network in firsts]
    drawing = Figure(figsize=(5.2 * len(shown), 3.4), layout="constrained")
    row = drawing.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, table in zip(row, shown, strict=True):
        draw_table(axes, table.statistics)
        axes.set_title(_NAMES[table.recipe.network])
    row[0].set_ylabel("variance")
    drawing.legend(*row[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    record.figure(
        drawing,
        "sums.png",
        title="The two variances of every latent",
        caption=f"Variance of the posterior means and mean of the posterior variances of each latent over the "
        f"training data, one on the other, of seed {shown[0].recipe.seed}: their sum is near 1 (dashed).",
        alt="Bars of two colours that all end near a dashed line at one.",
    )


EXPERIMENT = Experiment(
    name="stationary-condition",
    summary="mean posterior variance and variance of posterior means add up to one for every latent",
    source="Asperti, A stationary condition for Variational Autoencoders, equation (3) and figure 1",
    presets={
        "quick": StationaryConditionConfig(dense_epochs=150),
        "standard": StationaryConditionConfig(
            data="mnist", dense_epochs=50, conv_epochs=60, conv_bfloat16=True, seeds=(0, 1, 2)
        ),
        "full": StationaryConditionConfig(
            data="mnist", dense_epochs=300, conv_epochs=100, seeds=(0, 1, 2, 3, 4)
        ),
    },
    study=study,
)
