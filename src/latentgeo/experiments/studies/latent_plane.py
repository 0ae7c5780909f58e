"""A latent plane: where digits lie, what it decodes to over the prior's quantiles, and what its gaps decode to."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.spatial import KDTree
from scipy.special import ndtri
from sklearn.neighbors import KNeighborsClassifier

from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.digit_classifier import DigitClassifier, digit_classifier
from latentgeo.experiments.experiment import Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.report_models import (
    ReportConfig,
    ReportModel,
    codes,
    pixels,
)
from latentgeo.models import VAE, Autoencoder
from latentgeo.plots import image_grid

_RADIUS = 2.45  # of the disc that holds 95% of the prior
_GRID = 61  # points of a side of the square around it
_NEIGHBORS = 10  # by whose distance the density of codes is told
_EMPTIEST = 0.1  # share of the disc
_SHOWN, _DRAWN = 15, 2500
_CLASS_COLORS = matplotlib.colormaps["tab10"]


@dataclass(frozen=True, kw_only=True)
class LatentPlaneConfig(ReportConfig):
    """Settings: the report's model with two latents."""

    latents: tuple[int, ...] = (2,)


@dataclass(frozen=True)
class _Plane:
    """A plane's codes of test images (N, 2), and points of the prior's disc (M, 2).

    Attributes:
        model: of the plane.
        codes: of test images.
        points: of a grid in the disc.
        sparseness: of training codes at the points: the distance to the tenth nearest.
        confidence: of a classifier in what the points decode to.
        confidence_at_data: the same for the codes.
        accuracy: of the ten nearest training codes, on the classes of test images.
    """

    model: VAE | Autoencoder
    codes: np.ndarray
    points: np.ndarray
    sparseness: np.ndarray
    confidence: np.ndarray
    confidence_at_data: np.ndarray
    accuracy: float

    @property
    def empty(self) -> np.ndarray:
        """Which points are in the emptiest tenth of the disc."""
        return self.sparseness >= np.quantile(self.sparseness, 1 - _EMPTIEST)


def study(config: LatentPlaneConfig, place: Place, record: Record) -> Findings:
    """Draws the plane, and asks a classifier how sure it is of images from where there are few codes."""
    test = load_images(config.data, "test", place)
    classifier = digit_classifier(config.data, place)
    planes = []
    for seed in config.seeds:
        item = ReportModel(config=config, place=place, kind="vae", latents=2, seed=seed)
        planes.append(_plane(item, classifier))
    accuracy = np.array([plane.accuracy for plane in planes])
    empty, rest, data = (
        np.array([float(values.mean()) for values in some])
        for some in (
            [plane.confidence[plane.empty] for plane in planes],
            [plane.confidence[~plane.empty] for plane in planes],
            [plane.confidence_at_data for plane in planes],
        )
    )
    record.table(
        "points.csv",
        [
            {
                "seed": seed,
                "x": float(x),
                "y": float(y),
                "distance to codes": float(plane.sparseness[k]),
                "confidence": float(plane.confidence[k]),
            }
            for seed, plane in zip(config.seeds, planes, strict=True)
            for k, (x, y) in enumerate(plane.points)
        ],
    )
    shape = tuple(test.images.shape[2:])
    _draw_scatter(record, planes[0], test.labels.numpy())
    _draw_manifold(record, planes[0].model, shape, torch.device(place.device))
    _draw_gaps(record, planes[0], shape, torch.device(place.device))
    apart = Criterion(
        "Classes have regions of their own: accuracy of the ten nearest training codes on test images; smallest over "
        "seeds.",
        float(accuracy.min()),
        ">",
        0.5,
        "classes are apart in the plot (figure 8)",
    )
    unclear = Criterion(
        "Empty regions decode to images that are not digits: confidence of a classifier, at codes of test images "
        "minus in the emptiest tenth; mean difference.",
        float((data - empty).mean()),
        ">",
        0.0,
        "sampling from the empty regions: images that are not digits (slides)",
    )
    return Findings(
        numbers={
            "confidence in the emptiest tenth of the prior's disc, by seed": empty.tolist(),
            "confidence in the rest of it, by seed": rest.tolist(),
            "confidence at codes of test images, by seed": data.tolist(),
            "accuracy of nearest neighbours in the plane, by seed": accuracy.tolist(),
            "mean and spread of the difference, data - emptiest": [
                float((data - empty).mean()),
                float((data - empty).std()),
            ],
        },
        criteria=(apart, *((unclear,) if config.data == "mnist" else ())),
        deviations=(
            "The documents show the scatter, and say of empty regions what is seen; the classifier's confidence "
            "is our measure of it. A region is empty where the tenth nearest of the training codes is far.",
        ),
    )


