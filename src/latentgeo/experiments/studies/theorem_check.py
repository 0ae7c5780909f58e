"""The two theorems on the metric of a stochastic decoder: its mean, and how its variance falls with the dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.func import jacrev, vmap

from latentgeo import expected_pullback_metric
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.models import MLPDecoder
from latentgeo.plots import COLORS

_STANDARD_ERRORS = 3.0
_ROWS = 256  # draws at once


@dataclass(frozen=True, kw_only=True)
class TheoremCheckConfig(Config):
    """Settings.

    Attributes:
        latents: d.
        num_points: latent points at which metrics are drawn.
        num_draws: of the random metric at each point.
        outputs: numbers D of outputs, rising.
    """

    latents: int = 3
    num_points: int = 6
    num_draws: int = 1024
    outputs: tuple[int, ...] = (16, 64, 256, 1024)


class _GaussianDecoder(nn.Module):
    """Smooth random networks for μ and σ > 0; one more output changes none of the others."""

    def __init__(self, latents: int, outputs: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.mean, self.deviation = (
                MLPDecoder(latents, outputs, hidden=(64,), activation=nn.Tanh) for _ in range(2)
            )
        self.double().requires_grad_(False).eval()

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return 3 * self.mean(z), nn.functional.softplus(3 * self.deviation(z))


def study(config: TheoremCheckConfig, place: Place, record: Record) -> Findings:
    """Draws random metrics of random decoders of growing output dimension."""
    del place
    scores, variances = [], []
    for seed in config.seeds:
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(config.num_points, config.latents, generator=generator, dtype=torch.float64)
        for outputs in config.outputs:
            decoder = _GaussianDecoder(config.latents, outputs, seed)
            drawn = _random_metrics(decoder, z, config.num_draws, generator)
            expected = expected_pullback_metric(decoder)(z)
            error = drawn.std(0) / config.num_draws**0.5
            upper = torch.triu(torch.ones(config.latents, config.latents)).bool()
            scores.append(((drawn.mean(0) - expected) / error)[:, upper].flatten().numpy())
            variances.append((seed, outputs, float((drawn / outputs).var(0)[:, upper].mean())))
    score = np.stack(scores)  # (seeds x D, entries)
    share = float((np.abs(score) <= _STANDARD_ERRORS).mean())
    rms = float(np.sqrt((score**2).mean()))
    slopes = []
    for seed in config.seeds:
        logarithms = np.log([(d, v) for s, d, v in variances if s == seed])
        slopes.append(float(np.polyfit(logarithms[:, 0], logarithms[:, 1], 1)[0]))
    record.table(
        "variance.csv",
        [{"seed": s, "outputs": d, "variance of the metric over D": v} for s, d, v in variances],
    )
    record.figure(
        _drawn(score.ravel(), variances, slopes),
        "theorems.png",
        title="The random metric",
        caption="Left: differences of Monte-Carlo means from the expected metric, in standard errors, beside a "
        "normal density. Right: the variance of the metric over D against the number D of outputs.",
        alt="A histogram that follows a bell curve, and points that fall along a line of slope minus one.",
    )
    return Findings(
        numbers={
            "share within three standard errors": share,
            "root mean square of the standard errors": rms,
            "slopes": slopes,
        },
        criteria=(
            Criterion(
                "Theorem 1: the mean of the random metric is the expected one; share of entries within three "
                "standard errors (99.7% of normal ones are).",
                share,
                ">=",
                0.98,
                documented="E[M] = JμᵀJμ + JσᵀJσ",
            ),
            Criterion("Theorem 1: differences in standard errors; root mean square.", rms, "<=", 1.2),
            Criterion(
                "Theorem 2: the variance of M / D falls with D; smallest slope of logarithms.",
                min(slopes),
                ">=",
                -1.2,
                documented="Var → 0; slope -1 by the sum of D independent terms",
            ),
            Criterion("The same; largest slope.", max(slopes), "<=", -0.8),
        ),
        deviations=(
            "The slides state the limit of Var(M); it is that of M / D, since M itself grows with D.",
        ),
    )


def _random_metrics(decoder: nn.Module, z: Tensor, num_draws: int, generator: torch.Generator) -> Tensor:
    """M = JᵀJ (S, N, d, d) of draws x = μ + ε ⊙ σ with constant ε ~ N(0, I), others at each point."""
    mean, deviation = vmap(jacrev(lambda point: tuple(y[0] for y in decoder(point[None]))))(z)
    metrics = []
    for begin in range(0, num_draws, _ROWS):
        rows = min(_ROWS, num_draws - begin)
        noise = torch.randn(rows, *mean.shape[:2], 1, generator=generator, dtype=z.dtype)
        jacobian = mean + noise * deviation
        metrics.append(jacobian.mT @ jacobian)
    return torch.cat(metrics)


def _drawn(score: np.ndarray, variances: list[tuple[int, int, float]], slopes: list[float]) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.hist(score, bins=30, density=True, color=COLORS[0], alpha=0.7)
    x = np.linspace(-4, 4, 201)
    left.plot(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color="black", label="N(0, 1)")
    left.set(xlabel="difference / standard error", ylabel="density", title="Theorem 1: the mean")
    left.legend(frameon=False)
    for seed, color in zip(dict.fromkeys(s for s, _, _ in variances), COLORS, strict=False):
        points = [(d, v) for s, d, v in variances if s == seed]
        right.loglog(*zip(*points, strict=True), "o-", color=color, label=f"seed {seed}")
    outputs, values = zip(*[(d, v) for _, d, v in variances], strict=True)
    line = np.array([min(outputs), max(outputs)])
    right.loglog(line, max(values) * line[0] / line, "--", color="0.5", label="slope -1")
    mean = sum(slopes) / len(slopes)
    right.set(xlabel="outputs D", ylabel="variance of M / D", title=f"Theorem 2: slope {mean:.2f}")
    right.legend(frameon=False)
    return figure


EXPERIMENT = Experiment(
    name="theorem-check",
    summary="the mean of a stochastic decoder's metric, and its variance in high dimension",
    source="Grisi, d'Arcet, slides on Latent Space Oddity (arXiv:1710.11379), theorems 1 and 2",
    presets={
        "quick": TheoremCheckConfig(),
        "standard": TheoremCheckConfig(
            num_points=20, num_draws=4096, seeds=(0, 1, 2), outputs=(16, 64, 256, 784)
        ),
        "full": TheoremCheckConfig(
            num_points=50, num_draws=10_000, seeds=(0, 1, 2, 3, 4), outputs=(16, 64, 256, 1024, 4096)
        ),
    },
    study=study,
)
