"""The ways of posteriors through a plane of two latents as training begins, and how they shrink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor, nn

from latentgeo.data import LabelledImages
from latentgeo.diagnostics import encoded
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.record import Record
from latentgeo.experiments.trained import Recipe, train
from latentgeo.models import VAE

_MOMENTS = 30  # at which the ten digits are looked at: evenly so many, and as many by equal ratios
_EVERY = 4  # of the moments is drawn
_PER_CLASS = 6
_CLASS_COLORS = matplotlib.colormaps["tab10"]


@dataclass(frozen=True, kw_only=True)
class PosteriorTrajectoriesConfig(Config):
    """Settings.

    Attributes:
        hidden: layers of the encoder.
        followed_epochs: epochs through which ten digits are followed; small data need several for as many steps.
        epochs: after which sixty digits are looked at.
        shrinking: how many times smaller circles must be after the followed epochs.
    """

    hidden: tuple[int, ...] = (256, 64, 16)
    followed_epochs: int = 1
    epochs: int = 10
    shrinking: float = 10.0


@dataclass(frozen=True)
class _Followed:
    """Codes of ten digits at some steps (T, 10, 2), with r² (T, 10), and those of sixty at the end."""

    steps: np.ndarray
    means: np.ndarray
    squared_radii: np.ndarray
    final_means: np.ndarray
    final_squared_radii: np.ndarray


@dataclass(frozen=True)
class _Item:
    config: PosteriorTrajectoriesConfig
    seed: int
    place: Place


def study(config: PosteriorTrajectoriesConfig, place: Place, record: Record) -> Findings:
    """Follows one digit of each class, and looks at six of each afterwards."""
    shown = load_images(config.data, "train", place, per_class=_PER_CLASS)
    items = [_Item(config, seed, place.alone) for seed in config.seeds]
    runs = run_jobs(_follow, items, place, label="models")
    starts, ends, finals = (
        np.array([_geometric_mean(r2) for r2 in some])
        for some in (
            [run.squared_radii[0] for run in runs],
            [run.squared_radii[-1] for run in runs],
            [run.final_squared_radii for run in runs],
        )
    )
    record.table(
        "trajectories.csv",
        [
            {
                "seed": seed,
                "step": int(step),
                "digit": digit,
                "x": float(run.means[t, digit, 0]),
                "y": float(run.means[t, digit, 1]),
                "squared radius": float(run.squared_radii[t, digit]),
            }
            for seed, run in zip(config.seeds, runs, strict=True)
            for t, step in enumerate(run.steps)
            for digit in range(10)
        ],
    )
    _draw_trajectories(record, runs[0])
    _draw_radii(record, runs)
    _draw_final(record, runs[0], shown.labels, config.epochs)
    return Findings(
        numbers={
            "r² after the first step, by seed": starts.tolist(),
            "r² after the followed epochs, by seed": ends.tolist(),
            "r² of sixty digits at the end, by seed": finals.tolist(),
            "mean and spread of the fall": [float((starts / ends).mean()), float((starts / ends).std())],
            "spread of means along the axes at the end, by seed": [
                run.final_means.std(0).tolist() for run in runs
            ],
        },
        criteria=(
            Criterion(
                "r², the geometric mean of the two variances, starts near one; smallest over seeds.",
                float(starts.min()),
                ">=",
                0.8,
                documented="initially close to 1",
            ),
            Criterion("The same; largest over seeds.", float(starts.max()), "<=", 1.25),
            Criterion(
                "It falls by a large factor as training begins; smallest over seeds.",
                float((starts / ends).min()),
                ">=",
                config.shrinking,
                documented="it rapidly decreases to a very small dimension",
            ),
            Criterion(
                "It goes on falling; largest r² at the end over that after the followed epochs, over seeds.",
                float((finals / ends).max()),
                "<",
                1.0,
                documented="they would further decrease along the prosecution of training",
            ),
        ),
        deviations=(
            "The article does not say which network it trained; here it is its 784-256-64-16-3 with two latents.",
            "The followed digits are the first of each class; the article drew theirs at random.",
        ),
    )


def _follow(item: _Item) -> _Followed:
    config, place = item.config, item.place
    images = load_images(config.data, "train", place).images
    shown = load_images(config.data, "train", place, per_class=_PER_CLASS)
    recipe = Recipe(latents=2, hidden=config.hidden, epochs=config.epochs, batch_size=128, seed=item.seed)
    per_epoch = -(-len(images) // recipe.batch_size)
    total = per_epoch * config.followed_epochs
    spaced = np.concatenate([np.geomspace(1, total, _MOMENTS), np.linspace(1, total, _MOMENTS)])
    moments = {round(x) for x in spaced}
    ten = _first_of_each(shown).to(place.device)
    seen: list[tuple[int, np.ndarray, np.ndarray]] = []

    def watch(model: nn.Module, epoch: int, step: int) -> None:
        done = per_epoch * (epoch - 1) + step
        if done in moments:
            seen.append((done, *_circles(cast(VAE, model), ten)))

    model = cast(VAE, train(recipe, images, place, callback=watch).model)
    steps, means, radii = (np.stack(values) for values in zip(*seen, strict=True))
    return _Followed(steps, means, radii, *_circles(model, shown.images.to(place.device)))


def _first_of_each(data: LabelledImages) -> Tensor:
    return torch.stack([data.images[data.labels == digit][0] for digit in range(10)])


def _circles(model: VAE, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Means (n, 2), and r² = √(σ₁² σ₂²) (n,)."""
    data = encoded(model, images)
    return data.means.cpu().numpy(), data.variances.prod(1).sqrt().cpu().numpy()


