"""Images drawn from the prior after a short and a long training, next to data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.digit_classifier import digit_classifier
from latentgeo.experiments.experiment import Experiment, Findings, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.paper_vae import PaperConfig, PaperModel
from latentgeo.plots import image_grid
from latentgeo.training import evaluate

_SIDE = 8  # images in a row and in a column of the figure


@dataclass(frozen=True, kw_only=True)
class GenerationEpochsConfig(PaperConfig):
    """Settings.

    Attributes:
        latents: k.
        looked_at: epochs after which images are drawn, a few and many, whatever `epochs`.
        num_images: drawn from each model; at least 64.
    """

    latents: int = 20
    looked_at: tuple[int, int] = (1, 10)
    num_images: int = 1000


@dataclass(frozen=True)
class _Stage:
    """Of a model after some epochs: images of the same draws from the prior (N, pixels), and the held-out bound."""

    model: PaperModel
    epochs: int
    images: Tensor
    bound: float


def study(config: GenerationEpochsConfig, place: Place, record: Record) -> Findings:
    """Draws images from models at both stages, and asks a classifier how clear and how various they are."""
    data = load_images(config.data, "test", place).images
    classifier = digit_classifier(config.data, place)
    models = [
        PaperModel(config=config, place=place, latents=config.latents, seed=seed) for seed in config.seeds
    ]
    found = run_jobs(partial(_stages, config), models, place, label="models")
    rows = [
        {
            "seed": stage.model.seed,
            "epochs": stage.epochs,
            "bound": stage.bound,
            "score": _score(classifier(stage.images.to(place.device))),
        }
        for stages in found
        for stage in stages
    ]
    record.table("generation.csv", rows)
    _draw(record, data, found[0])
    of_data = _score(classifier(data.to(place.device)))
    bounds, scores = (
        {
            epochs: np.array([row[name] for row in rows if row["epochs"] == epochs])
            for epochs in config.looked_at
        }
        for name in ("bound", "score")
    )
    few, many = config.looked_at
    return Findings(
        numbers={
            "score of data": of_data,
            **{
                f"after {epochs} epochs": {
                    "bound": {"mean": float(bounds[epochs].mean()), "spread": float(bounds[epochs].std())},
                    "score": {"mean": float(scores[epochs].mean()), "spread": float(scores[epochs].std())},
                }
                for epochs in config.looked_at
            },
        },
        criteria=(
            Criterion(
                f"Images drawn after {many} epochs have a higher score than after {few}; smallest difference.",
                float((scores[many] - scores[few]).min()),
                ">",
                0.0,
                documented="images after 1000 epochs look better than after 100",
            ),
            Criterion(
                "The bound on held-out images is higher too; smallest difference, nats.",
                float((bounds[many] - bounds[few]).min()),
                ">",
                0.0,
            ),
        ),
        deviations=(
            *config.not_written,
            f"{few} and {many} epochs; the slides have 100 and 1000, and name no k: {config.latents} here.",
            "The slides show images and no numbers; our measure of what they show is the inception score of Salimans "
            "et al. 2016 with a classifier of digits, from 1 to 10: images that are clear, and of all classes.",
        ),
    )


def _stages(config: GenerationEpochsConfig, model: PaperModel) -> list[_Stage]:
    held_out = model.rows("test")
    z = torch.randn(config.num_images, config.latents, generator=torch.Generator().manual_seed(model.seed))
    z = z.to(model.place.device)
    stages = []
    for epochs, vae in zip(config.looked_at, model.train_along(config.looked_at), strict=True):
        with torch.no_grad():
            images = vae.decode(z).mean.cpu()
        stages.append(_Stage(model, epochs, images, -evaluate(vae, held_out, batch_size=1000, seed=0)))
    return stages


def _score(probabilities: Tensor) -> float:
    """Exp of the mean divergence of p(class | image) from p(class): 10 for certain images of ten equal classes."""
    of_all = probabilities.mean(0)
    divergence = (
        torch.special.xlogy(probabilities, probabilities) - torch.special.xlogy(probabilities, of_all)
    ).sum(1)
    return float(divergence.mean().exp())


def _draw(record: Record, data: Tensor, stages: Sequence[_Stage]) -> None:
    drawing = Figure(figsize=(9.6, 3.5), layout="constrained")
    shape = (_SIDE, _SIDE, *data.shape[2:])
    shown = {"data": data, **{f"after {stage.epochs} epochs": stage.images for stage in stages}}
    for axes, (title, images) in zip(drawing.subplots(1, len(shown)), shown.items(), strict=True):
        image_grid(axes, images[: _SIDE**2].reshape(shape))
        axes.set_title(title.replace(" 1 epochs", " 1 epoch"))
    record.figure(
        drawing,
        "generated.png",
        title="Generated images",
        caption="Test images, and means that the decoder gives at the same draws from the prior after a short and a "
        "long training (first seed).",
        alt="Three squares of digits: real ones, blurred ones, and clearer ones.",
    )


EXPERIMENT = Experiment(
    name="generation-epochs",
    summary="images drawn from the prior after a short and a long training",
    source="Malagò, Peste, Sârbu, slides, generated images",
    presets={
        "quick": GenerationEpochsConfig(
            data="digits",
            seeds=(0,),
            hidden=(64, 64),
            learning_rate=3e-3,
            batch_size=50,
            latents=10,
            looked_at=(3, 30),
            num_images=500,
        ),
        "standard": GenerationEpochsConfig(),
        "full": GenerationEpochsConfig(looked_at=(100, 1000), num_images=10_000),
    },
    study=study,
)
