"""The Frey faces: the bound against the number of latents, and what a plane of latents decodes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.special import ndtri
from torch import Tensor

from latentgeo.data import load_frey_faces
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.record import Record
from latentgeo.experiments.result import UnusableData
from latentgeo.experiments.trained import Recipe, Trained, train
from latentgeo.models import VAE
from latentgeo.plots import COLORS, image_grid

_STRETCH, _EVERY = 40, 5  # frames in a stretch, of which each fifth is held out
_OVERFIT = 0.1  # of what was gained
_SHOWN = 12  # rows and columns of the plane


@dataclass(frozen=True, kw_only=True)
class FreyFacesConfig(Config):
    """Settings; ``data`` does not matter.

    Attributes:
        latents: numbers of them, rising, 2 the first.
        hidden: units of the one hidden layer.
        epochs: of each model.
    """

    latents: tuple[int, ...] = (2, 10)
    hidden: int = 200
    epochs: int = 30


@dataclass(frozen=True)
class _Job:
    """A model to train."""

    recipe: Recipe
    images: Tensor
    held_out: Tensor
    place: Place


def study(config: FreyFacesConfig, place: Place, record: Record) -> Findings:
    """Trains a model for each number of latents and seed, and follows its bound."""
    try:
        faces = load_frey_faces(data_dir=place.data_dir)
    except (FileNotFoundError, ValueError) as error:
        raise UnusableData(str(error)) from error
    held_out = torch.arange(len(faces)) // _STRETCH % _EVERY == _EVERY - 1
    here = place.alone
    models = [(k, seed) for k in config.latents for seed in config.seeds]
    jobs = [
        _Job(
            Recipe(
                latents=k, hidden=(config.hidden,), activation="tanh", likelihood="gaussian", epochs=config.epochs,
                seed=seed,
            ),
            faces[~held_out],
            faces[held_out],
            here,
        )
        for k, seed in models
    ]  # fmt: skip
    with record.stage("training"):
        every = run_jobs(_trained, jobs, place, label="models")
    trained = dict(zip(models, every, strict=True))
    bounds = {model: _bounds(one) for model, one in trained.items()}
    record.table(
        "bounds.csv",
        [
            {
                "latents": k,
                "seed": seed,
                "epoch": epoch + 1,
                "training": float(train),
                "held out": float(test),
            }
            for (k, seed), curves in bounds.items()
            for epoch, (train, test) in enumerate(curves)
        ],
    )
    _draw_bounds(record, bounds, config.seeds[0])
    _draw_plane(record, cast(VAE, trained[config.latents[0], config.seeds[0]].model), faces.shape[1:])
    final = {k: np.array([bounds[k, seed][-1, 1] for seed in config.seeds]) for k in config.latents}
    least, most = config.latents[0], config.latents[-1]
    last = np.stack([bounds[most, seed][:, 1] for seed in config.seeds])
    lost = (last.max(1) - last[:, -1]) / (last.max(1) - last[:, 0]).clip(min=1e-9)
    return Findings(
        numbers={
            "frames": {"training": int((~held_out).sum()), "held out": int(held_out.sum())},
            "held-out bound at the end, mean and spread over seeds, by latents": {
                str(k): (float(values.mean()), float(values.std())) for k, values in final.items()
            },
            "training bound at the end, by latents": {
                str(k): float(np.mean([bounds[k, seed][-1, 0] for seed in config.seeds]))
                for k in config.latents
            },
            f"share of the gain that {most} latents lose again, by seed": lost.tolist(),
        },
        criteria=(
            Criterion(
                f"More latents than {least} have a better bound on held-out frames; least difference of means over "
                "seeds.",
                min(float((final[k] - final[least]).mean()) for k in config.latents[1:]),
                ">",
                0.0,
                documented="the bound rises with the latents (Kingma & Welling, figure 2)",
            ),
            Criterion(
                f"Superfluous latents do not overfit: what {most} of them lose of their best held-out bound by the "
                "end, as a share of what was gained; mean over seeds.",
                float(lost.mean()),
                "<=",
                _OVERFIT,
                documented="superfluous latent variables did not result in overfitting",
            ),
        ),
        deviations=(
            "Adam in place of Adagrad; the mean is linear, without a sigmoid, and all pixels share one learned "
            "deviation.",
            f"Each fifth stretch of {_STRETCH} frames is held out; the article does not say which frames are.",
        ),
    )


def _trained(job: _Job) -> Trained:
    return train(job.recipe, job.images, job.place, validation=job.held_out)


def _bounds(one: Trained) -> np.ndarray:
    """(epochs, 2) the bound on training and held-out frames after each epoch."""
    records = one.history.records
    return -np.array([[epoch.loss, cast(float, epoch.validation)] for epoch in records])


def _draw_bounds(record: Record, bounds: dict[tuple[int, int], np.ndarray], seed: int) -> None:
    drawing = Figure(figsize=(5.6, 3.8), layout="constrained")
    axes = drawing.subplots()
    shown = {k: curves for (k, s), curves in bounds.items() if s == seed}
    for (k, curves), color in zip(shown.items(), COLORS, strict=False):
        epochs = np.arange(1, len(curves) + 1)
        axes.plot(epochs, curves[:, 1], color=color, label=f"{k} latents")
        axes.plot(epochs, curves[:, 0], ":", color=color)
    low = min(float(np.quantile(curves, 0.1)) for curves in shown.values())
    axes.set(xscale="log", xlabel="epoch", ylabel="bound, nats a frame", ylim=(low, None))
    axes.legend(frameon=False)
    record.figure(
        drawing,
        "bounds.png",
        title="The bound by the number of latents",
        caption="The variational bound on held-out frames (solid) and on those of the training (dotted).",
        alt="Rising curves, a pair for each number of latents.",
    )


def _draw_plane(record: Record, model: VAE, shape: torch.Size) -> None:
    quantiles = torch.from_numpy(ndtri((np.arange(_SHOWN) + 0.5) / _SHOWN)).float()
    z = torch.cartesian_prod(-quantiles, quantiles).flip(1)  # rows from the top down
    like = next(model.parameters())
    with torch.no_grad():
        images = model.decoder(z.to(like)).reshape(_SHOWN, _SHOWN, *shape)
    drawing = Figure(figsize=(5, 6.8), layout="constrained")
    image_grid(drawing.subplots(), images)
    record.figure(
        drawing,
        "plane.png",
        title="The plane of faces",
        caption="Decoded means at the prior's quantiles, for two latents.",
        alt="A grid of faces whose expression and pose change from place to place.",
    )


EXPERIMENT = Experiment(
    name="frey-faces",
    summary="the second data set of the variational autoencoder: the bound by its latents, and a plane of faces",
    source="Kingma, Welling, Auto-Encoding Variational Bayes (arXiv:1312.6114), figures 2 and 4",
    presets={
        "quick": FreyFacesConfig(),
        "standard": FreyFacesConfig(latents=(2, 5, 10, 20), epochs=200, seeds=(0, 1, 2)),
        "full": FreyFacesConfig(latents=(2, 5, 10, 20), epochs=5000, seeds=(0, 1, 2)),
    },
    study=study,
)
