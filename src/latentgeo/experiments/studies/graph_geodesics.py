"""Shortest paths through a graph of encoded images against minimizers of the energy, in length and in time."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentgeo import ConvergenceWarning, GeodesicResult, GraphSearch, Metric, MinimizeEnergy, geodesic
from latentgeo import expected_pullback_metric as expected_metric
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.interpolation import pairs_of_classes
from latentgeo.experiments.record import Record
from latentgeo.experiments.timing import timed
from latentgeo.experiments.trained import train_stochastic
from latentgeo.geodesics import Solver
from latentgeo.models import VAE
from latentgeo.plots import (
    COLORS,
    GEODESIC,
    STRAIGHT,
    bounds_of,
    color_bar,
    curves,
    decoded_strips,
    metric_map,
    straight_lines,
)
from latentgeo.training.rbf_vae import RBFVAEConfig

_WITHIN = 0.15  # of the energy solution
_SHARE = 0.9  # of pairs that are to be within it
_SHOWN, _STRIP = 6, 10  # pairs on the map, images in a strip
_GRAPH = COLORS[0]


@dataclass(frozen=True, kw_only=True)
class GraphGeodesicsConfig(Config):
    """Settings.

    Attributes:
        classes: of digits.
        per_class: how many of each are for training and in the graph; None for all.
        training: of the model.
        num_pairs: of points of different classes, for each seed.
        neighbors: to how many others each point is joined; the graph that is judged is the second.
    """

    classes: tuple[int, ...] = (0, 1, 2)
    per_class: int | None = None
    training: RBFVAEConfig = RBFVAEConfig(epochs=60, batch_size=50)  # noqa: RUF009 - frozen
    num_pairs: int = 24
    neighbors: tuple[int, ...] = (10, 20, 40)


@dataclass(frozen=True)
class _Compared:
    """Curves of one model between the same pairs, and what each kind of them took.

    Attributes:
        energy: minimizers of the energy, from straight lines.
        refined: those from the path that is judged.
        graphs: shortest paths, by neighbours.
        seconds: processor seconds a pair, by neighbours; of ``energy`` at 0.
    """

    energy: GeodesicResult
    refined: GeodesicResult
    graphs: dict[int, GeodesicResult]
    seconds: dict[int, float]

    @property
    def shortest(self) -> Tensor:
        """(B,) the length of the shorter of the two minimizers."""
        return torch.minimum(self.energy.length, self.refined.length)


def study(config: GraphGeodesicsConfig, place: Place, record: Record) -> Findings:
    """Joins pairs of digits by both, for each seed with a model of its own."""
    data = load_images(config.data, "train", place, classes=config.classes, per_class=config.per_class)
    judged = config.neighbors[1]
    rows, first, faster = [], None, []
    for seed in config.seeds:
        model = train_stochastic(config.training, data.images, place, seed=seed)
        with torch.no_grad():
            latents = model.encode(data.images.flatten(1).to(place.device)).mean
        metric = expected_metric(model.decode)
        classes, start, end = pairs_of_classes(
            latents, data.labels.numpy(), config.num_pairs, random_state=seed
        )
        found = _compared(metric, latents, start, end, config.neighbors, judged)
        first = first or (model, metric, latents, found)
        faster.append(found.seconds[0] / found.seconds[judged])
        for k, (a, b) in enumerate(classes):
            row: dict[str, object] = {"seed": seed, "classes": f"{a} to {b}"}
            row |= {"energy from the line": float(found.energy.length[k])}
            row |= {"energy from the graph": float(found.refined.length[k])}
            row |= {f"graph of {n} neighbours": float(g.length[k]) for n, g in found.graphs.items()}
            rows.append(row | {"converged": bool(found.energy.converged[k])})
    record.table("lengths.csv", rows)
    excess = {
        n: np.array([row[f"graph of {n} neighbours"] for row in rows], dtype=float)
        / np.array([min(row["energy from the line"], row["energy from the graph"]) for row in rows])
        - 1
        for n in config.neighbors
    }
    by_seed = excess[judged].reshape(len(config.seeds), -1)
    line, graph = (np.array([row[f"energy from the {kind}"] for row in rows]) for kind in ("line", "graph"))
    if first is not None:
        _draw_map(record, *first[1:], judged)
        _draw_strips(record, first[0], first[3], judged, tuple(data.images.shape[2:]))
        _draw_comparison(record, excess, first[3].seconds)
    return Findings(
        numbers={
            "pairs": len(rows),
            "points of the graph": len(data.labels),
            "mean excess of length over the geodesic, by neighbours": {
                str(n): float(x.mean()) for n, x in excess.items()
            },
            "90% of pairs have at most the excess, by neighbours": {
                str(n): float(np.quantile(x, 0.9)) for n, x in excess.items()
            },
            "mean excess, by seed": by_seed.mean(1).tolist(),
            "spread of the mean excess over seeds": float(by_seed.mean(1).std()),
            "share of pairs whose geodesic is shorter by 1% from the graph": float(
                (graph < 0.99 * line).mean()
            ),
            "share of pairs whose geodesic is shorter by 1% from the line": float(
                (line < 0.99 * graph).mean()
            ),
            "seconds of the energy over those of the graph, by seed": faster,
            "seconds a pair of the first seed, by neighbours, 0 the energy": {
                str(n): seconds for n, seconds in (first[3].seconds if first else {}).items()
            },
        },
        criteria=(
            *(
                (  # a few hundred digits are too sparse a graph for nearly all pairs
                    Criterion(
                        f"Paths of {judged} neighbours are within 15% of the geodesic; share of pairs, all seeds.",
                        float((np.abs(excess[judged]) <= _WITHIN).mean()),
                        ">=",
                        _SHARE,
                    ),
                )
                if config.data == "mnist"
                else ()
            ),
            Criterion(
                f"The mean of a path's length, of {judged} neighbours, over the geodesic's; seed where largest.",
                float(1 + by_seed.mean(1).max()),
                "<=",
                1 + _WITHIN,
                documented="without a notable loss in quality (abstract)",
            ),
            Criterion(
                "More neighbours, shorter paths; least difference of mean excess from one graph to the next.",
                float(-np.diff([excess[n].mean() for n in config.neighbors]).max()),
                ">",
                0.0,
            ),
            Criterion(
                "A pair takes less time by the graph, building it included; seconds of the energy over those of the "
                "graph, seed where least.",
                min(faster),
                ">",
                1.0,
                documented="at greatly reduced runtime (abstract)",
            ),
        ),
        deviations=(
            "The article's data are chairs, clothes and human motion; these are digits of three classes, with the "
            "stochastic metric and the model of the other experiments in the plane.",
            "The graph is of posterior means, not of samples of the aggregate posterior.",
            "Geodesics are minimizers of the energy by this library, on CPU and many at once, not the article's own.",
        ),
        remarks=(
            "Seconds are the processor's, all pairs of a seed asked for at once.",
            "The geodesic is the shorter of the two minimizers of the energy, started at the line and at the path.",
        ),
    )


def _compared(
    metric: Metric, latents: Tensor, start: Tensor, end: Tensor, neighbors: tuple[int, ...], judged: int
) -> _Compared:
    solvers: dict[int, Solver] = {0: MinimizeEnergy(max_steps=1000)}
    solvers |= {n: GraphSearch(latents, num_neighbors=n) for n in neighbors}
    found, seconds = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is in the numbers
        geodesic(metric, start[:2], end[:2])  # the first call looks at the decoder
        for n, solver in solvers.items():
            found[n], cost = timed(
                lambda solver=solver: geodesic(metric, start, end, solver=solver), start.device
            )
            seconds[n] = cost / len(start)
        refined = geodesic(metric, start, end, solver=solvers[0], initial=found[judged].points)
    return _Compared(found.pop(0), refined, found, seconds)


def _draw_map(record: Record, metric: Metric, latents: Tensor, found: _Compared, judged: int) -> None:
    drawing = Figure(figsize=(4.0, 4.0), layout="constrained")
    axes = drawing.subplots()
    energy, graph = (result.points[:_SHOWN] for result in (found.energy, found.graphs[judged]))
    image = metric_map(axes, metric, bounds_of(latents, energy, margin=0.08), cmap="cividis")
    color_bar(axes, image, label="magnification factor $\\sqrt{\\det G}$")
    axes.scatter(*latents.cpu().T, s=1.5, color="white", alpha=0.5, linewidths=0)
    straight_lines(axes, energy[:, 0], energy[:, -1], color="0.7")
    curves(axes, graph, color=_GRAPH, label="path of the graph")
    curves(axes, energy, color=GEODESIC, label="geodesic")
    axes.set(xlabel="$z_1$", ylabel="$z_2$")
    drawing.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=7)
    record.figure(
        drawing,
        "map.png",
        title="Magnification factor and paths",
        caption="How much area in image space a unit of latent area has; dots are the encoded images of the graph. "
        f"Blue: shortest paths of the graph of {judged} neighbours; orange: geodesics; dashed: straight lines.",
        alt="A heat map of the latent plane; blue and orange curves run close together through dark valleys.",
    )


def _draw_strips(record: Record, model: VAE, found: _Compared, judged: int, shape: tuple[int, ...]) -> None:
    t = torch.linspace(0, 1, _STRIP)
    energy, graph = found.energy, found.graphs[judged]
    ends = energy.points[:, [0, -1]]
    lines = torch.lerp(ends[:, :1], ends[:, 1:], t.to(ends)[:, None])
    drawing = Figure(figsize=(6.4, 4.7), layout="constrained")
    for k, axes in enumerate(drawing.subplots(3, 1)):
        decoded_strips(
            axes,
            model.decoder,
            torch.stack([energy.at(t)[k], graph.at(t)[k], lines[k]]),
            image_shape=shape,
            names=("geodesic", "graph", "straight"),
            captions=[f"length {energy.length[k]:.2f}", f"length {graph.length[k]:.2f}", ""],
        )
    record.figure(
        drawing,
        "strips.png",
        title="Interpolants",
        caption="Decoded means at equal steps along the geodesic, the path of the graph, and the straight line.",
        alt="Three groups of three rows of decoded digits; the first two rows of each group look alike.",
    )


def _draw_comparison(record: Record, excess: dict[int, np.ndarray], seconds: dict[int, float]) -> None:
    drawing = Figure(figsize=(7.6, 3.2), layout="constrained")
    left, right = drawing.subplots(1, 2)
    for (n, values), color in zip(excess.items(), COLORS, strict=False):
        left.ecdf(100 * values, color=color, label=f"{n} neighbours")
    left.axvline(100 * _WITHIN, color="0.5", linestyle="--", linewidth=0.8)
    left.set(xlabel="longer than the geodesic, %", ylabel="share of pairs")
    left.legend(frameon=False)
    names = ["energy", *(f"graph, {n}" for n in excess)]
    right.barh(names, [1000 * s for s in seconds.values()], color=[STRAIGHT, *COLORS[: len(excess)]])
    right.set(xlabel="milliseconds a pair")
    right.invert_yaxis()
    record.figure(
        drawing,
        "comparison.png",
        title="Length and time",
        caption="Left: by how much paths of the graph are longer than geodesics, over all pairs; dashed: 15%. Right: "
        "processor time a pair, many pairs at once, the graph built for them included.",
        alt="Left: three curves that rise to one, steeper with more neighbours. Right: four bars.",
    )


_MNIST = RBFVAEConfig(epochs=60, batch_size=100, learning_rate=3e-3)

EXPERIMENT = Experiment(
    name="graph-geodesics",
    summary="shortest paths of a nearest-neighbour graph are nearly geodesics, and faster",
    source="Chen, Ferroni, Klushyn, Paraschos, Bayer, van der Smagt, Fast Approximate Geodesics (arXiv:1812.08284)",
    presets={
        "quick": GraphGeodesicsConfig(),
        "standard": GraphGeodesicsConfig(
            data="mnist", per_class=1000, training=_MNIST, seeds=(0, 1, 2), num_pairs=60
        ),
        "full": GraphGeodesicsConfig(
            data="mnist",
            training=RBFVAEConfig(epochs=300, batch_size=100, learning_rate=3e-3),
            seeds=(0, 1, 2, 3, 4),
            num_pairs=300,
        ),
    },
    study=study,
)
