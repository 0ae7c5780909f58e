"""What was given up because Jacobians were slow: metrics, geodesics and walks of three decoders, and their time."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from latentgeo import ConvergenceWarning, Metric, MinimizeEnergy, geodesic, pullback_metric, random_walk
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.experiments.timing import row_by_row_seconds, timed
from latentgeo.experiments.trained import Recipe, train
from latentgeo.models import Autoencoder
from latentgeo.plots import COLORS, image_grid

_ERROR = 1e-3  # relative, of G against finite differences in float64, and of lengths
_STEP = 1e-4  # of the differences
_RESIDUAL = 1e-2  # of geodesics; below it their lengths stay the same to a percent
_RIDGE = 1e-3  # of the largest eigenvalue of G, for walks
_LEARNED = 0.1  # of the variance of pixels, that a decoder explains which has learned something
_NAMES = {
    "lenet5": "LeNet5",
    "resnet18": "ResNet18",
    "digits": "digits",
    "mnist": "MNIST",
    "cifar10": "CIFAR10",
}
_SEEN = 200  # images by which the explained variance is taken
_STRIP, _FINE = 10, 8  # images in a strip, and steps between them by which lengths are measured
_PARTS = ("metric", "row by row", "geodesic", "step of a walk")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A decoder and what is asked of it.

    Attributes:
        data: what it is trained on.
        per_class: how many images of each class; None for all.
        recipe: the network, its number of latents, and its training.
        num_points: at which metrics are taken at once.
        num_rows: of the Jacobian that the old way computes; the time of all rows is in proportion.
        num_segments: of the geodesic.
        num_steps: of the walk.
    """

    data: Literal["digits", "mnist", "cifar10"]
    per_class: int | None = None
    recipe: Recipe
    num_points: int = 4
    num_rows: int = 32
    num_segments: int = 32
    num_steps: int = 50

    @property
    def name(self) -> str:
        """The network, the data and the number of latents, as the slides name them."""
        return f"{_NAMES[self.recipe.network]}, {_NAMES[self.data]}, d = {self.recipe.latents}"


def _cases(resnet: Case, lenet: Case, latents: tuple[int, int, int]) -> tuple[Case, ...]:
    """The slides' three: ResNet18, then LeNet5 with two numbers of latents."""
    return tuple(
        replace(case, recipe=replace(case.recipe, latents=d))
        for case, d in zip((resnet, lenet, lenet), latents, strict=True)
    )


def _resnet18(width: int, epochs: int, batch_size: int) -> Recipe:
    return Recipe(
        latents=1,
        kind="autoencoder",
        network="resnet18",
        hidden=(width,),
        activation="silu",
        epochs=epochs,
        batch_size=batch_size,
    )


def _lenet5(epochs: int) -> Recipe:
    return Recipe(latents=1, kind="autoencoder", network="lenet5", activation="tanh", epochs=epochs)


@dataclass(frozen=True, kw_only=True)
class SlowJacobiansConfig(Config):
    """Settings.

    Attributes:
        cases: the decoders.
    """

    cases: tuple[Case, ...] = _cases(
        Case(data="digits", recipe=_resnet18(4, 3, 20), num_steps=5),
        Case(
            data="digits",
            recipe=replace(_lenet5(15), batch_size=20),
            num_steps=20,
        ),
        (16, 8, 4),
    )


