"""Walks by the identity, by the inverse metric and by Brownian motion, in four latents and in a plane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentgeo import Metric, expected_pullback_metric, pullback_metric
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.experiments.trained import Recipe, train, train_stochastic
from latentgeo.experiments.walks import KINDS, Walks, equal_walks
from latentgeo.models import VAE
from latentgeo.plots import COLORS, PALE, bounds_of, image_grid, metric_map, walk
from latentgeo.statistics.random_walk import Kind
from latentgeo.training import fit_precision
from latentgeo.training.rbf_vae import RBFVAEConfig

_GAIN = 0.3  # of the share inside
_EQUAL = 0.05  # relative, of median image steps
_SUPPORT = 0.99  # quantile of distances from held-out codes to the nearest code
_DRAWN, _STRIP = 4, 8  # walks in a picture, images in a strip


@dataclass(frozen=True, kw_only=True)
class RandomWalkConfig(Config):
    """Settings.

    Attributes:
        recipe: of the VAE of four latents, on all digits.
        step_size: s of its walks by the metric, in units of images.
        classes: of digits in the plane.
        per_class: how many of each are for training; None for all.
        training: of the model in the plane.
        widths: a of its RBF precision; the first is judged.
        floors: ζ of further precisions, of the first width: the less, the higher the wall around the data.
        plane_step_size: s there.
        num_walkers: of each kind.
        num_steps: of each.
    """

    recipe: Recipe = Recipe(  # noqa: RUF009 - frozen
        latents=4, hidden=(64,), activation="tanh", epochs=30, batch_size=50, learning_rate=3e-3
    )
    step_size: float = 0.2
    classes: tuple[int, ...] = (0, 1, 2)
    per_class: int | None = None
    training: RBFVAEConfig = RBFVAEConfig(epochs=60, batch_size=50)  # noqa: RUF009 - frozen
    widths: tuple[float, ...] = (2.0,)
    floors: tuple[float, ...] = ()
    plane_step_size: float = 0.2
    num_walkers: int = 20
    num_steps: int = 100


def study(config: RandomWalkConfig, place: Place, record: Record) -> Findings:
    """Walks in both latent spaces, for each seed with models of its own."""
    four, plane = [], []
    for seed in config.seeds:
        with record.stage("four latents"):
            four.append(_in_four(config, place, seed))
        with record.stage("plane"):
            plane.append(_in_plane(config, place, seed))
    rows = [
        {"space": space, "seed": config.seeds[i], "kind": kind, "median image step": found.median}
        | {
            "95% over median": found.tail,
            "distance from 0, first quarter": found.radii[config.num_steps // 4],
        }
        | {"distance from 0, end": found.radii[-1], "share inside": found.stayed}
        for i, planes in enumerate(plane)
        for space, walks in [
            ("four", four[i][1]),
            *((f"plane, {name}", w) for name, (*_, w) in planes.items()),
        ]
        for kind, found in walks.items()
    ]
    record.table("walks.csv", rows)
    with record.stage("pictures"):
        _draw_images(record, *four[0])
        _draw_radii(record, four[0][1])
        _draw_plane(record, *plane[0][_width(config.widths[0])])
    gains = {
        kind: {
            f"seed {seed}, {name}": walks[kind].stayed - walks["euclidean"].stayed
            for seed, planes in zip(config.seeds, plane, strict=True)
            for name, (*_, walks) in planes.items()
        }
        for kind in KINDS[1:]
    }
    every = [walks for _, walks in four] + [walks for planes in plane for *_, walks in planes.values()]
    judged = [gains["inverse-metric"][f"seed {seed}, {_width(config.widths[0])}"] for seed in config.seeds]
    criteria = [
        Criterion(
            "Median image steps of both walks are equal; largest relative difference.",
            max(abs(w["inverse-metric"].median / w["euclidean"].median - 1) for w in every),
            "<=",
            _EQUAL,
        ),
        Criterion(
            "Images change more regularly by the inverse metric: the 95% quantile of their steps over the median is "
            "smaller than that of the Euclidean walk; largest ratio of the two, in four latents.",
            max(walks["inverse-metric"].tail / walks["euclidean"].tail for _, walks in four),
            "<",
            1.0,
            documented="encourages regular changes in the images",
        ),
        Criterion(
            "The walk by the inverse metric does not stay around 0: its median distance at the end over that after a "
            "quarter of the steps, least of all seeds, in four latents.",
            min(float(row["distance from 0, end"]) / float(row["distance from 0, first quarter"]) for row in rows
                if (row["space"], row["kind"]) == ("four", "inverse-metric")),
            ">",
            1.0,
            documented="that does not force to stay around 0",
        ),
    ]  # fmt: skip
    if config.data == "mnist":  # a few hundred digits of 64 pixels bound nothing
        criteria.append(
            Criterion(
                "In the plane the walk by the inverse metric stays on the support: its share inside less that of the "
                f"Euclidean walk, a = {config.widths[0]:g}; mean over seeds.",
                sum(judged) / len(judged),
                ">=",
                _GAIN,
                documented="stays on the support of the data",
            )
        )
    return Findings(
        numbers={
            "share inside less that of the Euclidean walk": gains,
            "that of the inverse metric, mean and spread over seeds": (
                float(np.mean(judged)),
                float(np.std(judged)),
            ),
        },
        criteria=tuple(criteria),
        deviations=(
            "Neither the slides nor the article write the size, number or start of steps; walks start at 0 in four "
            "latents, at encoded images in the plane. The Euclidean step is that of equal median image steps.",
            "Inside is nearer to a code than 99% of held-out codes are, over the later half of the steps.",
            *(() if config.recipe.network == "lenet5" else ("A small MLP stands for LeNet5.",)),
        ),
        remarks=(
            "The walk by the inverse metric is a martingale that lingers where G is large: where G = m I, its path "
            "is that of a Euclidean walk, which leaves every bounded region, and only its clock runs by m. It spends "
            "its time where m is largest, in the wall around the data, however high that is (ζ). Brownian motion is "
            "in the long run where the Riemannian volume is: there too.",
            "The share inside starts at 1 for all kinds; it tells of so many steps, and not of a limit.",
        ),
    )


def _in_four(config: RandomWalkConfig, place: Place, seed: int) -> tuple[VAE, dict[Kind, Walks]]:
    images = load_images(config.data, "train", place).images
    model = cast(VAE, train(replace(config.recipe, seed=seed), images, place).model)

    def decode(z: Tensor) -> Tensor:
        return model.decoder(z).sigmoid().reshape(len(z), *images.shape[1:])

    start = torch.zeros(config.num_walkers, config.recipe.latents, device=place.device)
    metric = pullback_metric(decode)
    return model, equal_walks(
        metric, decode, start, num_steps=config.num_steps, step_size=config.step_size, seed=seed
    )


def _in_plane(
    config: RandomWalkConfig, place: Place, seed: int
) -> dict[str, tuple[Metric, Tensor, dict[Kind, Walks]]]:
    train_set = load_images(config.data, "train", place, classes=config.classes, per_class=config.per_class)
    test_set = load_images(config.data, "test", place, classes=config.classes)
    model = train_stochastic(config.training, train_set.images, place, seed=seed)
    rows = train_set.images.flatten(1).to(place.device)
    with torch.no_grad():
        codes = model.encode(rows).mean
        held_out = model.encode(test_set.images.flatten(1).to(place.device)).mean
    reach = torch.cdist(held_out, codes).amin(1).quantile(_SUPPORT)
    generator = torch.Generator().manual_seed(seed)
    start = codes[torch.randperm(len(codes), generator=generator)[: config.num_walkers].to(codes.device)]
    found = {}
    precisions: dict[str, tuple[float, float | None]] = {_width(a): (a, None) for a in config.widths}
    precisions |= {f"ζ = {zeta:g}": (config.widths[0], zeta) for zeta in config.floors}
    for name, (a, zeta) in precisions.items():
        if (a, zeta) != (config.training.a, None):
            fit_precision(
                model, rows, num_centers=config.training.num_centers, a=a, zeta=zeta, random_state=seed
            )
        metric = expected_pullback_metric(model.decode)
        walks = equal_walks(
            metric,
            model.decoder,
            start,
            num_steps=config.num_steps,
            step_size=config.plane_step_size,
            seed=seed,
            inside=lambda z: torch.cdist(z, codes).amin(1) <= reach,
        )
        found[name] = metric, codes, walks
    return found


def _width(a: float) -> str:
    return f"a = {a:g}"


def _draw_images(record: Record, model: VAE, walks: dict[Kind, Walks]) -> None:
    drawing = Figure(figsize=(8, 2.6), layout="constrained")
    for axes, kind in zip(drawing.subplots(1, 2), KINDS, strict=False):
        points = walks[kind].points[:, :_DRAWN]
        at = torch.linspace(0, len(points) - 1, _STRIP).round().long()
        with torch.no_grad():
            images = model.decode(points[at].transpose(0, 1).flatten(0, 1)).mean
        side = round(images[0].numel() ** 0.5)
        image_grid(axes, images.reshape(_DRAWN, _STRIP, side, side))
        axes.set_title({"euclidean": "N(0, s² I)", "inverse-metric": "N(0, s² M⁻¹)"}[kind], fontsize=10)
    record.figure(
        drawing,
        "images.png",
        title="Walks of images",
        caption="Decoded images at equal numbers of steps, a row a walk from 0: Euclidean on the left, by the "
        "inverse metric on the right, their median image steps equal.",
        alt="Two grids of digits that change from left to right.",
    )


def _draw_radii(record: Record, walks: dict[Kind, Walks]) -> None:
    drawing = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = drawing.subplots(1, 2)
    for (kind, found), color in zip(walks.items(), COLORS, strict=False):
        left.plot(found.radii, color=color, label=kind)
        steps = found.image_steps.flatten().cpu().numpy() / found.median
        right.hist(steps, bins=np.linspace(0, 4, 60), density=True, histtype="step", color=color, label=kind)
    left.set(xlabel="step", ylabel="median distance from 0", ylim=(0, None))
    right.set(xlabel="image step / median", ylabel="density")
    left.legend(frameon=False)
    record.figure(
        drawing,
        "distances.png",
        title="Drift, and how regular images change",
        caption="Left: how far walks are from 0 in four latents, the median. Right: the image steps of each kind "
        "over their median.",
        alt="Left, three curves that rise all along; right, histograms, the Euclidean one with the longest tail.",
    )


def _draw_plane(record: Record, metric: Metric, codes: Tensor, walks: dict[Kind, Walks]) -> None:
    drawing = Figure(figsize=(8.2, 2.9), layout="constrained")
    panels = drawing.subplots(1, 4, width_ratios=(1, 1, 1, 1))
    bounds = bounds_of(codes, margin=0.15)
    for axes, (kind, found) in zip(panels, walks.items(), strict=False):
        metric_map(axes, metric, bounds, resolution=100, cmap=PALE)
        axes.scatter(*codes.cpu().T, s=1.5, color=COLORS[2], alpha=0.5, linewidths=0)
        walk(axes, found.points[:, :_DRAWN])
        (left, bottom), (right, top) = bounds.tolist()
        axes.set(title=kind, xlim=(left, right), ylim=(bottom, top), xticks=(), yticks=())
    for (kind, found), color in zip(walks.items(), COLORS, strict=False):
        panels[3].plot(found.inside, color=color, label=kind)
    panels[3].set(xlabel="step", title="share inside", ylim=(0, 1.02), box_aspect=1)
    panels[3].legend(frameon=False, fontsize=7)
    record.figure(
        drawing,
        "plane.png",
        title="Walks in the plane",
        caption="Walks from encoded digits, coloured by time, on the map of √det G, dark where it is large; green: "
        "codes. Right, the share of walkers on the support of the data.",
        alt="Three maps with wandering lines, and three falling curves.",
    )


_MNIST = RandomWalkConfig(
    data="mnist",
    recipe=Recipe(latents=4, network="lenet5", activation="tanh", epochs=5),
    step_size=0.5,
    per_class=1000,
    training=RBFVAEConfig(epochs=60, batch_size=100, learning_rate=3e-3),
    widths=(2.0, 1.0),
    floors=(1e-8,),
    plane_step_size=0.5,
    seeds=(0, 1, 2),
    num_walkers=30,
    num_steps=500,
)

EXPERIMENT = Experiment(
    name="random-walk",
    summary="walks by the inverse metric against Euclidean ones: regular images, drift, and the support of the data",
    source="Grisi, d'Arcet, slides on Latent Space Oddity (arXiv:1710.11379), the random walk experiment",
    presets={
        "quick": RandomWalkConfig(),
        "standard": _MNIST,
        "full": replace(
            _MNIST,
            recipe=Recipe(latents=4, network="lenet5", activation="tanh", epochs=100),
            per_class=None,
            training=RBFVAEConfig(epochs=300, batch_size=100, learning_rate=3e-3),
            seeds=(0, 1, 2, 3, 4),
            num_walkers=100,
            num_steps=2000,
        ),
    },
    study=study,
)
