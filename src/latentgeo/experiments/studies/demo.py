"""The main job, small: a VAE on three digits, the map of its metric, geodesics, and clusters along them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentgeo import MinimizeEnergy, expected_pullback_metric
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.interpolation import JoinedPairs, join_classes, unevenness
from latentgeo.experiments.latent_clusters import euclidean_clusters, geodesic_clusters
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies import demo_figures
from latentgeo.experiments.trained import train_stochastic
from latentgeo.models import VAE
from latentgeo.plots import COLORS
from latentgeo.training.rbf_vae import RBFVAEConfig

_SOLVER = MinimizeEnergy(max_steps=1000)
_CLUSTERING_SOLVER = MinimizeEnergy(num_segments=16, tol=1e-2)
_CENTER_TOL = 1e-2  # labels no longer change where centres move less
_STRIP = 10  # images in a strip
_LENGTH_ERROR = 1e-3  # relative, of two lengths measured differently


@dataclass(frozen=True, kw_only=True)
class DemoConfig(Config):
    """The settings of the demo; the defaults are those for the embedded digits.

    Attributes:
        classes: which digits.
        per_class: how many of each to train on; None for all.
        training: of the model.
        resolution: cells of the map along its longer side.
        num_pairs: how many pairs of points of different classes are joined.
        num_clustered: how many of the training points are clustered.
    """

    classes: tuple[int, ...] = (0, 1, 2)
    per_class: int | None = None
    training: RBFVAEConfig = RBFVAEConfig(epochs=200, batch_size=50)  # noqa: RUF009 - frozen
    resolution: int = 160
    num_pairs: int = 24
    num_clustered: int = 120

    def __post_init__(self) -> None:
        few, many = len(set(self.classes)), len(COLORS)
        if few != len(self.classes) or not 2 <= few <= many or not set(self.classes) <= set(range(10)):
            raise ValueError(f"classes: expected 2 to {many} different digits, got {self.classes}")
        if len(self.seeds) != 1:
            raise ValueError(f"seeds: expected one, got {self.seeds}")
        combinations = len(list(itertools.combinations(self.classes, 2)))
        if self.num_pairs < combinations:
            raise ValueError(f"num_pairs: expected at least {combinations}, got {self.num_pairs}")


def study(config: DemoConfig, place: Place, record: Record) -> Findings:
    """Trains, draws the metric and geodesics on it, and clusters by both distances."""
    (seed,) = config.seeds
    device = torch.device(place.device)
    data = load_images(config.data, "train", place, classes=config.classes, per_class=config.per_class)
    images, classes = data.images.flatten(1).to(device), data.labels.numpy()
    with record.stage("training"):
        model = train_stochastic(config.training, data.images, place, seed=seed)
        with torch.no_grad():
            latents = model.encode(images).mean
    metric = expected_pullback_metric(model.decode)
    with record.stage("geodesics"):
        joined = join_classes(metric, latents, classes, config.num_pairs, solver=_SOLVER, random_state=seed)
        decoded = _decoded(model, joined)
        record.table("pairs.csv", _rows(joined, decoded))
    with record.stage("pictures"):
        along, across = (float(unevenness(images).mean()) for images in decoded)
        background = demo_figures.Background.around(metric, latents, joined, config.resolution)
        demo_figures.metric_figure(record, background, latents, classes)
        demo_figures.geodesics_figure(record, background, latents, classes, joined)
        demo_figures.strips_figure(
            record, model.decoder, _strips(joined), data.images.shape[2:], (along, across)
        )
    with record.stage("clusters"):
        chosen = np.random.RandomState(seed).permutation(len(latents))[: config.num_clustered]
        points, truth = latents[torch.from_numpy(chosen).to(device)], classes[chosen]
        euclidean = euclidean_clusters(points, truth, random_state=seed)
        riemannian = geodesic_clusters(
            metric, points, truth, solver=_CLUSTERING_SOLVER, tol=_CENTER_TOL, random_state=seed
        )
        demo_figures.clusters_figure(record, background, points, truth, riemannian, kind="geodesic")
        demo_figures.clusters_figure(record, background, points, truth, euclidean, kind="Euclidean")
    numbers = {
        "Training": {"images": len(images), "pixels": images.shape[1]},
        "Standard deviation of the decoder": _standard_deviations(model, latents),
        "Geodesics": _compared(joined, decoded),
        "k-means": {
            "points": len(points),
            "geodesic": dataclasses.asdict(riemannian.scores),
            "Euclidean": dataclasses.asdict(euclidean.scores),
        },
    }
    return Findings(
        numbers=numbers,
        criteria=_criteria(numbers),
        remarks=tuple(f"Geodesic k-means: {sentence}" for sentence in riemannian.remarks),
    )


def _decoded(model: VAE, joined: JoinedPairs) -> tuple[Tensor, Tensor]:
    """The mean images along geodesics and straight lines, (B, T+1, D) each."""
    with torch.no_grad():
        return model.decoder(joined.geodesics), model.decoder(joined.lines)


def _rows(joined: JoinedPairs, decoded: tuple[Tensor, Tensor]) -> list[dict[str, object]]:
    """The table of pairs."""
    along, across = (unevenness(images).tolist() for images in decoded)
    return [
        {
            "classes": f"{a} to {b}",
            "length": float(joined.lengths[k]),
            "length of the straight line": float(joined.straight_lengths[k]),
            "converged": bool(joined.converged[k]),
            "largest over mean step of images": along[k],
            "the same on the straight line": across[k],
        }
        for k, (a, b) in enumerate(joined.classes)
    ]


def _strips(joined: JoinedPairs) -> dict[tuple[int, int], demo_figures.Strip]:
    """Points on the first geodesic and straight line of each combination of classes."""
    steps = torch.linspace(0, joined.geodesics.shape[1] - 1, _STRIP).round().long()
    strips = {}
    for pair in dict.fromkeys(joined.classes):
        row = joined.classes.index(pair)
        curves = torch.stack([joined.geodesics[row, steps], joined.lines[row, steps]])
        strips[pair] = demo_figures.Strip(
            curves, (float(joined.lengths[row]), float(joined.straight_lengths[row]))
        )
    return strips


def _compared(joined: JoinedPairs, decoded: tuple[Tensor, Tensor]) -> dict[str, Any]:
    """Lengths, and how evenly decoded images change."""
    ratio = joined.length_ratios
    along, across = (unevenness(images) for images in decoded)
    return {
        "pairs": len(ratio),
        "share converged": float(joined.converged.float().mean()),
        "mean length": float(joined.lengths.mean()),
        "mean length of straight lines": float(joined.straight_lengths.mean()),
        "mean ratio of lengths": float(ratio.mean()),
        "smallest ratio of lengths": float(ratio.min()),
        "largest ratio of lengths": float(ratio.max()),
        "largest over mean step of images along geodesics": float(along.mean()),
        "largest over mean step of images along straight lines": float(across.mean()),
        "share of pairs more even along the geodesic": float((along < across).float().mean()),
    }


def _standard_deviations(model: VAE, latents: Tensor) -> dict[str, float]:
    """Means at the latents, and on a circle around them with twice their largest distance from the middle."""
    middle = latents.mean(0)
    turn = torch.linspace(0, 2 * torch.pi, 257, dtype=latents.dtype, device=latents.device)[:-1]
    ring = middle + 2 * (latents - middle).norm(dim=1).max() * torch.stack([turn.cos(), turn.sin()], 1)
    with torch.no_grad():
        on, off = (float(model.decode(z).stddev.mean()) for z in (latents, ring))
    return {"on the data": on, "off the data": off, "ratio": off / on}


def _criteria(numbers: Mapping[str, Mapping[str, Any]]) -> tuple[Criterion, ...]:
    geodesics = numbers["Geodesics"]
    return (
        Criterion("Geodesics converge; share of pairs.", geodesics["share converged"], ">=", 0.95),
        Criterion(
            "No geodesic is longer than its straight line; largest ratio.",
            geodesics["largest ratio of lengths"],
            "<=",
            1 + _LENGTH_ERROR,
        ),
        Criterion(
            "Images change more evenly along geodesics; share of pairs.",
            geodesics["share of pairs more even along the geodesic"],
            ">=",
            0.8,
        ),
        Criterion(
            "The decoder's deviation is larger off the data; ratio.",
            numbers["Standard deviation of the decoder"]["ratio"],
            ">",
            10.0,
        ),
    )


EXPERIMENT = Experiment(
    name="demo",
    summary="a small VAE on three digits: its metric, its geodesics, and k-means along them",
    source="after Arvanitidis, Hansen, Hauberg, arXiv:1710.11379",
    presets={
        "quick": DemoConfig(),
        "standard": DemoConfig(
            data="mnist",
            per_class=1000,
            # at a rate of 1e-2 one seed in eight collapses to a curve
            training=RBFVAEConfig(epochs=60, batch_size=100, learning_rate=3e-3),
            num_clustered=300,
        ),
        "full": DemoConfig(
            data="mnist",
            training=RBFVAEConfig(epochs=60, batch_size=100, learning_rate=3e-3),
            num_pairs=240,
            num_clustered=1000,
        ),
    },
    study=study,
    introduction="A variational autoencoder with two latent dimensions was trained on handwritten digits, without "
    "their classes. Its decoder gives every latent point a mean image and a standard deviation that grows away from "
    "the data; both together measure latent curves by how much the decoded image changes along them.",
)