def _geometric_mean(values: np.ndarray) -> float:
    return float(np.exp(np.log(values).mean()))


def _draw_circles(
    axes: Axes,
    means: np.ndarray,
    squared_radii: np.ndarray,
    digits: np.ndarray,
    alpha: float,
    *,
    fill: bool = True,
) -> None:
    for mean, r2, digit in zip(means, squared_radii, digits, strict=True):
        look = {
            "color": _CLASS_COLORS(int(digit)),
            "alpha": alpha,
            "fill": fill,
            "linewidth": 0.6 * (not fill),
        }
        axes.add_patch(Circle((mean[0], mean[1]), np.sqrt(r2), **look))


def _draw_trajectories(record: Record, run: _Followed) -> None:
    drawing = Figure(figsize=(4.8, 4.8), layout="constrained")
    axes = drawing.subplots()
    digits = np.arange(10)
    fading = 0.12 + 0.5 * run.steps / run.steps[-1]
    for t in range(0, len(run.steps), _EVERY):
        _draw_circles(axes, run.means[t], run.squared_radii[t], digits, float(fading[t]), fill=False)
    _draw_circles(axes, run.means[-1], run.squared_radii[-1], digits, 0.5)
    for digit in digits:
        axes.plot(*run.means[:, digit].T, color=_CLASS_COLORS(int(digit)), linewidth=1.2)
        axes.annotate(
            str(digit),
            run.means[-1, digit],
            xytext=(6, 6),
            textcoords="offset points",
            weight="bold",
        )
    axes.set(aspect="equal", xlabel="z₁", ylabel="z₂")
    record.figure(
        drawing,
        "trajectories.png",
        title="Ten digits as training begins",
        caption="Posteriors of one digit of each class: circles of r² the geometric mean of the two variances, from "
        "faint (early) to strong (late). They start together, as large as the prior, move apart and shrink.",
        alt="Coloured circles that leave a common place, shrinking to dots on the way, each marked with its digit.",
    )


def _draw_radii(record: Record, runs: list[_Followed]) -> None:
    drawing = Figure(figsize=(5, 3.4), layout="constrained")
    axes = drawing.subplots()
    run = runs[0]
    for digit in range(10):
        axes.loglog(run.steps, run.squared_radii[:, digit], color=_CLASS_COLORS(digit), label=str(digit))
    axes.set(xlabel="minibatches", ylabel="r²")
    axes.legend(frameon=False, ncols=2, fontsize=8)
    record.figure(
        drawing,
        "radii.png",
        title="How posteriors shrink",
        caption="r² of the ten digits against the number of minibatches.",
        alt="Ten lines that start at one and fall by more than ten times on logarithmic axes.",
    )


def _draw_final(record: Record, run: _Followed, labels: Tensor, epochs: int) -> None:
    drawing = Figure(figsize=(5.4, 5.4), layout="constrained")
    axes = drawing.subplots()
    _draw_circles(axes, run.final_means, run.final_squared_radii, labels.numpy(), 0.8)
    for digit in range(10):
        axes.plot([], [], "o", color=_CLASS_COLORS(digit), label=str(digit))
    axes.set(aspect="equal", xlabel="z₁", ylabel="z₂")
    axes.margins(0.05)
    axes.autoscale_view()
    axes.legend(frameon=False, ncols=2, fontsize=8)
    record.figure(
        drawing,
        "sixty.png",
        title=f"Sixty digits after {epochs} epochs",
        caption="Six digits of each class: means and sizes of their posteriors, drawn as before.",
        alt="Small discs of ten colours spread around the centre like a normal sample, those of one class together.",
    )


EXPERIMENT = Experiment(
    name="posterior-trajectories",
    summary="posteriors of digits leave the prior, move apart and shrink as training begins",
    source="Asperti, About the Kullback-Leibler divergence in Variational Autoencoders, figures 1 and 2",
    presets={
        "quick": PosteriorTrajectoriesConfig(followed_epochs=60, epochs=100, shrinking=2.0),
        "standard": PosteriorTrajectoriesConfig(data="mnist", seeds=(0, 1, 2)),
        "full": PosteriorTrajectoriesConfig(data="mnist", seeds=(0, 1, 2, 3, 4)),
    },
    study=study,
)