def study(config: SlowJacobiansConfig, place: Place, record: Record) -> Findings:
    """Trains each decoder, then takes metrics, a geodesic and walks, and looks at the clock."""
    rows, strips = [], {}
    for case in config.cases:
        for seed in config.seeds:
            with record.stage(case.name):
                row, images = _measured(replace(case, recipe=replace(case.recipe, seed=seed)), place, seed)
            rows.append(row)
            strips.setdefault(case.name, images)
    record.table("seconds.csv", rows)
    _draw_seconds(record, rows[:: len(config.seeds)])
    _draw_strips(record, strips)
    return Findings(
        numbers={f"{row['case']}, seed {row['seed']}": row for row in rows},
        criteria=(
            Criterion(
                "The decoders have learned to use their latents; smallest share of the variance of pixels that "
                "they explain.",
                min(row["variance explained"] for row in rows),
                ">=",
                _LEARNED,
            ),
            Criterion(
                "The metric is that of finite differences of the decoder in float64; largest relative error.",
                max(row["error of the metric"] for row in rows),
                "<=",
                _ERROR,
            ),
            Criterion(
                "Geodesics are found on every decoder; share converged.",
                sum(row["geodesic converged"] for row in rows) / len(rows),
                ">=",
                1.0,
                documented="given up: Jacobians were very slow",
            ),
            Criterion(
                "No geodesic is longer than its straight line; largest ratio.",
                max(row["geodesic over straight"] for row in rows),
                "<=",
                1 + _ERROR,
            ),
            Criterion(
                "Walks run on every decoder; share with finite steps.",
                sum(row["walked"] for row in rows) / len(rows),
                ">=",
                1.0,
                documented="in 4 dimensions only, for more performance",
            ),
            Criterion(
                "A metric takes less time than its Jacobian row by row; seconds of the latter over those of the "
                "former, least of all decoders.",
                min(row["row by row over metric"] for row in rows),
                ">",
                1.0,
            ),
        ),
        deviations=(
            "The slides give no seconds and not the way in which they took Jacobians; the old way here is a backward "
            "pass for each output, timed on some outputs.",
            "ResNet18's activation is SiLU, not ReLU, whose metric is piecewise constant.",
            "The decoders are autoencoders': variational ones leave most of 64 or 256 latents unused, and there is "
            "no metric to speak of along those.",
            f"Geodesics end at a residual of {_RESIDUAL:g}.",
            f"Walks are by G + {_RIDGE:g} λ I, λ the largest eigenvalue of G at their start, in float64: G is nearly "
            "singular, and a step along what the decoder hardly uses would leave all that it knows.",
        ),
        remarks=("Seconds are the processor's, on one thread from the command line.",),
    )


