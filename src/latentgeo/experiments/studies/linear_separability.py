"""How well hyperplanes part the digits in the latent space, along training: figure 3 of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentgeo.diagnostics import encoded
from latentgeo.diagnostics import linear_separability as accuracy
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Experiment, Findings, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.paper_vae import PaperConfig, PaperModel
from latentgeo.models import VAE
from latentgeo.plots import COLORS, MARKERS

_FEATURES = ("mean", "mean and variance", "sample")
_PIXELS = (0.88, 0.92)  # documented, of raw images
_LATENTS = (0.91, 0.96)  # documented are 0.93 to 0.94


@dataclass(frozen=True, kw_only=True)
class LinearSeparabilityConfig(PaperConfig):
    """Settings.

    Attributes:
        latents: dimensions k.
        looked_at: epochs after which classifiers are trained; the last one ends the training, whatever `epochs`.
        num_classified: training images that classifiers see, the first ones; None for all.
    """

    latents: tuple[int, ...] = (10, 20, 30)
    looked_at: tuple[int, ...] = (1, 3, 10, 60)
    num_classified: int | None = None


def study(config: LinearSeparabilityConfig, place: Place, record: Record) -> Findings:
    """Trains classifiers on the means, the means with the variances, and samples, of every model at every stage."""
    train, test = (load_images(config.data, split, place) for split in ("train", "test"))
    few = slice(config.num_classified)
    pixels = accuracy(train.images[few].flatten(1), train.labels[few], test.images.flatten(1), test.labels)
    models = [
        PaperModel(config=config, place=place, latents=k, seed=seed)
        for k in config.latents
        for seed in config.seeds
    ]
    found = run_jobs(partial(_accuracies, config), models, place, label="models")
    rows = [
        {
            "k": model.latents,
            "seed": model.seed,
            "epoch": epoch,
            "features": name,
            "accuracy": some[epoch, name],
        }
        for model, some in zip(models, found, strict=True)
        for epoch in config.looked_at
        for name in _FEATURES
    ]
    record.table("accuracies.csv", rows)
    curves = {
        (k, name): np.array(
            [
                [some[epoch, name] for epoch in config.looked_at]
                for model, some in zip(models, found, strict=True)
                if model.latents == k
            ]
        )
        for k in config.latents
        for name in _FEATURES
    }
    _draw(record, config, curves, pixels)
    last = {key: float(curve[:, -1].mean()) for key, curve in curves.items()}
    of_means = [last[k, "mean"] for k in config.latents]
    with_variance = float(np.mean([last[k, "mean and variance"] - last[k, "mean"] for k in config.latents]))
    over_samples = float(np.mean([last[k, "mean"] - last[k, "sample"] for k in config.latents]))
    criteria = [
        Criterion(
            "Variances beside the means help, or do no harm; mean difference at the end.",
            with_variance,
            ">=",
            0.0,
            documented="the improvement given by adding information from the covariance matrix",
        ),
        Criterion(
            "Means are better features than samples; mean difference at the end.",
            over_samples,
            ">=",
            0.0,
            documented="figure 3, left and right",
        ),
    ]
    if config.data == "mnist":
        criteria += [
            Criterion(
                "Accuracy on posterior means at the end; of the worst dimension.",
                min(of_means),
                ">=",
                _LATENTS[0],
                documented="0.93 to 0.94",
            ),
            Criterion(
                "The same; of the best one.", max(of_means), "<=", _LATENTS[1], documented="0.93 to 0.94"
            ),
            Criterion("Raw pixels.", pixels, ">=", _PIXELS[0], documented="0.88 to 0.92"),
            Criterion("The same.", pixels, "<=", _PIXELS[1], documented="0.88 to 0.92"),
        ]
    return Findings(
        numbers={
            "raw pixels": pixels,
            "at the end": {
                f"k = {k}, {name}": {"mean": last[k, name], "spread": float(curve[:, -1].std())}
                for (k, name), curve in curves.items()
            },
        },
        criteria=tuple(criteria),
        deviations=(
            *config.not_written,
            f"Up to {config.looked_at[-1]} epochs in place of 1000"
            + (
                f"; classifiers see {config.num_classified} of the training images."
                if config.num_classified is not None
                else "."
            ),
        ),
    )


def _accuracies(config: LinearSeparabilityConfig, model: PaperModel) -> Mapping[tuple[int, str], float]:
    """By epoch and kind of features."""
    few = slice(config.num_classified)
    train, test = model.images("train"), model.images("test")
    labels = train.labels[few], test.labels
    accuracies = {}
    for epoch, stage in zip(config.looked_at, model.train_along(config.looked_at), strict=True):
        features = [_features(stage, x, model) for x in (train.images[few], test.images)]
        for name in _FEATURES:
            accuracies[epoch, name] = accuracy(features[0][name], labels[0], features[1][name], labels[1])
    return accuracies


def _features(stage: VAE, images: Tensor, model: PaperModel) -> Mapping[str, Tensor]:
    codes = encoded(stage, images.flatten(1).to(model.place.device), seed=model.seed)
    kinds = (codes.means, torch.cat([codes.means, codes.variances], dim=1), codes.samples)
    return dict(zip(_FEATURES, kinds, strict=True))


def _draw(
    record: Record,
    config: LinearSeparabilityConfig,
    curves: Mapping[tuple[int, str], np.ndarray],
    pixels: float,
) -> None:
    drawing = Figure(figsize=(9.6, 3.4), layout="constrained")
    for axes, name in zip(drawing.subplots(1, 3, sharey=True), _FEATURES, strict=True):
        if config.data == "mnist":
            axes.axhspan(*_PIXELS, color="0.92", label="pixels, documented")
        axes.axhline(pixels, color="0.4", linestyle="--", linewidth=1, label="pixels")
        for k, color, marker in zip(config.latents, COLORS, MARKERS, strict=False):
            curve = curves[k, name]
            axes.errorbar(
                config.looked_at,
                curve.mean(0),
                curve.std(0),
                color=color,
                marker=marker,
                markersize=5,
                capsize=3,
                label=f"k = {k}",
            )
        axes.set(title=name, xlabel="epoch", xscale="log")
        axes.set_xticks(config.looked_at, [str(epoch) for epoch in config.looked_at])
        axes.minorticks_off()
        if name == _FEATURES[0]:
            axes.set_ylabel("accuracy")
            axes.legend(frameon=False, fontsize="small")
    record.figure(
        drawing,
        "accuracies.png",
        title="Classification along training",
        caption="Test accuracy of a logistic regression on posterior means, means and variances, and samples, after "
        "some epochs of the training of the VAE, mean and spread over seeds. Dashed: on raw pixels.",
        alt="Three panels of rising curves, one a dimension; those of samples are lowest.",
    )


EXPERIMENT = Experiment(
    name="linear-separability",
    summary="classification by hyperplanes in the latent space, along training",
    source="Peste, Malagò, Sârbu, figure 3; Malagò, Peste, Sârbu, slides, classification performance",
    presets={
        "quick": LinearSeparabilityConfig(
            data="digits",
            seeds=(0,),
            hidden=(64, 64),
            epochs=40,
            learning_rate=3e-3,
            latents=(5, 10),
            looked_at=(1, 5, 40),
        ),
        "standard": LinearSeparabilityConfig(),
        "full": LinearSeparabilityConfig(
            seeds=tuple(range(10)),
            epochs=1000,
            looked_at=(1, 3, 10, 30, 100, 300, 1000),
        ),
    },
    study=study,
)
