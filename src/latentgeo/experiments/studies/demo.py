"""The main job, small: a VAE on three digits, the map of its metric, geodesics, and clusters along them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor

from latentgeo import MinimizeEnergy, expected_pullback_metric
from latentgeo.data import LabelledImages, load_digits, load_mnist
from latentgeo.experiments import demo_figures
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.environment import environment
from latentgeo.experiments.interpolation import JoinedPairs, join_classes, unevenness
from latentgeo.experiments.latent_clusters import euclidean_clusters, geodesic_clusters
from latentgeo.experiments.page import page
from latentgeo.experiments.result import Figure, Result, UnusableData
from latentgeo.experiments.stages import Stages
from latentgeo.models import VAE
from latentgeo.plots import COLORS
from latentgeo.training.rbf_vae import RBFVAEConfig, train_rbf_vae

NAME = "demo"
SUMMARY = "a small VAE on three digits: its metric, its geodesics, and k-means along them"

_INTRODUCTION = (
    "A variational autoencoder with two latent dimensions was trained on handwritten digits, without their classes. "
    "Its decoder gives every latent point a mean image and a standard deviation that grows away from the data; both "
    "together measure latent curves by how much the decoded image changes along them."
)
_SOLVER = MinimizeEnergy(max_steps=1000)
_CLUSTERING_SOLVER = MinimizeEnergy(num_segments=16, tol=1e-2)
_CENTER_TOL = 1e-2  # labels no longer change where centres move less
_STRIP = 10  # images in a strip
_LENGTH_ERROR = 1e-3  # relative, of two lengths measured differently


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """The settings of the demo; the defaults are those for the embedded digits.

    Attributes:
        data: "digits", 8 x 8 and embedded, or "mnist".
        data_dir: where MNIST lies.
        classes: which digits.
        per_class: how many of each to train on; None for all.
        seed: of everything that is drawn.
        device: where to compute.
        training: of the model.
        resolution: cells of the map along its longer side.
        num_pairs: how many pairs of points of different classes are joined.
        num_clustered: how many of the training points are clustered.
    """

    data: Literal["digits", "mnist"] = "digits"
    data_dir: Path | None = None
    classes: tuple[int, ...] = (0, 1, 2)
    per_class: int | None = None
    seed: int = 0
    device: str = "cpu"
    training: RBFVAEConfig = RBFVAEConfig(epochs=200, batch_size=50)  # noqa: RUF009 - frozen
    resolution: int = 160
    num_pairs: int = 24
    num_clustered: int = 120

    def __post_init__(self) -> None:
        if self.data not in ("digits", "mnist"):
            raise ValueError(f"data: expected 'digits' or 'mnist', got {self.data!r}")
        few, many = len(set(self.classes)), len(COLORS)
        if few != len(self.classes) or not 2 <= few <= many or not set(self.classes) <= set(range(10)):
            raise ValueError(f"classes: expected 2 to {many} different digits, got {self.classes}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed: expected an integer from 0 to 2**32 - 1, got {self.seed}")
        combinations = len(list(itertools.combinations(self.classes, 2)))
        if self.num_pairs < combinations:
            raise ValueError(f"num_pairs: expected at least {combinations}, got {self.num_pairs}")
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            sentence = str(error).splitlines()[0]
            raise ValueError(f"device: {self.device!r} is not to be had: {sentence}") from error


DIGITS = DemoConfig()
MNIST = DemoConfig(
    data="mnist",
    per_class=1000,
    # at a rate of 1e-2 one seed in eight collapses to a curve
    training=RBFVAEConfig(epochs=60, batch_size=100, learning_rate=3e-3),
    num_clustered=300,
)


def run(config: DemoConfig, *, out: Path, progress: bool = False) -> Result:
    """Runs the demo and leaves figures, ``metrics.json`` and ``index.html`` in a folder, each as soon as it is there.

    Args:
        config: the settings.
        out: the folder; it is made, and the files of an earlier run in it are replaced.
        progress: whether to show a bar.

    Returns:
        The result that was written.

    Raises:
        UnusableData: the data are missing, corrupt or too few.
        OSError: the folder cannot be written.
    """
    device = torch.device(config.device)
    figures: list[Figure] = []

    def keep(drawing: Drawing, figure: Figure) -> None:
        drawing.savefig(out / figure.file, dpi=160, bbox_inches="tight", pad_inches=0.05)
        figures.append(figure)

    with Stages(5, progress=progress) as stages:
        with stages.stage("training"):
            data = _load(config)
            out.mkdir(parents=True, exist_ok=True)
            for stale in ("metrics.json", "index.html"):
                (out / stale).unlink(missing_ok=True)
            shape = data.images.shape[2:]
            images = data.images.flatten(1).to(device)
            classes = data.labels.numpy()
            model, loss = train_rbf_vae(images, config.training, seed=config.seed, device=device)
            with torch.no_grad():
                latents = model.encode(images).mean
            metric = expected_pullback_metric(model.decode)
        with stages.stage("geodesics"):
            joined = join_classes(
                metric, latents, classes, config.num_pairs, solver=_SOLVER, random_state=config.seed
            )
            decoded = _decoded(model, joined)
        with stages.stage("pictures"):
            along, across = (float(unevenness(images).mean()) for images in decoded)
            background = demo_figures.Background.around(metric, latents, joined, config.resolution)
            keep(*demo_figures.metric_figure(background, latents, classes))
            keep(*demo_figures.geodesics_figure(background, latents, classes, joined))
            keep(*demo_figures.strips_figure(model.decoder, _strips(joined), shape, (along, across)))
        with stages.stage("clusters"):
            chosen = np.random.RandomState(config.seed).permutation(len(latents))[: config.num_clustered]
            points, truth = latents[torch.from_numpy(chosen).to(device)], classes[chosen]
            euclidean = euclidean_clusters(points, truth, random_state=config.seed)
            riemannian = geodesic_clusters(
                metric, points, truth, solver=_CLUSTERING_SOLVER, tol=_CENTER_TOL, random_state=config.seed
            )
            keep(*demo_figures.clusters_figure(background, points, truth, riemannian, kind="geodesic"))
            keep(*demo_figures.clusters_figure(background, points, truth, euclidean, kind="Euclidean"))
        numbers = {
            "Training": {
                "images": len(images),
                "pixels": images.shape[1],
                "loss of the last epoch": loss,
            },
            "Standard deviation of the decoder": _standard_deviations(model, latents),
            "Geodesics": _compared(joined, decoded),
            "k-means": {
                "points": len(points),
                "geodesic": dataclasses.asdict(riemannian.scores),
                "Euclidean": dataclasses.asdict(euclidean.scores),
            },
        }
        name = "MNIST" if config.data == "mnist" else "embedded"
        result = Result(
            name=NAME,
            title=f"Geometry of a latent space of {name} digits {', '.join(map(str, config.classes))}",
            settings=dataclasses.asdict(config),
            seeds=(config.seed,),
            numbers=numbers,
            criteria=_criteria(numbers),
            figures=tuple(figures),
            remarks=tuple(f"Geodesic k-means: {sentence}" for sentence in riemannian.remarks),
            environment=environment(device),
        )
        with stages.stage("page"):
            # the seconds of this last stage are not in what it writes
            result = dataclasses.replace(result, seconds=dict(stages.seconds))
            (out / "index.html").write_text(page(result, out, introduction=_INTRODUCTION), encoding="utf-8")
            result.write_json(out / "metrics.json")
    return result


def _load(config: DemoConfig) -> LabelledImages:
    try:
        every = load_mnist("train", data_dir=config.data_dir) if config.data == "mnist" else load_digits()
        return every.of_classes(config.classes, per_class=config.per_class)
    except (FileNotFoundError, ValueError) as error:
        raise UnusableData(str(error)) from error


def _decoded(model: VAE, joined: JoinedPairs) -> tuple[Tensor, Tensor]:
    """The mean images along geodesics and straight lines, (B, T+1, D) each."""
    with torch.no_grad():
        return model.decoder(joined.geodesics), model.decoder(joined.lines)


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
