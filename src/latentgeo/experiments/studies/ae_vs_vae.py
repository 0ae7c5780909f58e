"""How well plain and variational autoencoders reconstruct, by the dimension of the latent space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import nn

from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Experiment, Findings, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.report_models import (
    KIND_COLORS,
    KINDS,
    NAMES,
    ReportConfig,
    ReportModel,
    codes,
    pixels,
    report_models,
)
from latentgeo.experiments.trained import train
from latentgeo.models import VAE, Autoencoder
from latentgeo.plots import COLORS, image_grid
from latentgeo.training import ELBO, ReconstructionLoss, evaluate

_SHOWN = 10
_DOCUMENTED_BEST = (10, 20)


@dataclass(frozen=True)
class _Curves:
    """Of the test set, after each epoch: log p(x | z) and, of a variational model, the bound; in nats a datum."""

    model: ReportModel
    reconstruction: list[float]
    bound: list[float]


def study(config: ReportConfig, place: Place, record: Record) -> Findings:
    """Trains both kinds in every dimension, and follows what the test set says of them."""
    test = load_images(config.data, "test", place)
    curves = run_jobs(_follow, report_models(config, place), place, label="models")
    record.table(
        "curves.csv",
        [
            {
                "model": NAMES[c.model.kind],
                "latents": c.model.latents,
                "seed": c.model.seed,
                "epoch": epoch + 1,
                "log-likelihood of reconstructions": value,
                "bound": c.bound[epoch] if c.bound else "",
            }
            for c in curves
            for epoch, value in enumerate(c.reconstruction)
        ],
    )
    ends = {
        kind: {
            n: np.array(
                [c.reconstruction[-1] for c in curves if (c.model.kind, c.model.latents) == (kind, n)]
            )
            for n in config.latents
        }
        for kind in KINDS
    }
    bounds = {
        n: np.array([c.bound[-1] for c in curves if c.bound and c.model.latents == n]) for n in config.latents
    }
    mean = {n: float(some.mean()) for n, some in bounds.items()}
    _draw_reconstructions(record, config, curves)
    _draw_bounds(record, config, curves)
    _draw_images(record, config, place, tuple(test.images.shape[2:]))

    gaps = {n: float((ends["autoencoder"][n] - ends["vae"][n]).mean()) for n in config.latents}
    criteria = [
        Criterion(
            "The plain autoencoder reconstructs better in every dimension; smallest mean difference of "
            "log-likelihoods, nats.",
            min(gaps.values()),
            ">",
            0.0,
            documented="better for every Nz (figure 2)",
        )
    ]
    remarks = []
    documented = [mean[n] for n in config.latents if n in _DOCUMENTED_BEST]
    others = [mean[n] for n in config.latents if n not in _DOCUMENTED_BEST]
    if config.data == "mnist" and documented and others:
        criteria.append(
            Criterion(
                "The bound is best with 10 or 20 latents; their better mean minus the best of others, nats.",
                max(documented) - max(others),
                ">",
                0.0,
                documented="Nz = 10 and 20 give the best bound (figure 7)",
            )
        )
    if 200 in mean and documented:
        remarks.append(
            f"With 200 latents the bound is {mean[200]:.2f}, the best one with 10 or 20 {max(documented):.2f}: the "
            "report calls 200 very poor, Kingma and Welling found that superfluous latents do no harm."
        )
    return Findings(
        numbers={
            "log-likelihood of reconstructions": {
                NAMES[kind]: {
                    f"{n} latents": {"mean": float(v.mean()), "spread": float(v.std())}
                    for n, v in some.items()
                }
                for kind, some in ends.items()
            },
            "bound": {f"{n} latents": {"mean": mean[n], "spread": float(v.std())} for n, v in bounds.items()},
            "AE - VAE": {f"{n} latents": gap for n, gap in gaps.items()},
        },
        criteria=tuple(criteria),
        deviations=(
            "The report trains its VAE on 'only the second term of the loss' for the comparison; its figures fit one "
            "trained on the whole bound, of which that term is then shown, as here.",
        ),
        remarks=tuple(remarks),
    )


def _follow(model: ReportModel) -> _Curves:
    images = load_images(model.config.data, "train", model.place).images
    test = model.rows("test")
    last = -(-len(images) // model.recipe.batch_size)
    reconstruction: list[float] = []
    bound: list[float] = []

    def watch(network: nn.Module, epoch: int, step: int) -> None:
        del epoch
        if step < last:
            return
        loss = ReconstructionLoss("bernoulli") if model.kind == "autoencoder" else ELBO(penalty=None)
        reconstruction.append(-evaluate(network, test, objective=loss, batch_size=1000, seed=0))
        if model.kind == "vae":
            bound.append(-evaluate(network, test, objective=ELBO(), batch_size=1000, seed=0))

    train(model.recipe, images, model.place, callback=watch)
    return _Curves(model, reconstruction, bound)


def _draw_reconstructions(record: Record, config: ReportConfig, curves: list[_Curves]) -> None:
    drawing = Figure(figsize=(2.2 * len(config.latents) + 0.6, 2.6), layout="constrained")
    row = drawing.subplots(1, len(config.latents), sharey=True, squeeze=False)[0]
    for axes, latents in zip(row, config.latents, strict=True):
        for c in curves:
            if c.model.latents == latents:
                first = c.model.seed == config.seeds[0]
                axes.plot(
                    range(1, config.epochs + 1),
                    c.reconstruction,
                    color=KIND_COLORS[c.model.kind],
                    linewidth=1,
                    label=NAMES[c.model.kind] if first else None,
                )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch", title=f"{latents} latents")
    row[0].set_ylabel("log p(x | z), nats")
    row[-1].legend(frameon=False)
    record.figure(
        drawing,
        "reconstruction.png",
        title="Log-likelihood of reconstructions",
        caption="Of the test set after each epoch, a line a seed: the AE is above the VAE.",
        alt="Panels of rising curves, one a dimension; those of the AE end above those of the VAE.",
    )


def _draw_bounds(record: Record, config: ReportConfig, curves: list[_Curves]) -> None:
    drawing = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = drawing.subplots()
    for latents, color in zip(config.latents, COLORS, strict=False):
        for c in curves:
            if c.bound and c.model.latents == latents:
                label = f"{latents} latents" if c.model.seed == config.seeds[0] else None
                axes.plot(range(1, config.epochs + 1), c.bound, color=color, linewidth=1, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="lower bound, nats")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    record.figure(
        drawing,
        "bounds.png",
        title="The variational lower bound",
        caption="Of the test set after each epoch, a line a seed, for every dimension of the latent space.",
        alt="Rising curves, a colour for each number of latents.",
    )


def _draw_images(record: Record, config: ReportConfig, place: Place, shape: tuple[int, ...]) -> None:
    drawing = Figure(figsize=(5.6, 1.72 * len(config.latents)), layout="constrained")
    column = drawing.subplots(len(config.latents), 1, squeeze=False)[:, 0]
    for axes, latents in zip(column, config.latents, strict=True):
        rows = []
        for kind in KINDS:
            item = ReportModel(config=config, place=place, kind=kind, latents=latents, seed=config.seeds[0])
            x = item.rows("test")[:_SHOWN]
            model = cast("VAE | Autoencoder", item.train())
            rows += ([] if rows else [x]) + [pixels(model, codes(model, x))]
        images = torch.stack(rows).reshape(3, _SHOWN, *shape)
        image_grid(axes, images, names=("input", "AE", "VAE"))
        axes.set_title(f"{latents} latents", fontsize=10)
    record.figure(
        drawing,
        "images.png",
        title="Reconstructions",
        caption="Images of the test set, and what the plain and the variational autoencoder make of them.",
        alt="Blocks of three rows of digits, input, AE and VAE; those of the VAE are a little blurred.",
    )


EXPERIMENT = Experiment(
    name="ae-vs-vae",
    summary="a plain autoencoder reconstructs better than a variational one in every dimension",
    source="Ravaux, Adler, Auto-encoding Variational Bayes, figures 2 to 7",
    presets={
        "quick": ReportConfig(hidden=100, latents=(3, 10), epochs=40),
        "standard": ReportConfig(data="mnist", epochs=5, seeds=(0, 1, 2)),
        "full": ReportConfig(data="mnist", seeds=(0, 1, 2, 3, 4)),
    },
    study=study,
)