def _measured(case: Case, place: Place, seed: int) -> tuple[dict[str, Any], Tensor]:
    """A row of the table, and images along the geodesic and the straight line, (2, n, channels, height, width)."""
    classes = None if case.per_class is None else tuple(range(10))
    data = load_images(case.data, "train", place, classes=classes, per_class=case.per_class)
    trained, training = timed(lambda: train(case.recipe, data.images, place), place.device)
    model = cast(Autoencoder, trained.model)
    with torch.no_grad():
        decode = _means(model.decoder)
        seen = data.images[:_SEEN].to(place.device)
        codes = model.encode(seen)
        explained = 1 - float((decode(codes) - seen).square().mean() / seen.var(0, correction=0).mean())
    start, end, *rest = codes[: case.num_points + 2]
    points = torch.stack(rest)
    metric = pullback_metric(decode)
    # float32 cannot factorize what is nearly singular
    exact = _means(copy.deepcopy(model.decoder).double())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        metric(points[:1])  # the first call looks at the decoder
        _, matrices = timed(lambda: metric(points), place.device)
    row_by_row = row_by_row_seconds(decode, points[0], case.num_rows, place.device)
    solver = MinimizeEnergy(num_segments=case.num_segments, tol=_RESIDUAL, max_steps=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is in the numbers
        result, solving = timed(lambda: geodesic(metric, start, end, solver=solver), place.device)
        size = 0.01 * float(result.length)
        kind, steps = "inverse-metric", case.num_steps
        at = points[:1].double()
        ridged = _ridged(exact, at)
        walk, walking = timed(
            lambda: random_walk(ridged, at, steps, size, kind=kind, generator=generator), place.device
        )
    t = torch.linspace(0, 1, _FINE * (_STRIP - 1) + 1, dtype=start.dtype, device=start.device)
    curves = result.at(t)[0], torch.lerp(start, end, t[:, None])
    with torch.no_grad():
        images = decode(torch.cat([curve[::_FINE] for curve in curves])).unflatten(0, (2, _STRIP)).cpu()
    seconds = (matrices / len(points), row_by_row, solving, walking / steps)
    row: dict[str, Any] = {"case": case.name, "seed": seed}
    row |= {f"seconds of {part}": each for part, each in zip(_PARTS, seconds, strict=True)}
    row |= {"seconds of training": training, "row by row over metric": row_by_row / seconds[0]}
    row |= {"variance explained": explained}
    row |= {"error of the metric": _error(metric, exact, points, generator)}
    row |= {"geodesic converged": bool(result.converged.all()), "steps of the geodesic": int(result.steps[0])}
    row |= {"length of the geodesic": float(result.length)}
    row |= {"geodesic over straight": _length(exact, curves[0]) / _length(exact, curves[1])}
    moved = walk.diff(dim=0).norm(dim=2)
    return row | {"walked": bool(((moved > 0) & moved.isfinite()).all())}, images


def _means(decoder: nn.Module) -> Callable[[Tensor], Tensor]:
    """The images that a decoder of logits makes."""
    return lambda z: decoder(z).sigmoid()


def _ridged(decode: Callable[[Tensor], Tensor], at: Tensor) -> Metric:
    """G + ε² I: the pull-back of images and latents times ε together."""
    metric = pullback_metric(decode)
    epsilon = (_RIDGE * torch.linalg.eigvalsh(metric(at)).max()).sqrt()
    return pullback_metric(lambda z: torch.cat([decode(z).flatten(1), epsilon * z], dim=1))


def _error(
    metric: Metric, exact: Callable[[Tensor], Tensor], points: Tensor, generator: torch.Generator
) -> float:
    """The largest |vᵀGv - |Δf|²| / |Δf|², Δf the central difference of the images along v, in float64."""
    v = torch.randn(points.shape, generator=generator).to(points)
    z, way = points.double(), v.double()
    with torch.no_grad():
        change = (exact(z + _STEP * way) - exact(z - _STEP * way)).flatten(1) / (2 * _STEP)
        squares = change.square().sum(1)
        ours = torch.einsum("ni,nij,nj->n", way, metric(points).double(), way)
    return float((ours / squares - 1).abs().max())


def _length(decode: Callable[[Tensor], Tensor], curve: Tensor) -> float:
    """The length of a curve (n, d) by the chords of its images."""
    with torch.no_grad():
        return float(decode(curve.double()).flatten(1).diff(dim=0).norm(dim=1).sum())


def _draw_seconds(record: Record, rows: list[dict[str, Any]]) -> None:
    drawing = Figure(figsize=(7, 3.4), layout="constrained")
    axes = drawing.subplots()
    width = 0.8 / len(_PARTS)
    for k, (part, color) in enumerate(zip(_PARTS, COLORS, strict=False)):
        places = [i + (k - (len(_PARTS) - 1) / 2) * width for i in range(len(rows))]
        bars = axes.bar(places, [row[f"seconds of {part}"] for row in rows], width, color=color, label=part)
        axes.bar_label(bars, fmt="{:.2g}", fontsize=7, padding=1)
    axes.set_xticks(range(len(rows)), [row["case"] for row in rows])
    axes.set(yscale="log", ylabel="seconds")
    axes.legend(frameon=False, ncols=len(_PARTS), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    record.figure(
        drawing,
        "seconds.png",
        title="Seconds",
        caption="Processor time of the metric at a point, of its Jacobian by a backward pass for each output, of a "
        "geodesic, and of a step of the walk with the inverse metric for covariance. First seed.",
        alt="Groups of four bars on a logarithmic scale; in each the row by row Jacobian is far above the metric.",
    )


def _draw_strips(record: Record, strips: dict[str, Tensor]) -> None:
    drawing = Figure(figsize=(6.4, 1.5 * len(strips)), layout="constrained")
    panels = drawing.subplots(len(strips), 1, squeeze=False)[:, 0]
    for axes, (name, images) in zip(panels, strips.items(), strict=True):
        image_grid(axes, images)
        axes.set_title(f"{name}: geodesic above, straight line below", fontsize=9)
    record.figure(
        drawing,
        "strips.png",
        title="Interpolants",
        caption="Decoded means along the geodesic and along the straight line between two encoded images.",
        alt="For each decoder two rows of images that change from one to another.",
    )


_CIFAR10 = Case(data="cifar10", recipe=_resnet18(64, 100, 100), num_points=2, num_segments=16, num_steps=5)

EXPERIMENT = Experiment(
    name="slow-jacobians",
    summary="metrics, geodesics and walks on decoders whose Jacobians had been too slow",
    source="Grisi, d'Arcet, slides on Latent Space Oddity (arXiv:1710.11379), our implementation",
    presets={
        "quick": SlowJacobiansConfig(),
        "standard": SlowJacobiansConfig(
            data="mnist",
            cases=_cases(
                replace(_CIFAR10, recipe=_resnet18(64, 1, 20), per_class=250),
                Case(data="mnist", recipe=_lenet5(5)),
                (256, 64, 4),
            ),
        ),
        "full": SlowJacobiansConfig(
            data="mnist",
            cases=_cases(_CIFAR10, Case(data="mnist", recipe=_lenet5(100), num_steps=1000), (256, 64, 4)),
            seeds=(0, 1, 2),
        ),
    },
    study=study,
)
