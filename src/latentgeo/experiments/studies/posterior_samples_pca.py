"""Principal components of posterior means and of posterior samples: which latents are noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure

from latentgeo.diagnostics import EncodedData, active_units, encoded, latent_correlation, pca_spectrum
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Experiment, Findings, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.paper_vae import PaperConfig, PaperModel
from latentgeo.plots import COLORS, color_bar, correlation_map, spectrum_bars

_THRESHOLD = 0.01
_NEAR_ZERO, _NEAR_ONE = 0.1, 0.5  # an eigenvalue of means between them is neither "0" nor "about 1"
_SCATTERED = 6  # latents whose pairs are drawn
_POINTS = 400


@dataclass(frozen=True, kw_only=True)
class PosteriorSamplesConfig(PaperConfig):
    """Settings.

    Attributes:
        models: dimension k and activation of each.
        looked_at: epochs; the last one ends the training, whatever `epochs`.
        learning_rate: of Adam, from which it falls to zero by half a cosine until the last of them.
    """

    models: tuple[tuple[int, Literal["relu", "elu"]], ...] = ((20, "relu"), (30, "relu"), (30, "elu"))
    looked_at: tuple[int, ...] = (10, 200)
    learning_rate: float = 3e-3
    binarize: bool = True


@dataclass(frozen=True)
class _Latents:
    """Of the test set: eigenvalues of the posterior means and of samples (k,), and the means (N, k).

    Beside them those of the covariance that samples have in expectation, of the test and of the training set: what
    drawing adds to the largest, and what does not generalize.
    """

    model: PaperModel
    epochs: int
    of_means: np.ndarray
    of_samples: np.ndarray
    expected: np.ndarray
    expected_in_training: np.ndarray
    means: torch.Tensor

    @property
    def active(self) -> np.ndarray:
        return active_units(self.means, _THRESHOLD).numpy()

    @property
    def largest_offset(self) -> float:
        """|mean over the data| of the inactive latent farthest from 0; 0 where all are active."""
        return float(self.means.mean(0).abs().numpy()[~self.active].max(initial=0))

    @property
    def largest_deviation(self) -> float:
        return float(self.means.std(0).numpy()[~self.active].max(initial=0))

    @property
    def name(self) -> str:
        activation = {"relu": "ReLU", "elu": "ELU"}[self.model.activation]
        return f"k = {self.model.latents}, {activation}"


def study(config: PosteriorSamplesConfig, place: Place, record: Record) -> Findings:
    """Compares the spectra of means and samples of each model."""
    load_images(config.data, "test", place)
    models = [
        PaperModel(
            config=config,
            place=place,
            latents=k,
            activation=activation,
            annealed_over=config.looked_at[-1],
            seed=seed,
        )
        for k, activation in config.models
        for seed in config.seeds
    ]
    along = run_jobs(partial(_latents, config), models, place, label="models")
    found = [stages[-1] for stages in along]
    record.table(
        "eigenvalues.csv",
        [
            {
                "k": some.model.latents,
                "activation": some.model.activation,
                "seed": some.model.seed,
                "epochs": some.epochs,
                "component": i + 1,
                "of means": float(some.of_means[i]),
                "of samples": float(some.of_samples[i]),
                "of samples, in expectation": float(some.expected[i]),
                "of samples, in expectation, training images": float(some.expected_in_training[i]),
            }
            for stages in along
            for some in stages
            for i in range(some.model.latents)
        ],
    )
    shown = [some for some in found if some.model.seed == config.seeds[0]]
    _draw_spectra(record, shown)
    _draw_pairs(record, shown[0])
    _draw_correlations(record, shown)
    of_samples = np.concatenate([some.of_samples for some in found])
    of_means = np.concatenate([some.of_means for some in found])
    between = (of_means > _NEAR_ZERO) & (of_means < _NEAR_ONE)
    ranges = [(np.ptp(np.log10(some.of_means)), np.ptp(np.log10(some.of_samples))) for some in found]
    near_one = []
    if config.data == "mnist":  # few images scatter the eigenvalues of pure noise farther
        documented = "very close to 1"
        near_one = [
            Criterion(
                "Eigenvalues of posterior samples are near 1; smallest.",
                float(of_samples.min()),
                ">=",
                0.8,
                documented=documented,
            ),
            Criterion("The same; largest.", float(of_samples.max()), "<=", 1.2, documented=documented),
        ]
    return Findings(
        numbers={
            f"{some.name}, seed {some.model.seed}, {some.epochs} epochs": {
                "eigenvalues of samples": _range(some.of_samples),
                "the same, in expectation": _range(some.expected),
                "the same, in expectation, training images": _range(some.expected_in_training),
                "informative components": int((some.of_means > _THRESHOLD).sum()),
                "active units": int(some.active.sum()),
                "mean of an inactive latent, largest": some.largest_offset,
                "deviation of an inactive latent's mean, largest": some.largest_deviation,
            }
            for stages in along
            for some in stages
        },
        criteria=(
            *near_one,
            Criterion(
                "Eigenvalues of means range over more powers of ten than those of samples; smallest difference.",
                float(min(means - samples for means, samples in ranges)),
                ">=",
                1.0,
                documented="some components are noise, in samples all are near 1",
            ),
            Criterion(
                f"Those of posterior means are near 0 or about 1; share from {_NEAR_ZERO} to {_NEAR_ONE}.",
                float(between.mean()),
                "<=",
                0.1,
                documented="around 15 of 20 are relevant, the others noise",
            ),
            Criterion(
                "Means of inactive latents are near 0; the largest of them over the data.",
                max(some.largest_offset for some in found),
                "<=",
                0.1,
                documented="inactive components are close to 0",
            ),
        ),
        deviations=(
            *config.not_written,
            f"The slides name no epochs: {config.looked_at[-1]} here, at rates that fall from "
            f"{config.learning_rate:g} to zero.",
        ),
    )


def _latents(config: PosteriorSamplesConfig, model: PaperModel) -> list[_Latents]:
    """At every stage."""
    test, training, found = model.rows("test"), model.rows("train"), []
    for epochs, vae in zip(config.looked_at, model.train_along(config.looked_at), strict=True):
        codes, trained = (encoded(vae, rows, seed=model.seed) for rows in (test, training))
        of_means, of_samples = (
            pca_spectrum(x).eigenvalues.cpu().numpy() for x in (codes.means, codes.samples)
        )
        expected = (_expected_eigenvalues(some) for some in (codes, trained))
        found.append(_Latents(model, epochs, of_means, of_samples, *expected, means=codes.means.cpu()))
    return found


def _expected_eigenvalues(codes: EncodedData) -> np.ndarray:
    """Of cov(μ) + E[diag σ²], the covariance of samples, without drawing them; falling (k,)."""
    covariance = codes.means.double().T.cov() + codes.variances.double().mean(0).diag()
    return torch.linalg.eigvalsh(covariance).flip(0).cpu().numpy()


def _range(values: np.ndarray) -> list[float]:
    return [float(values.min()), float(values.max())]


def _draw_spectra(record: Record, shown: Sequence[_Latents]) -> None:
    drawing = Figure(figsize=(7.6, 2.1 * len(shown) + 0.4), layout="constrained")
    for row, some in zip(drawing.subplots(len(shown), 2, sharey=True, squeeze=False), shown, strict=True):
        for axes, values, what in zip(
            row, (some.of_means, some.of_samples), ("means", "samples"), strict=True
        ):
            spectrum_bars(axes, values, threshold=_THRESHOLD)
            axes.axhline(1, color="black", linewidth=0.6, linestyle=":", zorder=0)
            axes.set_title(f"{some.name}: {what}", fontsize="medium")
        row[0].set_ylabel("eigenvalue")
    record.figure(
        drawing,
        "spectra.png",
        title="Eigenvalues of posterior means and samples",
        caption="Left: principal components of the posterior means of the test set, grey where they carry no "
        "information. Right: those of one sample of each posterior, all near 1 (dotted).",
        alt="Bars: on the left some near one and the rest at zero, on the right all near one.",
    )


def _draw_pairs(record: Record, some: _Latents) -> None:
    """Scatter plots of pairs of latents, of which the last are inactive where there are such."""
    order = np.argsort(-some.means.var(0).numpy(), kind="stable")
    inactive = min(int((~some.active).sum()), _SCATTERED // 2)
    chosen = [*order[: _SCATTERED - inactive], *order[len(order) - inactive :]]
    means = some.means[:_POINTS].numpy()
    limit = 1.05 * float(np.abs(means).max())
    drawing = Figure(figsize=(6.4, 6.4), layout="constrained")
    panels = drawing.subplots(_SCATTERED, _SCATTERED, sharex=True, sharey=True)
    for i, row in zip(chosen, panels, strict=True):
        for j, axes in zip(chosen, row, strict=True):
            both = some.active[i] and some.active[j]
            axes.plot(means[:, j], means[:, i], ",", color=COLORS[0] if both else COLORS[5], alpha=0.8)
            axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[0], yticks=[0], aspect="equal")
    for j, axes in zip(chosen, panels[-1], strict=True):
        axes.set_xlabel(f"$\\mu_{{{j + 1}}}$")
    for i, axes in zip(chosen, panels[:, 0], strict=True):
        axes.set_ylabel(f"$\\mu_{{{i + 1}}}$")
    record.figure(
        drawing,
        "pairs.png",
        title="Pairs of latents",
        caption=f"Posterior means (μᵢ, μⱼ) of {_POINTS} test images, {some.name}: the latents of largest variance "
        "and, where there are any, inactive ones, which stay at 0 (orange).",
        alt="A matrix of scatter plots: clouds for active pairs, thin lines at zero where one latent is inactive.",
    )


def _draw_correlations(record: Record, shown: Sequence[_Latents]) -> None:
    drawing = Figure(figsize=(1 + 3 * len(shown), 3), layout="constrained")
    panels = drawing.subplots(1, len(shown), squeeze=False)[0]
    image = None
    for some, axes in zip(shown, panels, strict=True):
        order = torch.argsort(some.means.var(0), descending=True)
        image = correlation_map(axes, latent_correlation(some.means[:, order]))
        axes.axhline(some.active.sum() - 0.5, color="black", linewidth=0.8)
        axes.axvline(some.active.sum() - 0.5, color="black", linewidth=0.8)
        axes.set(title=some.name, xticks=[], yticks=[])
    if image is not None:
        color_bar(panels[-1], image, label="correlation")
    record.figure(
        drawing,
        "correlations.png",
        title="Correlations of posterior means",
        caption="Latents in the order of the variance of their means; the lines part active from inactive ones, "
        "whose tiny variations may be correlated.",
        alt="Square maps, red along the diagonal and pale elsewhere among active latents.",
    )


EXPERIMENT = Experiment(
    name="posterior-samples-pca",
    summary="components of posterior samples are all near one, those of means near zero or one",
    source="Malagò, Peste, Sârbu, slides, PCA analysis and correlations plot",
    presets={
        "quick": PosteriorSamplesConfig(
            data="digits",
            seeds=(0,),
            hidden=(64, 64),
            batch_size=50,
            learning_rate=2e-3,
            looked_at=(40,),
            models=((20, "relu"), (20, "elu")),
        ),
        "standard": PosteriorSamplesConfig(),
        "full": PosteriorSamplesConfig(seeds=tuple(range(10)), looked_at=(10, 100, 1000)),
    },
    study=study,
)
