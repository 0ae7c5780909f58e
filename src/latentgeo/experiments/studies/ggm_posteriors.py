"""Gaussian graphical models as posteriors, chain and extended grid, against a diagonal one."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Experiment, Findings, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.paper_vae import PaperConfig, PaperModel
from latentgeo.experiments.studies.posterior_cost import Cost, costs, exponent
from latentgeo.models import VAE, ChainNormal, GridNormal, MLPEncoder
from latentgeo.plots import COLORS, MARKERS, color_bar, correlation_map
from latentgeo.training import evaluate

Family = Literal["diagonal", "chain", "grid"]

_FAMILIES: tuple[Family, ...] = ("diagonal", "chain", "grid")
_GRAPHS: tuple[Family, ...] = ("chain", "grid")
_WORSE = -0.3  # nats
_NORMALS = 10  # at once: more outgrow the allocator's thresholds, and its time is measured


@dataclass(frozen=True, kw_only=True)
class GraphicalModelsConfig(PaperConfig):
    """Settings.

    Attributes:
        epochs: passes over the data with each family, from a diagonal one.
        diagonal_epochs: before them. Couplings that are free from the first step on settle in worse optima.
        latents: k.
        num_draws: of samples of all posteriors, in an estimate of the bound.
        dimensions: multiples of 4, rising, in which costs are measured.
        timed: whether seconds are judged beside the numbers that operations write.
    """

    epochs: int = 20
    diagonal_epochs: int = 20
    latents: int = 20
    num_draws: int = 5
    dimensions: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048, 4096)
    timed: bool = True


@dataclass(frozen=True)
class _Found:
    """Of one model.

    Attributes:
        bound: on test images.
        loss: of the bound without the couplings of the posteriors.
        correlation: (k, k), of the posterior of the first image.
    """

    model: PaperModel
    bound: float
    loss: float
    correlation: Tensor


def study(config: GraphicalModelsConfig, place: Place, record: Record) -> Findings:
    """Trains a model of every family, compares their bounds, and measures what the families cost."""
    load_images(config.data, "test", place)
    models = [
        PaperModel(
            config=config,
            place=place,
            latents=config.latents,
            posterior=family,
            diagonal_epochs=config.diagonal_epochs,
            annealed_over=config.epochs,
            seed=seed,
        )
        for family in _FAMILIES
        for seed in config.seeds
    ]
    found = run_jobs(partial(_found, config), models, place, label="models")
    bounds: dict[Family, np.ndarray] = {
        family: np.array([some.bound for some in found if some.model.posterior == family])
        for family in _FAMILIES
    }
    measured = costs(config.dimensions, _NORMALS)
    record.table(
        "bounds.csv",
        [
            {
                "posterior": s.model.posterior,
                "seed": s.model.seed,
                "bound": s.bound,
                "loss without couplings": s.loss,
            }
            for s in found
        ],
    )
    record.table(
        "costs.csv",
        [
            {"family": c.family, "k": c.latents, "numbers written": c.written, "seconds": c.seconds}
            for c in measured
        ],
    )
    _draw(record, bounds, measured)
    _draw_correlations(record, [some for some in found if some.model.seed == config.seeds[0]])
    families = tuple(dict.fromkeys(cost.family for cost in measured))
    written = {family: _exponent(measured, family, "written") for family in families}
    seconds = {family: _exponent(measured, family, "seconds") for family in families}
    differences = {family: bounds[family] - bounds["diagonal"] for family in _GRAPHS}
    losses = {
        family: float(np.mean([some.loss for some in found if some.model.posterior == family]))
        for family in _GRAPHS
    }
    criteria = [
        Criterion(
            "Sample, density and divergence of a chain take linear time; power of k of the numbers written.",
            written["chain"],
            "<",
            1.2,
            documented="linear time",
        ),
        Criterion("The same of grids of four rows.", written["grid"], "<", 1.2, documented="linear time"),
        Criterion(
            "A dense precision, for comparison, is no linear matter; the same power.",
            written["dense"],
            ">",
            1.8,
        ),
    ]
    if config.data == "mnist":  # on few images the bounds of two seeds differ by more
        criteria += [
            Criterion(
                f"The bound with a {family} is no worse than with a diagonal posterior; mean difference, nats.",
                float(differences[family].mean()),
                ">=",
                _WORSE,
                documented="slight improvement",
            )
            for family in _GRAPHS
        ]
    if config.timed:
        criteria.insert(
            1,
            Criterion(
                "The same of chains; power of k of the seconds.",
                seconds["chain"],
                "<",
                1.2,
                documented="linear time",
            ),
        )
    return Findings(
        numbers={
            "bound": {
                family: {"mean": float(some.mean()), "spread": float(some.std())}
                for family, some in bounds.items()
            },
            "difference from the diagonal": {
                family: {"mean": float(some.mean()), "standard error": _standard_error(some)}
                for family, some in differences.items()
            },
            "loss without couplings": losses,
            "power of k, numbers written": written,
            "power of k, seconds": seconds,
        },
        criteria=tuple(criteria),
        deviations=(
            *config.not_written,
            f"The slides name neither k nor epochs: {config.latents} here. All families, the diagonal one too, go "
            f"on for {config.epochs} epochs, at a rate that falls to zero, from one model a seed that was trained "
            f"with diagonal posteriors for {config.diagonal_epochs}. On MNIST, trained from the start for 40, "
            "chains and grids ended in worse optima, 1.0 and 1.5 nats below the diagonal.",
            "Exact divergences of grids are linear in k for a fixed width alone; the costs are of four rows.",
        ),
    )


def _found(config: GraphicalModelsConfig, model: PaperModel) -> _Found:
    vae, rows = model.train(), model.rows("test")
    bound = _bound(vae, rows, config.num_draws)
    loss = bound - _bound(_uncoupled(vae, config.latents), rows, config.num_draws)
    with torch.no_grad():
        posterior = vae.encode(rows[:1])
    covariance = (
        posterior.covariance_matrix[0]
        if isinstance(posterior, ChainNormal | GridNormal)
        else posterior.variance[0].diag()
    )
    deviation = covariance.diagonal().sqrt()
    return _Found(model, bound, loss, (covariance / deviation / deviation[:, None]).cpu())


def _bound(vae: VAE, rows: Tensor, num_draws: int) -> float:
    return -float(np.mean([evaluate(vae, rows, batch_size=1000, seed=draw) for draw in range(num_draws)]))


def _uncoupled(vae: VAE, latents: int) -> VAE:
    """The same model with no entries beside the diagonal of L."""
    copied = copy.deepcopy(vae)
    with torch.no_grad():
        for parameter in cast(MLPEncoder, copied.encoder).head.linear.parameters():
            parameter[2 * latents :] = 0
    return copied


def _exponent(measured: Sequence[Cost], family: str, name: Literal["written", "seconds"]) -> float:
    """Over the larger half of dimensions, where what an operation costs by itself matters less."""
    some = [cost for cost in measured if cost.family == family]
    some = some[len(some) // 2 :]
    return exponent([cost.latents for cost in some], [float(getattr(cost, name)) for cost in some])


def _standard_error(differences: np.ndarray) -> float:
    return float(differences.std(ddof=1) / len(differences) ** 0.5) if len(differences) > 1 else float("nan")


def _draw(record: Record, bounds: Mapping[Family, np.ndarray], measured: Sequence[Cost]) -> None:
    drawing = Figure(figsize=(8.6, 3.4), layout="constrained")
    left, right = drawing.subplots(1, 2)
    for i, (some, color) in enumerate(zip(bounds.values(), COLORS, strict=False)):
        left.plot(np.full(len(some), i), some, "o", color=color, alpha=0.6)
        left.plot([i - 0.2, i + 0.2], [some.mean()] * 2, "-", color=color, linewidth=2)
    left.set_xticks(range(len(bounds)), list(bounds))
    left.set(xlabel="posterior", ylabel="bound, nats a test image", xlim=(-0.5, len(bounds) - 0.5))
    families = dict.fromkeys(cost.family for cost in measured)
    for family, color, marker in zip(families, COLORS, MARKERS, strict=False):
        some = [cost for cost in measured if cost.family == family]
        right.loglog(
            [cost.latents for cost in some],
            [1e3 * cost.seconds for cost in some],
            color=color,
            marker=marker,
            markersize=5,
            label=family,
        )
    dimensions = sorted({cost.latents for cost in measured})
    right.set_xticks(dimensions, [str(k) for k in dimensions])
    right.minorticks_off()
    right.set(xlabel="k", ylabel="milliseconds")
    right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    record.figure(
        drawing,
        "posteriors.png",
        title="Bounds and costs",
        caption="Left: the bound on test images with each posterior, one dot a seed, and their mean. Right: the time "
        "of a batch of samples with their densities and divergences from N(0, I), against the dimension; dense: a "
        "full precision matrix.",
        alt="Left, dots at three posteriors; right, lines that rise with the dimension, that of dense ones steepest.",
    )


def _draw_correlations(record: Record, shown: Sequence[_Found]) -> None:
    drawing = Figure(figsize=(1 + 2.8 * len(shown), 2.9), layout="constrained")
    panels = drawing.subplots(1, len(shown), squeeze=False)[0]
    for some, axes in zip(shown, panels, strict=True):
        image = correlation_map(axes, some.correlation.clamp(-1, 1))
        axes.set(title=some.model.posterior, xticks=[], yticks=[])
        if axes is panels[-1]:
            color_bar(axes, image, label="correlation")
    record.figure(
        drawing,
        "correlations.png",
        title="Correlations within a posterior",
        caption="Correlations of latents in the posterior of the first test image: only graphical models have some.",
        alt="Three square maps: the first is diagonal, the others have patches beside the diagonal.",
    )


EXPERIMENT = Experiment(
    name="ggm-posteriors",
    summary="chains and grids of latents as posteriors, against independent ones",
    source="Malagò, Peste, Sârbu, slides, Gaussian graphical models for VAE",
    presets={
        "quick": GraphicalModelsConfig(
            data="digits",
            seeds=(0,),
            hidden=(64, 64),
            epochs=4,
            diagonal_epochs=4,
            learning_rate=3e-3,
            latents=12,
            num_draws=1,
            dimensions=(32, 64, 128, 256, 512),
            timed=False,
        ),
        "standard": GraphicalModelsConfig(),
        "full": GraphicalModelsConfig(
            seeds=tuple(range(10)),
            epochs=500,
            diagonal_epochs=500,
            dimensions=(64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384),
        ),
    },
    study=study,
)
