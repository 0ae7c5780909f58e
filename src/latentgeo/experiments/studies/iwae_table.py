"""Log-likelihoods and active units of VAE, IWAE and VR-max: the tables of Burda et al., and of Li and Turner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentgeo.diagnostics import active_units, encoded, log_likelihood
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.record import Record
from latentgeo.experiments.trained import Recipe, train
from latentgeo.models import VAE
from latentgeo.plots import COLORS
from latentgeo.training import IWAE, Renyi, static_binarization

Method = Literal["VAE", "IWAE", "VR-max"]

_METHODS: tuple[Method, ...] = ("VAE", "IWAE", "VR-max")
_COMPARED: tuple[tuple[Method, Method], ...] = (("IWAE", "VAE"), ("VR-max", "VAE"), ("IWAE", "VR-max"))
_DOCUMENTED: Mapping[tuple[Method, int], str] = {
    ("VAE", 5): "-86.47",
    ("VAE", 50): "-86.35",
    ("IWAE", 5): "-85.41 (Burda et al. -85.54)",
    ("IWAE", 50): "-84.80 (Burda et al. -84.78)",
    ("VR-max", 5): "-85.42",
    ("VR-max", 50): "-84.81",
}
_WITHIN = 0.3  # nats, of IWAE and VR-max


@dataclass(frozen=True, kw_only=True)
class IWAETableConfig(Config):
    """Settings.

    Attributes:
        latents: k.
        hidden: layers of the encoder, and mirrored of the decoder.
        epochs: rising numbers of samples K of the training bound, and passes over the data with each. Models of the
            first begin with initial weights, those of every other go on from the ones of the K before.
        batch_size: rows a step.
        learning_rates: of Adam, one for each K, from which it falls to zero by half a cosine.
        bfloat16: trains with linear maps in that precision.
        burda_schedule: every model begins with initial weights, and has the falling rates of Burda et al. instead.
        num_images: of the test set, evenly spaced, binarized once; None for all.
        likelihood_samples: a datum of these.
        control_samples: a datum of the whole test set, by which the mean over a part is corrected to that over all.
    """

    data: Literal["digits", "mnist"] = "mnist"
    seeds: tuple[int, ...] = (0, 1, 2)
    latents: int = 50
    hidden: tuple[int, ...] = (200, 200)
    epochs: tuple[tuple[int, int], ...] = ((5, 100), (50, 10))
    batch_size: int = 100
    learning_rates: tuple[float, ...] = (3e-3, 1e-3)
    bfloat16: bool = False
    burda_schedule: bool = False
    num_images: int | None = 300
    likelihood_samples: int = 5000
    control_samples: int = 100

    def __post_init__(self) -> None:
        if len(self.learning_rates) != len(self.epochs):
            raise ValueError(
                f"learning_rates must have one rate for each number of samples of epochs, {len(self.epochs)}, got "
                f"{self.learning_rates}"
            )


@dataclass(frozen=True, kw_only=True)
class _Job:
    method: Method
    samples: int
    epochs: int
    seed: int


@dataclass(frozen=True)
class _LogLikelihood:
    """Of the test images: by few samples, all of them (N,), and what many samples add on a part of them (n,).

    Images differ by far more than what samples add, and alike for all models: the mean over all images is the sum of
    both means, and a difference of models has a smaller error than either.
    """

    every: np.ndarray
    added: np.ndarray

    def __sub__(self, other: _LogLikelihood) -> _LogLikelihood:
        return _LogLikelihood(self.every - other.every, self.added - other.added)

    @property
    def mean(self) -> float:
        return float(self.every.mean() + self.added.mean())

    @property
    def error(self) -> float:
        """The standard error of the mean over images."""
        return float(np.sqrt(sum(x.var(ddof=1) / x.size for x in (self.every, self.added))))

    def numbers(self) -> dict[str, float]:
        """As the result has them."""
        return {"log-likelihood": self.mean, "standard error over images": self.error}


@dataclass(frozen=True)
class _Row:
    """Of one model: what the table says of it."""

    job: _Job
    log_likelihood: _LogLikelihood
    effective: float
    active: int


def study(config: IWAETableConfig, place: Place, record: Record) -> Findings:
    """Trains a model by each method for each number of samples, and fills the table."""
    load_images(config.data, "test", place)
    documented_of = _DOCUMENTED if config.data == "mnist" else {}
    jobs = [
        _Job(method=method, samples=samples, epochs=epochs, seed=seed)
        for samples, epochs in config.epochs
        for method in _METHODS
        for seed in config.seeds
    ]
    found = run_jobs(partial(_row, config, place.alone), jobs, place, label="models")
    record.table(
        "table.csv",
        [
            {
                "method": row.job.method,
                "K": row.job.samples,
                "epochs": row.job.epochs,
                "seed": row.job.seed,
                **row.log_likelihood.numbers(),
                "documented": documented_of.get((row.job.method, row.job.samples), ""),
                "active units": row.active,
                "effective sample size": row.effective,
            }
            for row in found
        ],
    )
    _draw(record, found, documented_of)
    every = [samples for samples, _ in config.epochs]
    criteria = []
    for samples in every:
        vae, iwae, vr_max = (_over_seeds(found, method, samples) for method in _METHODS)
        documented = {method: documented_of.get((method, samples), "") for method in _METHODS}
        criteria += [
            Criterion(
                f"K = {samples}: IWAE has a higher log-likelihood than the VAE; mean difference, nats.",
                (iwae - vae).mean,
                ">",
                0.0,
                documented=f"{documented['IWAE']} against {documented['VAE']}" if documented["VAE"] else "",
            ),
            Criterion(
                f"K = {samples}: so has VR-max; mean difference, nats.",
                (vr_max - vae).mean,
                ">",
                0.0,
                documented=f"{documented['VR-max']} against {documented['VAE']}" if documented["VAE"] else "",
            ),
        ]
        if config.data == "mnist":
            criteria += [
                Criterion(
                    f"K = {samples}: IWAE and VR-max are alike; absolute mean difference, nats.",
                    abs((iwae - vr_max).mean),
                    "<=",
                    _WITHIN,
                    documented="0.01",
                ),
                Criterion(
                    f"K = {samples}: IWAE has more active units than the VAE; mean difference.",
                    _active(found, "IWAE", samples) - _active(found, "VAE", samples),
                    ">",
                    0.0,
                    documented="25 with IWAE at K = 50",
                ),
            ]
    lengths = ", then ".join(
        f"{epochs} with K = {samples}"
        + ("" if config.burda_schedule else f" at rates falling from {rate:g} to zero")
        for (samples, epochs), rate in zip(config.epochs, config.learning_rates, strict=True)
    )
    precision = ", linear maps in bfloat16" if config.bfloat16 else ""
    return Findings(
        numbers={
            f"{method}, K = {samples}": {
                **_over_seeds(found, method, samples).numbers(),
                "documented": documented_of.get((method, samples), ""),
                "active units": _active(found, method, samples),
            }
            for samples in every
            for method in _METHODS
        }
        | {
            f"{one} - {other}, K = {samples}": (
                _over_seeds(found, one, samples) - _over_seeds(found, other, samples)
            ).numbers()
            for samples in every
            for one, other in _COMPARED
        },
        criteria=tuple(criteria),
        deviations=(
            f"Epochs: {lengths}, in batches of {config.batch_size}{precision}; the documents have 3280 for each K "
            "from initial weights, at rates falling from 1e-3 to 1e-4, and batches of 20.",
            "VR-max is differentiated through its largest sample alone, which is the same gradient.",
            "The test set is binarized once, the training images anew in each epoch"
            + (
                f". Log-likelihoods are means over all images by {config.control_samples} samples, plus the mean of "
                f"what {config.likelihood_samples} samples add on {config.num_images}, evenly spaced."
                if config.num_images is not None
                else "."
            ),
        ),
    )


def _objective(method: Method, samples: int) -> Renyi | IWAE:
    if method == "IWAE":
        return IWAE(samples)
    return Renyi(1.0, samples) if method == "VAE" else Renyi(-torch.inf, samples, backward="one")


def _recipe(config: IWAETableConfig, job: _Job) -> Recipe:
    recipe = Recipe(
        latents=config.latents,
        hidden=config.hidden,
        activation="tanh",
        objective=_objective(job.method, job.samples),
        epochs=job.epochs,
        batch_size=config.batch_size,
        burda_schedule=config.burda_schedule,
        binarize=True,
        bfloat16=config.bfloat16,
        seed=job.seed,
    )
    if config.burda_schedule:
        return recipe
    stage = config.epochs.index((job.samples, job.epochs))
    recipe = replace(recipe, learning_rate=config.learning_rates[stage], annealed_over=job.epochs)
    if stage == 0:
        return recipe
    samples, epochs = config.epochs[stage - 1]
    return replace(recipe, begun_with=_recipe(config, replace(job, samples=samples, epochs=epochs)))


def _row(config: IWAETableConfig, place: Place, job: _Job) -> _Row:
    recipe = _recipe(config, job)
    model = cast(VAE, train(recipe, load_images(config.data, "train", place).images, place).model)
    rows = load_images(config.data, "test", place).images.flatten(1)
    rows = static_binarization(rows, generator=torch.Generator().manual_seed(0)).to(place.device)
    active = int(active_units(encoded(model, rows, seed=0).means).sum())
    return _Row(job, *_log_likelihood(config, model, rows), active)


def _log_likelihood(config: IWAETableConfig, model: VAE, rows: Tensor) -> tuple[_LogLikelihood, float]:
    """Of rows (N, features), and the effective sample size."""
    chosen = torch.arange(len(rows))
    if config.num_images is not None:
        chosen = torch.linspace(0, len(rows) - 1, config.num_images).long()
    many = log_likelihood(model, rows[chosen], config.likelihood_samples, seed=0)
    fine = many.log_likelihood.cpu().double().numpy()
    every = fine
    if config.num_images is not None:
        few = log_likelihood(model, rows, config.control_samples, seed=0)
        every = few.log_likelihood.cpu().double().numpy()
    return _LogLikelihood(every, fine - every[chosen.numpy()]), float(many.effective_sample_size.mean())


def _of(found: Sequence[_Row], method: Method, samples: int) -> list[_Row]:
    return [row for row in found if row.job.method == method and row.job.samples == samples]


def _over_seeds(found: Sequence[_Row], method: Method, samples: int) -> _LogLikelihood:
    """The mean over seeds, of every image."""
    each = [row.log_likelihood for row in _of(found, method, samples)]
    return _LogLikelihood(np.mean([x.every for x in each], axis=0), np.mean([x.added for x in each], axis=0))


def _active(found: Sequence[_Row], method: Method, samples: int) -> float:
    return float(np.mean([row.active for row in _of(found, method, samples)]))


def _draw(record: Record, found: Sequence[_Row], documented: Mapping[tuple[Method, int], str]) -> None:
    every = list(dict.fromkeys(row.job.samples for row in found))
    drawing = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = drawing.subplots(1, 2)
    width = 0.8 / len(_METHODS)
    for i, (method, color) in enumerate(zip(_METHODS, COLORS, strict=False)):
        for j, samples in enumerate(every):
            place = j + width * (i - (len(_METHODS) - 1) / 2)
            rows = _of(found, method, samples)
            left.plot(
                [place] * len(rows),
                [row.log_likelihood.mean for row in rows],
                "o",
                color=color,
                label=None if j else method,
            )
            if figure := documented.get((method, samples)):
                left.plot([place], [float(figure.split()[0])], "_", color=color, markersize=16)
            right.bar(place, _active(found, method, samples), 0.9 * width, color=color)
    for axes in (left, right):
        axes.set_xticks(range(len(every)), [f"K = {samples}" for samples in every])
    left.set_ylabel("log-likelihood, nats")
    left.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    right.set_ylabel("active units")
    record.figure(
        drawing,
        "table.png",
        title="Log-likelihoods and active units",
        caption="Left: log-likelihoods of binarized test images, a dot a model; on MNIST short lines are the "
        "documented ones after 3280 epochs. Right: active units.",
        alt="Dots of three methods for each number of samples, and bars of their active units.",
    )


EXPERIMENT = Experiment(
    name="iwae-table",
    summary="log-likelihood and active units of VAE, IWAE and VR-max",
    source="Burda, Grosse, Salakhutdinov 2016, arXiv:1509.00519; Li, Turner 2016, arXiv:1602.02311",
    presets={
        "quick": IWAETableConfig(
            data="digits",
            latents=10,
            hidden=(64, 64),
            epochs=((5, 30),),
            learning_rates=(5e-3,),
            seeds=(0,),
            likelihood_samples=500,
            num_images=100,
        ),
        "standard": IWAETableConfig(bfloat16=True),
        "full": IWAETableConfig(
            epochs=((5, 3280), (50, 3280)),
            batch_size=20,
            burda_schedule=True,
            num_images=None,
        ),
    },
    study=study,
)
