"""What random codes decode to: plain against variational autoencoders, judged by a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.digit_classifier import digit_classifier
from latentgeo.experiments.experiment import Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.report_models import (
    KIND_COLORS,
    KINDS,
    NAMES,
    ReportConfig,
    codes,
    distance_to_data,
    pixels,
    trained_models,
)
from latentgeo.plots import image_grid

_SHOWN = 10
_SURE = 0.9
_NEAR = "distance to data"
_DOCUMENTED = "VAE: mostly recognizable digits; AE: not conclusive at all (figures 9 and 10)"
_PRIOR = "N(0, I)"
_SCALES = {_PRIOR: "codes from N(0, I)", "own spread": "codes as wide along each axis as those of data"}


@dataclass(frozen=True, kw_only=True)
class RandomGenerationConfig(ReportConfig):
    """Settings.

    Attributes:
        num_codes: decoded by each model.
    """

    latents: tuple[int, ...] = (10, 20)
    num_codes: int = 2000


def study(config: RandomGenerationConfig, place: Place, record: Record) -> Findings:
    """Decodes random codes with both kinds of models, and asks a classifier how sure it is of their classes."""
    shape = tuple(load_images(config.data, "test", place).images.shape[2:])
    classifier = digit_classifier(config.data, place)
    rows: list[dict[str, object]] = []
    shown: dict[str, Tensor] = {}
    for item, model in trained_models(config, place).items():
        data = item.rows("train")
        spread = codes(model, data)
        generator = torch.Generator().manual_seed(item.seed)
        normal = torch.randn(config.num_codes, item.latents, generator=generator).to(data)
        scaled = {_PRIOR: normal, "own spread": spread.mean(0) + normal * spread.std(0)}
        for scale, z in scaled.items():
            images = pixels(model, z)
            if item.latents == config.latents[-1]:
                shown.setdefault(f"{NAMES[item.kind]}, {scale}", images[:_SHOWN])
            sure = classifier.confidence(images)
            rows.append(
                {
                    "model": NAMES[item.kind],
                    "latents": item.latents,
                    "seed": item.seed,
                    "codes": scale,
                    "confidence": float(sure.mean()),
                    "share above 0.9": float((sure > _SURE).double().mean()),
                    _NEAR: distance_to_data(images, data),
                }
            )
    truth = float(
        classifier.confidence(load_images(config.data, "test", place).images.to(place.device)).mean()
    )
    record.table("confidence.csv", rows)
    _draw_images(record, shown, shape, config.latents[-1])
    _draw_confidence(record, config, rows, truth)

    def mean(kind: str, latents: int, scale: str, column: str = "confidence") -> np.ndarray:
        key = (NAMES[kind], latents, scale)
        return np.array(
            [row[column] for row in rows if (row["model"], row["latents"], row["codes"]) == key], dtype=float
        )

    clearer = [
        Criterion(
            f"Of {words} the variational autoencoder makes clearer digits; mean confidence of a classifier, VAE - "
            "AE, the smallest over dimensions.",
            min(
                float((mean("vae", n, scale) - mean("autoencoder", n, scale)).mean()) for n in config.latents
            ),
            ">",
            0.0,
            documented=_DOCUMENTED,
        )
        for scale, words in _SCALES.items()
    ]
    nearer = Criterion(
        "Of codes from N(0, I) the variational autoencoder makes images nearer to data; ratio of mean distances to "
        "the nearest training image, VAE over AE, the largest over dimensions.",
        max(
            float(mean("vae", n, _PRIOR, _NEAR).mean() / mean("autoencoder", n, _PRIOR, _NEAR).mean())
            for n in config.latents
        ),
        "<",
        1.0,
        documented=_DOCUMENTED,
    )
    return Findings(
        numbers={
            "confidence on test images": truth,
            **{
                f"{column}, {scale}": {
                    f"{NAMES[kind]}, {n} latents": {
                        "mean": float(mean(kind, n, scale, column).mean()),
                        "spread": float(mean(kind, n, scale, column).std()),
                    }
                    for kind in KINDS
                    for n in config.latents
                }
                for column in ("confidence", "share above 0.9", _NEAR)
                for scale in _SCALES
            },
        },
        criteria=tuple(clearer) if config.data == "mnist" else (nearer,),
        remarks=(
            "On the embedded digits a classifier is as sure of what is no digit, and the distance to the nearest "
            "training image tells more; on MNIST that distance favours whatever is blurred and dim.",
        ),
        deviations=(
            "The report judges pictures by eye and does not say from which distribution its codes are; here it is a "
            "classifier trained on the same images, and codes of two widths.",
        ),
    )


def _draw_images(record: Record, shown: dict[str, Tensor], shape: tuple[int, ...], latents: int) -> None:
    names = sorted(shown, reverse=True)
    drawing = Figure(figsize=(6.6, 0.55 * len(names)), layout="constrained")
    images = torch.stack([shown[name] for name in names])
    image_grid(drawing.subplots(), images.reshape(len(names), _SHOWN, *shape), names=names)
    record.figure(
        drawing,
        "generated.png",
        title="Images of random codes",
        caption=f"What models of {latents} latents make of the same standard normal numbers, taken as codes, "
        "and scaled to the spread of the codes of data.",
        alt="Four rows of generated images; those of the VAE look like digits, those of the AE hardly.",
    )


def _draw_confidence(
    record: Record, config: RandomGenerationConfig, rows: list[dict[str, object]], truth: float
) -> None:
    drawing = Figure(figsize=(6.4, 3.2), layout="constrained")
    panels = drawing.subplots(1, len(_SCALES), sharey=True)
    for axes, scale in zip(panels, _SCALES, strict=True):
        for k, kind in enumerate(KINDS):
            for place, n in enumerate(config.latents):
                key = (NAMES[kind], n, scale)
                values = [r["confidence"] for r in rows if (r["model"], r["latents"], r["codes"]) == key]
                x = place + 0.36 * (k - 0.5)
                mean = float(np.mean(np.array(values, dtype=float)))
                axes.bar(x, mean, 0.34, color=KIND_COLORS[kind], label=None if place else NAMES[kind])
                axes.plot([x] * len(values), values, ".", color="black", markersize=5)
        axes.axhline(truth, color="black", linewidth=0.8, linestyle="--")
        axes.set(xticks=range(len(config.latents)), xticklabels=config.latents, title=scale, ylim=(0, 1.05))
        axes.set_xlabel("latents")
    panels[0].set_ylabel("mean confidence")
    drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    record.figure(
        drawing,
        "confidence.png",
        title="How sure a classifier is",
        caption="Mean probability of the most probable class, a dot a seed; dashed: on images of the test set.",
        alt="Pairs of bars for each dimension and width of codes; those of the VAE are higher.",
    )


EXPERIMENT = Experiment(
    name="random-generation",
    summary="random codes decode to digits with a variational autoencoder, and not with a plain one",
    source="Ravaux, Adler, Auto-encoding Variational Bayes, figures 9 and 10",
    presets={
        "quick": RandomGenerationConfig(hidden=100, latents=(10,), epochs=40, num_codes=1000),
        "standard": RandomGenerationConfig(data="mnist", seeds=(0, 1, 2)),
        "full": RandomGenerationConfig(data="mnist", seeds=(0, 1, 2, 3, 4)),
    },
    study=study,
)
