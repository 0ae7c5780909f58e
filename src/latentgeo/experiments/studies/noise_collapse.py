"""A latent collapses once noise makes it worth less than its divergence, and comes back without the noise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from latentgeo.diagnostics import LatentStatistics, encoded, latent_kl, latent_statistics, reconstruction_gain
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.unused_latents import sixteen_latents
from latentgeo.experiments.trained import train
from latentgeo.models import VAE
from latentgeo.plots import COLORS
from latentgeo.training import fit

_USED = 0.5  # the mean variance of a latent that may be chosen is below
_JUDGED = 1000  # training images by which gain and divergence are estimated


@dataclass(frozen=True, kw_only=True)
class NoiseCollapseConfig(Config):
    """Settings.

    Attributes:
        epochs: of the dense network before there is noise.
        step: by which the standard deviation of the noise grows.
        step_epochs: epochs after each growth.
        most_steps: after which the noise grows no more, whatever the gain.
        held_epochs: for which the noise is held once the gain is below the divergence.
        free_epochs: without noise afterwards.
    """

    epochs: int
    step: float = 0.1
    step_epochs: int = 1
    most_steps: int = 40
    held_epochs: int = 20
    free_epochs: int = 20


@dataclass(frozen=True)
class _Disturbed:
    """A model with noise on one latent, in which latents that are not kept stay at zero.

    Noise on a sample is as good as a posterior that is wider by the noise's variance.
    """

    model: VAE
    latent: int
    noise: float
    kept: Tensor

    def encode(self, x: Tensor) -> Independent:
        return self.widened(self.model.encode(x))

    def widened(self, posterior: Distribution) -> Independent:
        extra = torch.zeros_like(self.kept)
        extra[self.latent] = self.noise**2
        deviation = (posterior.variance + extra).sqrt() * self.kept
        return Independent(Normal(posterior.mean * self.kept, deviation, validate_args=False), 1)

    def decode(self, z: Tensor) -> Independent:
        return self.model.decode(z)

    def loss(self, _: VAE, x: Tensor) -> Tensor:
        """The negative bound, with the divergences of kept latents and without that of the noise."""
        posterior = self.model.encode(x)
        z = self.widened(posterior).rsample()
        divergence = (latent_kl(posterior.mean, posterior.variance) * self.kept).sum(1)
        return (divergence - self.decode(z).log_prob(x)).mean()


@dataclass(frozen=True)
class _Moment:
    """One latent after an epoch: the noise, what it is worth and costs in nats a datum, and its variances."""

    epoch: int
    phase: str
    noise: float
    gain: float
    divergence: float
    mean_variance: float
    variance_of_means: float


@dataclass(frozen=True)
class _Item:
    config: NoiseCollapseConfig
    seed: int
    place: Place


def study(config: NoiseCollapseConfig, place: Place, record: Record) -> Findings:
    """Adds noise to one active latent, epoch by epoch, until it is worth less than it costs; then takes it away."""
    load_images(config.data, "train", place)  # before jobs try, and try again, where there are none
    items = [_Item(config, seed, place.alone) for seed in config.seeds]
    runs = run_jobs(_run, items, place, label="models")
    record.table(
        "moments.csv",
        [
            {"seed": seed, **dataclasses.asdict(moment)}
            for seed, run in zip(config.seeds, runs, strict=True)
            for moment in run
        ],
    )
    _draw(record, runs[0])
    crossed, held, free = ([_last(run, phase) for run in runs] for phase in ("growing", "held", "free"))
    before = [run[0] for run in runs]
    collapsed, recovered = (np.array([m.mean_variance for m in some]) for some in (held, free))
    recovers = Criterion(
        "Without the noise it recovers; largest mean variance in the end.",
        float(recovered.max()),
        "<",
        0.5,
        documented="sparsity seems to be reversible",
    )
    return Findings(
        numbers={
            "noise at which the gain fell below the divergence, by seed": [m.noise for m in crossed],
            "mean variance before the noise, by seed": [m.mean_variance for m in before],
            "mean variance at that noise, by seed": [m.mean_variance for m in crossed],
            "mean variance after the noise was held, by seed": collapsed.tolist(),
            "mean variance after the noise was removed, by seed": recovered.tolist(),
            "mean and spread of the latter": [float(recovered.mean()), float(recovered.std())],
            "gain before, held and after, by seed": [
                [a.gain, b.gain, c.gain] for a, b, c in zip(before, held, free, strict=True)
            ],
        },
        criteria=(
            Criterion(
                "Enough noise makes the latent worth less than it costs; largest gain minus divergence when the "
                "noise stops growing, over seeds, nats.",
                max(m.gain - m.divergence for m in crossed),
                "<",
                0.0,
                documented="at some point the gain becomes less than the divergence",
            ),
            Criterion(
                "The latent then collapses to the prior; smallest mean variance after the noise was held.",
                float(collapsed.min()),
                ">",
                0.8,
                documented="variance is suddenly pushed towards 1",
            ),
            Criterion(
                "Its divergence is gone with it; largest share of that before the noise, over seeds.",
                max(b.divergence / a.divergence for a, b in zip(before, held, strict=True)),
                "<",
                0.5,
                documented="the result of decreasing the KL-divergence",
            ),
            *((recovers,) if config.data == "mnist" else ()),
        ),
        deviations=(
            "The article does not say which latent it took, nor how fast the noise grew; here it is the latent of "
            "median divergence among those of mean variance below one half.",
        ),
    )


def _last(run: list[_Moment], phase: str) -> _Moment:
    return [moment for moment in run if moment.phase == phase][-1]


def _run(item: _Item) -> list[_Moment]:
    config = item.config
    recipe = sixteen_latents("mlp", config.epochs, item.seed)
    images = load_images(config.data, "train", item.place).images
    model = cast(VAE, train(recipe, images, item.place).model)
    data = images.flatten(1).to(item.place.device)
    judged = data[:_JUDGED]
    statistics = _statistics(model, judged)
    (used,) = torch.nonzero(statistics.mean_variance < _USED, as_tuple=True)
    latent = int(used[statistics.kl[used].argsort()[len(used) // 2]])
    kept = statistics.active.to(data)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, fused=True)
    moments: list[_Moment] = []

    def look(epochs: int, phase: str, noise: float) -> _Moment:
        found = _statistics(model, judged)
        gain = reconstruction_gain(_Disturbed(model, latent, noise, kept), judged, num_samples=1, seed=0)
        values = (gain, found.kl, found.mean_variance, found.variance_of_means)
        done = moments[-1].epoch if moments else 0
        moments.append(_Moment(done + epochs, phase, noise, *(float(x[latent]) for x in values)))
        return moments[-1]

    def trained(epochs: int, phase: str, noise: float) -> _Moment:
        fit(
            model,
            data,
            objective=_Disturbed(model, latent, noise, kept).loss,
            epochs=epochs,
            batch_size=recipe.batch_size,
            optimizer=optimizer,
            seed=1000 * item.seed + len(moments),
            progress=False,
        )
        return look(epochs, phase, noise)

    moment, noise = look(0, "before", 0.0), 0.0
    for _ in range(config.most_steps):
        noise += config.step
        moment = trained(config.step_epochs, "growing", noise)
        if moment.gain < moment.divergence:
            break
    for _ in range(config.held_epochs):
        trained(1, "held", noise)
    for _ in range(config.free_epochs):
        trained(1, "free", 0.0)
    return moments


def _statistics(model: VAE, data: Tensor) -> LatentStatistics:
    codes = encoded(model, data)
    return latent_statistics(codes.means, codes.variances)


def _draw(record: Record, run: list[_Moment]) -> None:
    drawing = Figure(figsize=(6.6, 5), layout="constrained")
    upper, lower = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    epochs = [m.epoch for m in run]
    upper.plot(epochs, [m.gain for m in run], color=COLORS[0], label="reconstruction gain")
    upper.plot(epochs, [m.divergence for m in run], color=COLORS[5], label="divergence")
    upper.set_yscale("symlog", linthresh=0.1)
    upper.set(ylabel="nats")
    lower.plot(epochs, [m.mean_variance for m in run], color=COLORS[2], label="mean variance σ²")
    lower.plot(epochs, [m.noise for m in run], color="0.5", linestyle=":", label="deviation of the noise")
    lower.set(xlabel="epochs since the first noise", ylim=(0, None))
    for axes in (upper, lower):
        for phase, color in (("growing", "0.93"), ("held", "0.85")):
            inside = [k for k, m in enumerate(run) if m.phase == phase]
            axes.axvspan(epochs[inside[0] - 1], epochs[inside[-1]], color=color, linewidth=0, zorder=0)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        axes.margins(x=0)
    record.figure(
        drawing,
        "collapse.png",
        title="One latent under noise",
        caption="What the latent is worth to the reconstruction, what it costs, and its mean variance, epoch by "
        "epoch: light grey, the noise grows; dark grey, it is held; white, it is gone.",
        alt="The gain falls while noise grows, the variance rises to near one; without noise both turn back.",
    )


EXPERIMENT = Experiment(
    name="noise-collapse",
    summary="a latent under noise collapses once it is worth less than it costs, and comes back without",
    source="Asperti, Sparsity in Variational Autoencoders, figure 3",
    presets={
        "quick": NoiseCollapseConfig(epochs=150, step=0.5, step_epochs=5, held_epochs=15, free_epochs=10),
        "standard": NoiseCollapseConfig(
            data="mnist", epochs=50, step=0.2, held_epochs=30, free_epochs=15, seeds=(0, 1, 2)
        ),
        "full": NoiseCollapseConfig(
            data="mnist",
            epochs=300,
            step=0.05,
            most_steps=100,
            held_epochs=50,
            free_epochs=100,
            seeds=(0, 1, 2, 3, 4),
        ),
    },
    study=study,
)
