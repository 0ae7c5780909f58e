"""Three digits A, B, C, of which A and B are alike, but A lies nearer to C: how often, by which distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentgeo import Metric, MinimizeEnergy, distance_matrix, expected_pullback_metric, geodesic
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.experiments.trained import train_stochastic
from latentgeo.plots import (
    COLORS,
    GEODESIC,
    PALE,
    STRAIGHT,
    bounds_of,
    curves,
    latent_scatter,
    metric_map,
    straight_lines,
)
from latentgeo.training.rbf_vae import RBFVAEConfig

_SOLVER = MinimizeEnergy(num_segments=16, tol=1e-2)
_DRAWN = 600  # latents in the figure
_KINDS = ("Euclidean", "geodesic")


@dataclass(frozen=True, kw_only=True)
class MeaningfulDistancesConfig(Config):
    """Settings.

    Attributes:
        classes: of digits.
        per_class: how many of each are for training; None for all.
        training: of the model, for each seed.
        num_points: random latents whose triples are looked at, for each seed.
        resolution: cells of the map along its longer side.
    """

    classes: tuple[int, ...] = (0, 1, 2)
    per_class: int | None = None
    training: RBFVAEConfig = RBFVAEConfig(epochs=60, batch_size=50)  # noqa: RUF009 - frozen
    num_points: int = 30
    resolution: int = 80


@dataclass(frozen=True)
class _Triples:
    """Every A, B of one class and C of another, and which of B and C is nearer to A.

    Attributes:
        rows: (M, 3) of A, B, C.
        near: (M,) by kind, d(A, B) < d(A, C).
    """

    rows: np.ndarray
    near: dict[str, np.ndarray]

    @classmethod
    def of(cls, distances: dict[str, np.ndarray], labels: np.ndarray) -> _Triples:
        """All triples of points with such distances (N, N) and classes (N,)."""
        same = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
        a, b, c = np.nonzero(same[:, :, None] & (labels[:, None] != labels)[:, None])
        return cls(np.stack([a, b, c], 1), {kind: d[a, b] < d[a, c] for kind, d in distances.items()})


def study(config: MeaningfulDistancesConfig, place: Place, record: Record) -> Findings:
    """Compares the distances in all triples of some latents, and draws the clearest of those that disagree."""
    data = load_images(config.data, "train", place, classes=config.classes, per_class=config.per_class)
    rows = []
    for seed in config.seeds:
        with record.stage("training"):
            model = train_stochastic(config.training, data.images, place, seed=seed)
        with torch.no_grad():
            latents = model.encode(data.images.flatten(1).to(place.device)).mean
        metric = expected_pullback_metric(model.decode)
        chosen = np.random.RandomState(seed).permutation(len(latents))[: config.num_points]
        points, labels = latents[torch.from_numpy(chosen).to(place.device)], data.labels.numpy()[chosen]
        with record.stage("distances"):
            geodesics = distance_matrix(
                metric, points, solver=_SOLVER, client=place.client, progress=place.progress
            )
        distances = {"Euclidean": torch.cdist(points, points).cpu().double().numpy(), "geodesic": geodesics}
        triples = _Triples.of(distances, labels)
        straight, curved = (triples.near[kind] for kind in _KINDS)
        rows.append(
            {
                "seed": seed,
                "triples": len(triples.rows),
                "B nearer, Euclidean": float(straight.mean()),
                "B nearer, geodesic": float(curved.mean()),
                "of those with C nearer by Euclidean distance, B nearer by geodesic": float(
                    curved[~straight].mean()
                ),
                "of those with B nearer by Euclidean distance, C nearer by geodesic": float(
                    (~curved[straight]).mean()
                ),
            }
        )
        if seed == config.seeds[0]:
            clearest = _clearest(triples, distances)
            if clearest is not None:
                every = data.labels.numpy()
                _draw_teaser(
                    record, metric, points[torch.from_numpy(clearest)], latents, every, config.resolution
                )
    record.table("triples.csv", rows)
    rates = np.array([[row[f"B nearer, {kind}"] for kind in _KINDS] for row in rows])
    _draw_rates(record, rates)
    return Findings(
        numbers={
            "by seed": rows,
            "B nearer, mean over seeds": dict(zip(_KINDS, map(float, rates.mean(0)), strict=True)),
            "B nearer, spread over seeds": dict(zip(_KINDS, map(float, rates.std(0)), strict=True)),
        },
        criteria=(
            Criterion(
                "Of triples with A and B of one class and C of another, B is nearer to A than C more often by "
                "geodesic than by Euclidean distance with every seed; smallest difference of rates.",
                float((rates[:, 1] - rates[:, 0]).min()),
                ">",
                0.0,
                documented="points of one class are closer to each other (figure)",
            ),
            Criterion(
                "Of triples in which Euclidean distance misleads, geodesic distance mends more than it spoils of the "
                "others; smallest difference of rates.",
                min(mended - spoiled for *_, mended, spoiled in (row.values() for row in rows)),
                ">",
                0.0,
            ),
        ),
        deviations=("The slides show one triple and no numbers; the rate over all triples is our measure.",),
    )


def _clearest(triples: _Triples, distances: dict[str, np.ndarray]) -> np.ndarray | None:
    """The triple (3,) in which both distances disagree by the largest factors; None, where they agree."""
    misleading = triples.rows[~triples.near["Euclidean"] & triples.near["geodesic"]]
    if not len(misleading):
        return None
    a, b, c = misleading.T
    straight, curved = (distances[kind] for kind in _KINDS)
    factor = np.minimum(straight[a, b] / straight[a, c], curved[a, c] / curved[a, b])
    return misleading[factor.argmax()]


def _draw_teaser(
    record: Record, metric: Metric, triple: Tensor, latents: Tensor, labels: np.ndarray, resolution: int
) -> None:
    a, ends = triple[0], triple[1:]
    found = geodesic(metric, a, ends)
    paths = found.at(torch.linspace(0, 1, 129).to(triple))
    straight = (ends - a).norm(dim=1)
    drawing = Figure(figsize=(5.2, 5.2), layout="constrained")
    axes = drawing.subplots()
    bounds = bounds_of(latents, paths, margin=0.04)
    metric_map(axes, metric, bounds, resolution=resolution, cmap=PALE)
    names = [f"digit {label}" for label in np.unique(labels)]
    latent_scatter(axes, latents[:_DRAWN], labels[:_DRAWN], names=names, size=7.0)
    straight_lines(axes, a.expand(2, 2), ends)
    for name, path, color, length, line in zip(
        "BC", paths, (GEODESIC, COLORS[3]), found.length, straight, strict=True
    ):
        curves(
            axes, path[None], color=color, label=f"A to {name}: geodesic {length:.2f}, straight {line:.2f}"
        )
    for name, (x, y) in zip("ABC", (a.tolist(), *ends.tolist()), strict=True):
        axes.plot(x, y, "o", color=STRAIGHT, markersize=5, zorder=5)
        axes.annotate(
            name,
            (x, y),
            xytext=(6, 6),
            textcoords="offset points",
            fontweight="bold",
            zorder=6,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )
    axes.set(xlabel="$z_1$", ylabel="$z_2$")
    drawing.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    record.figure(
        drawing,
        "triple.png",
        title="Which is nearer to A?",
        caption="A and B are of one class, C of another. By straight lines (dashed) C is nearer to A; by geodesics, "
        "which cross where the map is pale, B is.",
        alt="Latent plane with three marked points; the geodesic from A to B stays among dots of one colour, that "
        "from A to C crosses a dark ridge.",
    )


def _draw_rates(record: Record, rates: np.ndarray) -> None:
    """Rates (seeds, kinds)."""
    drawing = Figure(figsize=(3.6, 3.6), layout="constrained")
    axes = drawing.subplots()
    for k, color in enumerate((STRAIGHT, GEODESIC)):
        axes.plot([k - 0.25, k + 0.25], [rates[:, k].mean()] * 2, color=color, linewidth=3)
    for seed in rates:
        axes.plot(range(len(_KINDS)), seed, "o-", color="0.3", markersize=4, linewidth=0.8)
    axes.set_xticks(range(len(_KINDS)), _KINDS)
    axes.axhline(0.5, color="black", linestyle=":", linewidth=0.8)
    axes.set(ylabel="share of triples with B nearer than C", ylim=(0.48, 1.0), xlim=(-0.6, len(_KINDS) - 0.4))
    record.figure(
        drawing,
        "rates.png",
        title="How often a point of the same class is the nearer",
        caption="Over all triples A, B of one class and C of another; thick lines are means over seeds, "
        "joined dots are one seed, and the dotted line is chance.",
        alt="Two thick lines, the right one for geodesic distance the higher.",
    )


EXPERIMENT = Experiment(
    name="meaningful-distances",
    summary="points of one class are nearer to each other by geodesic distance",
    source="Arvanitidis, Hansen, Hauberg, Latent Space Oddity (arXiv:1710.11379), figure 1; slides of Grisi, d'Arcet",
    presets={
        "quick": MeaningfulDistancesConfig(),
        "standard": MeaningfulDistancesConfig(
            data="mnist",
            per_class=1000,
            # that of geodesic-kmeans
            training=RBFVAEConfig(epochs=60, batch_size=100, learning_rate=3e-3),
            seeds=(0, 1, 2),
            num_points=120,
            resolution=140,
        ),
        "full": MeaningfulDistancesConfig(
            data="mnist",
            per_class=1000,
            training=RBFVAEConfig(epochs=300, batch_size=100, learning_rate=3e-3),
            seeds=(0, 1, 2, 3, 4),
            num_points=500,
            resolution=160,
        ),
    },
    study=study,
)
