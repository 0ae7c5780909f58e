"""The demo's pictures, each with its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from torch import Tensor

from latentgeo import Metric
from latentgeo.experiments.interpolation import JoinedPairs
from latentgeo.experiments.latent_clusters import LatentClusters
from latentgeo.experiments.record import Record
from latentgeo.plots import (
    MARKERS,
    PALE,
    bounds_of,
    clusters,
    color_bar,
    curves,
    decoded_strips,
    latent_scatter,
    metric_map,
    straight_lines,
)

_SIZE = (4.8, 4.9)  # inches: as wide as a telephone, with letters of 10 points
_DRAWN = 9  # pairs in one picture, so that they can be followed by eye


class Strip(NamedTuple):
    """A geodesic and the straight line between the same points.

    Attributes:
        curves: (2, n, d) points of both.
        lengths: of both, in ambient units.
    """

    curves: Float[Tensor, "2 n d"]
    lengths: tuple[float, float]


@dataclass(frozen=True)
class Background:
    """The map that lies under every picture of the latent plane.

    Attributes:
        metric: whose area element is drawn.
        bounds: (2, 2) corners of the rectangle.
        resolution: cells along the longer side.
    """

    metric: Metric
    bounds: Float[Tensor, "2 2"]
    resolution: int

    @classmethod
    def around(cls, metric: Metric, latents: Tensor, joined: JoinedPairs, resolution: int) -> Background:
        """The rectangle that holds the data and the curves."""
        return cls(metric, bounds_of(latents, joined.geodesics, margin=0.08), resolution)

    def draw(self, *, cmap: str | Colormap = PALE) -> tuple[Drawing, Axes]:
        """A new figure with the map in it."""
        figure = Drawing(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        image = metric_map(axes, self.metric, self.bounds, resolution=self.resolution, cmap=cmap)
        color_bar(axes, image)
        axes.set_xlabel("$z_1$")
        axes.set_ylabel("$z_2$")
        return figure, axes


def metric_figure(record: Record, background: Background, latents: Tensor, labels: np.ndarray) -> None:
    """The map, with the encoded data on it."""
    drawing, axes = background.draw(cmap="cividis")
    latent_scatter(axes, latents, labels, names=_names(labels), size=9.0)
    _legend(drawing, axes)
    record.figure(
        drawing,
        "metric-map.png",
        title="The metric",
        caption="How much area in image space a unit of latent area has. Dots are encoded images. Bright "
        "ridges, where images change fast or where there are no data, are expensive to cross.",
        alt="Heat map of the square root of det G over the latent plane, with the encoded digits as dots in "
        "one group for each class and bright ridges between the groups.",
    )


def geodesics_figure(
    record: Record, background: Background, latents: Tensor, labels: np.ndarray, joined: JoinedPairs
) -> None:
    """Geodesics against straight lines."""
    drawing, axes = background.draw()
    latent_scatter(axes, latents, labels, names=_names(labels), size=5.0)
    lines, geodesics = joined.lines[:_DRAWN], joined.geodesics[:_DRAWN]
    straight_lines(axes, lines[:, 0], lines[:, -1])
    curves(axes, geodesics)
    _legend(drawing, axes)
    shorter = 100 * (1 - float(joined.length_ratios.mean()))
    record.figure(
        drawing,
        "geodesics.png",
        title="Geodesics against straight lines",
        caption=f"{len(lines)} of {len(joined.lines)} random pairs of digits of different classes. Measured in image "
        f"space, the geodesics are {shorter:.1f}% shorter on average.",
        alt=f"Latent plane with {len(lines)} curved geodesics and the dashed straight lines between the same "
        "points; the geodesics bend around the dark parts of the map.",
    )


def strips_figure(
    record: Record,
    decode: Callable[[Tensor], Tensor],
    strips: Mapping[tuple[int, int], Strip],
    shape: Sequence[int],
    unevenness: tuple[float, float],
) -> None:
    """Decoded images along both, in two rows for each pair of classes, with their lengths."""
    drawing = Drawing(figsize=(6.4, 1.35 * len(strips)), layout="constrained")
    for axes, strip in zip(
        drawing.subplots(len(strips), 1, squeeze=False)[:, 0], strips.values(), strict=True
    ):
        decoded_strips(
            axes,
            decode,
            strip.curves,
            image_shape=shape,
            names=("geodesic", "straight"),
            captions=[f"length {length:.2f}" for length in strip.lengths],
        )
    pairs = ", ".join(f"{a} to {b}" for a, b in strips)
    record.figure(
        drawing,
        "strips.png",
        title="Decoded images on the way",
        caption=f"From {pairs}: above at equal steps along the geodesic, below along the straight line, and the "
        "lengths of both. Over all pairs, the largest change from one image to the next is "
        f"{unevenness[0]:.1f} times the mean change along geodesics, and {unevenness[1]:.1f} times along "
        "straight lines.",
        alt=f"Rows of decoded digits, from {pairs}; of each two rows the upper one follows the geodesic, the "
        "lower one the straight line; behind each row is its length.",
    )


def clusters_figure(
    record: Record,
    background: Background,
    points: Tensor,
    labels: np.ndarray,
    found: LatentClusters,
    *,
    kind: Literal["geodesic", "Euclidean"],
) -> None:
    """Clusters by colour, classes by shape."""
    drawing, axes = background.draw()
    clusters(axes, points, found.labels, found.centers, classes=labels)
    drawing.legend(
        handles=_shapes(labels), loc="outside lower center", ncols=5, frameon=False, handletextpad=0.2
    )
    scores = found.scores
    record.figure(
        drawing,
        f"clusters-{kind.lower()}.png",
        title=f"k-means by {kind} distance",
        caption=f"Colour is the cluster, shape the class, stars are the centres. F-measure {scores.f_measure:.3f}, "
        f"purity {scores.purity:.3f}, adjusted Rand index {scores.adjusted_rand:.3f}.",
        alt=f"Latent plane with {len(points)} points in {len(found.centers)} colours, the clusters by "
        "{kind} distance, and a star at each centre; the shapes of the points tell their classes.",
    )


def _names(labels: np.ndarray) -> Sequence[str]:
    return [f"digit {label}" for label in np.unique(labels)]


def _legend(drawing: Drawing, axes: Axes) -> None:
    """Below the picture, where it hides nothing."""
    handles, names = axes.get_legend_handles_labels()
    drawing.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=3,
        frameon=False,
        handletextpad=0.4,
        columnspacing=1.2,
        markerscale=1.6,
    )


def _shapes(labels: np.ndarray) -> list[Line2D]:
    """One grey marker for each class, and the star of the centres."""
    kinds = [*zip(MARKERS, _names(labels), strict=False), ("*", "centre")]
    return [Line2D([], [], linestyle="", marker=m, color="0.45", label=name) for m, name in kinds]
