"""Images along geodesics against images along straight lines of the latent plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentgeo import MinimizeEnergy, expected_pullback_metric
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.interpolation import JoinedPairs, join_classes, unevenness
from latentgeo.experiments.record import Record
from latentgeo.experiments.trained import train_stochastic
from latentgeo.models import VAE
from latentgeo.plots import GEODESIC, STRAIGHT, decoded_strips
from latentgeo.training.rbf_vae import RBFVAEConfig

_STRIP, _STRIPS = 10, 3  # images in a strip, and pairs that are shown
_SHARE, _LONGER = 0.8, 1 + 1e-3


@dataclass(frozen=True, kw_only=True)
class LatentInterpolationConfig(Config):
    """Settings.

    Attributes:
        classes: of digits.
        per_class: how many of each are for training; None for all.
        training: of the model.
        num_pairs: of points of different classes, for each seed.
    """

    classes: tuple[int, ...] = (0, 1, 2)
    per_class: int | None = None
    training: RBFVAEConfig = RBFVAEConfig(epochs=60, batch_size=50)  # noqa: RUF009 - frozen
    num_pairs: int = 24


def study(config: LatentInterpolationConfig, place: Place, record: Record) -> Findings:
    """Joins pairs of digits in both ways and looks at the steps of the decoded images."""
    data = load_images(config.data, "train", place, classes=config.classes, per_class=config.per_class)
    rows, shares, first = [], [], None
    for seed in config.seeds:
        model = train_stochastic(config.training, data.images, place, seed=seed)
        with torch.no_grad():
            latents = model.encode(data.images.flatten(1).to(place.device)).mean
        metric = expected_pullback_metric(model.decode)
        joined = join_classes(
            metric,
            latents,
            data.labels.numpy(),
            config.num_pairs,
            solver=MinimizeEnergy(max_steps=1000),
            random_state=seed,
        )
        along, across = (
            unevenness(_means(model, some)).cpu().numpy() for some in (joined.geodesics, joined.lines)
        )
        first = first or (model, joined)
        ratios, converged = joined.length_ratios.cpu().numpy(), joined.converged.cpu().numpy()
        shares.append(float((along < across).mean()))
        rows += [
            {
                "seed": seed,
                "classes": f"{a} to {b}",
                "largest over mean step, geodesic": float(along[k]),
                "largest over mean step, straight": float(across[k]),
                "length ratio": float(ratios[k]),
                "converged": bool(converged[k]),
            }
            for k, (a, b) in enumerate(joined.classes)
        ]
    geodesic = np.array([row["largest over mean step, geodesic"] for row in rows])
    straight = np.array([row["largest over mean step, straight"] for row in rows])
    ratio = np.array([row["length ratio"] for row in rows])
    record.table("pairs.csv", rows)
    if first is not None:
        _draw_strips(record, *first, tuple(data.images.shape[2:]))
    _draw_steps(record, geodesic, straight)
    return Findings(
        numbers={
            "pairs": len(rows),
            "share of pairs with smaller steps along the geodesic, by seed": shares,
            "mean of largest over mean step, geodesic": float(geodesic.mean()),
            "mean of largest over mean step, straight": float(straight.mean()),
            "mean ratio of lengths": float(ratio.mean()),
            "share of geodesics that converged": float(np.mean([row["converged"] for row in rows])),
            "spread of the shares over seeds": float(np.std(shares)),
        },
        criteria=(
            Criterion(
                "The longest decoded step over the mean step is smaller along the geodesic; share of pairs.",
                float((geodesic < straight).mean()),
                ">=",
                _SHARE,
                documented="geodesic interpolants change evenly (figure)",
            ),
            Criterion(
                "No geodesic is longer than its straight line; largest ratio.",
                float(ratio.max()),
                "<=",
                _LONGER,
            ),
        ),
        deviations=(
            "The slides show strips and no numbers; the share of pairs is our measure of what they show.",
        ),
    )


def _means(model: VAE, curves: Tensor) -> Tensor:
    with torch.no_grad():
        return model.decoder(curves)


def _draw_strips(record: Record, model: VAE, joined: JoinedPairs, shape: tuple[int, ...]) -> None:
    steps = torch.linspace(0, joined.geodesics.shape[1] - 1, _STRIP).round().long()
    shown = min(_STRIPS, len(joined.classes))
    drawing = Figure(figsize=(6.4, 1.35 * shown), layout="constrained")
    for k, axes in enumerate(drawing.subplots(shown, 1, squeeze=False)[:, 0]):
        decoded_strips(
            axes,
            model.decoder,
            torch.stack([joined.geodesics[k, steps], joined.lines[k, steps]]),
            image_shape=shape,
            names=("geodesic", "straight"),
            captions=[f"length {x[k]:.2f}" for x in (joined.lengths, joined.straight_lengths)],
        )
    record.figure(
        drawing,
        "strips.png",
        title="Interpolants",
        caption="Decoded means at equal steps along the geodesic (above) and the straight line (below), for pairs of "
        "digits of different classes.",
        alt="Decoded digits in pairs of rows: the upper one follows the geodesic, the lower the straight line.",
    )


def _draw_steps(record: Record, geodesic: np.ndarray, straight: np.ndarray) -> None:
    drawing = Figure(figsize=(4.6, 3.6), layout="constrained")
    axes = drawing.subplots()
    bins = np.linspace(1, max(geodesic.max(), straight.max()), 25)
    axes.hist(straight, bins=bins, color=STRAIGHT, alpha=0.5, label="straight line")
    axes.hist(geodesic, bins=bins, color=GEODESIC, alpha=0.7, label="geodesic")
    axes.set(xlabel="longest decoded step / mean step", ylabel="pairs")
    axes.legend(frameon=False)
    record.figure(
        drawing,
        "steps.png",
        title="How evenly images change",
        caption="The longest step from one decoded image to the next over the mean step: 1 is an even change.",
        alt="Two histograms: that of geodesics lies at small values, that of straight lines reaches far.",
    )


EXPERIMENT = Experiment(
    name="latent-interpolation",
    summary="decoded images change more evenly along geodesics than along straight lines",
    source="Grisi, d'Arcet, slides on Latent Space Oddity (arXiv:1710.11379), interpolation",
    presets={
        "quick": LatentInterpolationConfig(),
        "standard": LatentInterpolationConfig(
            data="mnist",
            per_class=1000,
            training=RBFVAEConfig(epochs=60, batch_size=100, learning_rate=3e-3),
            seeds=(0, 1, 2),
            num_pairs=60,
        ),
        "full": LatentInterpolationConfig(
            data="mnist",
            training=RBFVAEConfig(epochs=300, batch_size=100, learning_rate=3e-3),
            seeds=(0, 1, 2, 3, 4),
            num_pairs=300,
        ),
    },
    study=study,
)