def _plane(item: ReportModel, classifier: DigitClassifier) -> _Plane:
    model = item.train()
    test = codes(model, item.rows("test"))
    side = np.linspace(-_RADIUS, _RADIUS, _GRID)
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    points = points[np.hypot(*points.T) <= _RADIUS]
    train = codes(model, item.rows("train")).cpu().numpy()
    neighbors = KNeighborsClassifier(_NEIGHBORS).fit(train, item.labels("train"))
    accuracy = float(neighbors.score(test.cpu().numpy(), item.labels("test")))
    distances, _ = KDTree(train).query(points, k=_NEIGHBORS)
    sparseness = np.asarray(distances)[:, -1]
    at_points, at_data = pixels(model, torch.from_numpy(points).to(test)), pixels(model, test)
    return _Plane(
        model=model,
        codes=test.cpu().numpy(),
        points=points,
        sparseness=sparseness,
        confidence=classifier.confidence(at_points).numpy(),
        confidence_at_data=classifier.confidence(at_data).numpy(),
        accuracy=accuracy,
    )


def _draw_scatter(record: Record, plane: _Plane, labels: np.ndarray) -> None:
    drawing = Figure(figsize=(5.4, 4.6), layout="constrained")
    axes = drawing.subplots()
    some = plane.codes[:_DRAWN]
    axes.scatter(*some.T, c=_CLASS_COLORS(labels[:_DRAWN]), s=max(3, 3000 / len(some)), linewidths=0)
    for digit in range(10):
        axes.plot([], [], "o", color=_CLASS_COLORS(digit), label=str(digit))
    axes.set(aspect="equal", xlabel="z₁", ylabel="z₂")
    drawing.legend(loc="outside right center", frameon=False)
    record.figure(
        drawing,
        "scatter.png",
        title="The latent plane",
        caption=f"Posterior means of {len(some)} test images, coloured by class.",
        alt="A cloud of points in which each of ten colours has a region of its own, some overlapping.",
    )


def _draw_manifold(
    record: Record, model: VAE | Autoencoder, shape: tuple[int, ...], device: torch.device
) -> None:
    quantiles = torch.from_numpy(ndtri((np.arange(_SHOWN) + 0.5) / _SHOWN)).float()
    y, x = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    images = pixels(model, torch.stack([x, y], dim=-1).reshape(-1, 2).to(device))
    drawing = Figure(figsize=(4.4, 4.4), layout="constrained")
    axes = drawing.subplots()
    image_grid(axes, images.reshape(_SHOWN, _SHOWN, *shape))
    axes.set(xlabel="quantiles of z₁", ylabel="quantiles of z₂")
    record.figure(
        drawing,
        "manifold.png",
        title="The manifold of digits",
        caption="Decoded points at equally probable quantiles of the prior along both axes.",
        alt="A square grid of digits that turn from one class into another from place to place.",
    )


def _draw_gaps(record: Record, plane: _Plane, shape: tuple[int, ...], device: torch.device) -> None:
    drawing = Figure(figsize=(8.6, 3.6), layout="constrained")
    left, right = drawing.subplots(1, 2, width_ratios=(1.2, 1))
    drawn = left.scatter(*plane.points.T, c=plane.confidence, s=7, marker="s", linewidths=0, cmap="viridis")
    left.plot(*plane.points[plane.empty].T, "x", color="#D55E00", markersize=2.5, label="emptiest tenth")
    left.plot(*plane.codes[:1000].T, ".", color="black", markersize=1, label="codes")
    reach = 1.05 * _RADIUS
    left.set(aspect="equal", xlabel="z₁", ylabel="z₂", xlim=(-reach, reach), ylim=(-reach, reach))
    left.legend(fontsize=7, loc="upper right", markerscale=2)
    drawing.colorbar(drawn, ax=left, label="confidence")
    random = np.random.RandomState(0)
    places = plane.points[random.choice(np.flatnonzero(plane.empty), 50)]
    images = pixels(plane.model, torch.from_numpy(places).float().to(device))
    image_grid(right, images.reshape(5, 10, *shape))
    right.set_title("decoded from the emptiest tenth", fontsize=10)
    record.figure(
        drawing,
        "gaps.png",
        title="Empty regions",
        caption="Left: how sure a classifier is of what points of the prior's 95% disc decode to, codes of test "
        "images, and the tenth of the disc with fewest codes around. Right: random points of that tenth, decoded.",
        alt="A disc coloured by confidence, low along borders between classes; a grid of images, some unclear.",
    )


EXPERIMENT = Experiment(
    name="latent-2d",
    summary="digits in a latent plane, the manifold they are decoded to, and its empty regions",
    source="Ravaux, Adler, Auto-encoding Variational Bayes, figure 8; Malagò, Peste, Sârbu, slides",
    presets={
        "quick": LatentPlaneConfig(hidden=100, epochs=60),
        "standard": LatentPlaneConfig(data="mnist", epochs=20, seeds=(0, 1, 2)),
        "full": LatentPlaneConfig(data="mnist", seeds=(0, 1, 2, 3, 4)),
    },
    study=study,
)
