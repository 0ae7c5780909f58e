"""Rényi bounds and the log-likelihood of held-out images, by the order α: figure 2 (right) of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Experiment, Findings, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.paper_vae import PaperModel, SweepConfig, order
from latentgeo.models import VAE
from latentgeo.plots import COLORS, MARKERS
from latentgeo.training import log_weights, renyi_bound
from latentgeo.training.generators import seeded_generators

_ORDERS = (1.0, 0.5, 0.0, -2.0, -np.inf)  # at which every model is looked at
_BLOCKS = 10  # independent estimates of the log-likelihood, for its spread
_IMAGES = 200  # at once
_ROUNDING = 1e-9  # in nats, of sums in float64


@dataclass(frozen=True, kw_only=True)
class RenyiBoundsConfig(SweepConfig):
    """Settings.

    Attributes:
        num_images: of the test set, the first ones.
        bound_samples: a datum, of each bound.
        likelihood_samples: a datum, of the log-likelihood; a multiple of 10 · `bound_samples`.
    """

    num_images: int = 200
    bound_samples: int = 10
    likelihood_samples: int = 2000


@dataclass(frozen=True)
class _Estimates:
    """Of one model, means over images.

    Attributes:
        bounds: of all orders.
        log_likelihood: from all samples.
        spread: of estimates of it from fewer.
        effective: sample size.
    """

    model: PaperModel
    bounds: np.ndarray
    log_likelihood: float
    spread: float
    effective: float

    @property
    def own(self) -> float:
        """The bound of the order with which the model was trained."""
        return float(self.bounds[_ORDERS.index(self.model.alpha)])

    @property
    def gap(self) -> float:
        return self.log_likelihood - self.own


def study(config: RenyiBoundsConfig, place: Place, record: Record) -> Findings:
    """Estimates bounds and log-likelihoods of models of every dimension and order, each from one set of samples."""
    load_images(config.data, "test", place)
    found = run_jobs(
        partial(_estimates, config),
        config.models(place),
        place,
        label="models",
    )
    record.table(
        "bounds.csv",
        [
            {"k": e.model.latents, "alpha": e.model.alpha, "seed": e.model.seed}
            | {f"bound {order(a)}": float(b) for a, b in zip(_ORDERS, e.bounds, strict=True)}
            | {
                "log-likelihood": e.log_likelihood,
                "spread of an estimate": e.spread,
                "effective sample size": e.effective,
            }
            for e in found
        ],
    )
    _draw_trained(record, found)
    _draw_same_model(record, found)
    both = [k for k in config.latents if (k, 0.0) in _by(found)]
    gaps = {k: _mean_by_order(found, k, "gap") for k in both}
    spreads = {k: _mean_by_order(found, k, "spread") for k in both}
    rises = [float(np.diff(e.bounds[::-1]).max()) for e in found]
    return Findings(
        numbers={
            f"k = {k}, α = {alpha:g}": {
                "bound": _mean_and_spread([e.own for e in some]),
                "log-likelihood": _mean_and_spread([e.log_likelihood for e in some]),
                "gap": _mean_and_spread([e.gap for e in some]),
                "spread of an estimate": _mean_and_spread([e.spread for e in some]),
                "effective sample size": _mean_and_spread([e.effective for e in some]),
            }
            for (k, alpha), some in _by(found).items()
        },
        criteria=(
            Criterion(
                "On one model and its samples no bound rises with α; largest rise.",
                max(rises),
                "<=",
                _ROUNDING,
                documented="the bound gets closer to the log-likelihood as α goes to 0 (figure 2, right)",
            ),
            Criterion(
                "Trained with α = 0 the bound is nearer to the log-likelihood than with 1; largest ratio of gaps.",
                max(gap[0.0] / gap[1.0] for gap in gaps.values()),
                "<",
                1.0,
                documented="the lower-bound gets closer to the true value as α goes to 0",
            ),
            Criterion(
                "Trained with α = 0 the estimate of the log-likelihood spreads more than with α = 1; smallest ratio.",
                min(spread[0.0] / spread[1.0] for spread in spreads.values()),
                ">",
                1.0,
                documented="the importance sampling estimation becomes more noisy",
            ),
        ),
        deviations=(
            *config.not_written,
            f"{config.epochs} epochs in place of 1000, {len(config.seeds)} runs, {config.num_images} test images.",
            f"The spread is that of estimates from {config.likelihood_samples // _BLOCKS} samples each, "
            f"{_BLOCKS} of them an image.",
        ),
    )


def _estimates(config: RenyiBoundsConfig, model: PaperModel) -> _Estimates:
    logs = _log_weights(model.train(), model.rows("test")[: config.num_images], config)
    bounds = [renyi_bound(logs, alpha).mean() for alpha in _ORDERS]
    every = logs.flatten(0, 1)
    blocks = renyi_bound(every.reshape(_BLOCKS, -1, every.shape[-1]).movedim(0, 1), 0.0)
    effective = 1 / every.softmax(0).square().sum(0)
    return _Estimates(
        model,
        np.array([float(bound) for bound in bounds]),
        float(renyi_bound(every, 0.0).mean()),
        float(blocks.std(0).mean()),
        float(effective.mean()),
    )


def _log_weights(
    model: VAE, x: Float[Tensor, "n features"], config: RenyiBoundsConfig
) -> Float[Tensor, "samples groups n"]:
    """Logarithms of importance weights, in groups of as many as a bound takes."""
    groups = config.likelihood_samples // config.bound_samples
    with torch.no_grad(), seeded_generators(x.device, 0):
        logs = [
            torch.stack([log_weights(model, part, config.bound_samples) for _ in range(groups)], dim=1)
            for part in x.split(_IMAGES)
        ]
    return torch.cat(logs, dim=-1).double().cpu()


def _by(found: Sequence[_Estimates]) -> dict[tuple[int, float], list[_Estimates]]:
    """Those of all seeds, by dimension and order."""
    groups: dict[tuple[int, float], list[_Estimates]] = {}
    for estimates in found:
        groups.setdefault((estimates.model.latents, estimates.model.alpha), []).append(estimates)
    return groups


def _mean_by_order(found: Sequence[_Estimates], k: int, name: str) -> dict[float, float]:
    return {
        alpha: float(np.mean([getattr(e, name) for e in some]))
        for (dimension, alpha), some in _by(found).items()
        if dimension == k
    }


def _mean_and_spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "spread": float(np.std(values))}


def _draw_trained(record: Record, found: Sequence[_Estimates]) -> None:
    """The bound and the log-likelihood of each model, against the order of its training."""
    groups = _by(found)
    orders = sorted({alpha for _, alpha in groups}, reverse=True)
    dimensions = sorted({k for k, _ in groups})
    drawing = Figure(figsize=(5.4, 3.8), layout="constrained")
    axes = drawing.subplots()
    for k, color, marker in zip(dimensions, COLORS, MARKERS, strict=False):
        there = [i for i, alpha in enumerate(orders) if (k, alpha) in groups]
        shift = 0.06 * (dimensions.index(k) - (len(dimensions) - 1) / 2)
        for name, style in (("log_likelihood", "-"), ("own", "--")):
            some = [[getattr(e, name) for e in groups[k, orders[i]]] for i in there]
            axes.errorbar(
                np.array(there) + shift,
                np.mean(some, axis=1),
                np.std(some, axis=1),
                color=color,
                linestyle=style,
                marker=marker,
                markersize=5,
                capsize=3,
                label=f"k = {k}" if style == "-" else None,
            )
    axes.plot([], [], "-", color="0.4", label="log-likelihood")
    axes.plot([], [], "--", color="0.4", label="bound")
    axes.set_xticks(range(len(orders)), [order(alpha) for alpha in orders])
    axes.set(xlabel="α of the training", ylabel="nats a test image")
    axes.legend(frameon=False, fontsize="small")
    record.figure(
        drawing,
        "bounds.png",
        title="Bound and log-likelihood",
        caption="The Rényi bound of the order of the training (dashed) and the importance-sampled log-likelihood "
        "(solid) of test images, mean and spread over seeds, for each dimension k.",
        alt="For each dimension a solid line above a dashed one; they approach each other towards smaller orders.",
    )


def _draw_same_model(record: Record, found: Sequence[_Estimates]) -> None:
    """All bounds of one model an order; and how far estimates of its log-likelihood scatter."""
    chosen = [some[0] for (k, _), some in _by(found).items() if k == found[0].model.latents]
    if len(widest := [some[0] for (k, _), some in _by(found).items() if k == 30]) > len(chosen):
        chosen = widest  # where all orders are
    drawing = Figure(figsize=(8.6, 3.4), layout="constrained")
    left, right = drawing.subplots(1, 2)
    for e, color in zip(chosen, COLORS, strict=False):
        left.plot(e.bounds - e.log_likelihood, "o-", color=color, label=f"α = {order(e.model.alpha)}")
    left.axhline(0, color="black", linestyle="--", linewidth=0.8)
    left.set_xticks(range(len(_ORDERS)), [order(alpha) for alpha in _ORDERS])
    left.set(xlabel="α of the bound", ylabel="bound − log-likelihood, nats")
    left.legend(frameon=False, fontsize="small", title="trained with", title_fontsize="small")
    orders = sorted({e.model.alpha for e in found}, reverse=True)
    spreads = [[e.spread for e in found if e.model.alpha == alpha] for alpha in orders]
    for i, values in enumerate(spreads):
        right.plot(np.full(len(values), i), values, "o", color="0.7", markersize=4)
    right.plot([np.mean(values) for values in spreads], "-", color=COLORS[0])
    right.set_xticks(range(len(orders)), [order(alpha) for alpha in orders])
    right.set(xlabel="α of the training", ylabel="spread of an estimate, nats", ylim=(0, None))
    record.figure(
        drawing,
        "same-model.png",
        title="Bounds of one model, and the noise of its log-likelihood",
        caption="Left: bounds of all orders of the same models and samples (first seed), less the log-likelihood. "
        "Right: the standard deviation of an estimate of the log-likelihood of an image; dots are models.",
        alt="Left, lines that rise as the order falls; right, dots for each order with a line through their means.",
    )


EXPERIMENT = Experiment(
    name="renyi-bounds",
    summary="Rényi bounds and the log-likelihood, by the order of the bound",
    source="Peste, Malagò, Sârbu, figure 2 (right)",
    presets={
        "quick": RenyiBoundsConfig(
            data="digits",
            seeds=(0,),
            hidden=(64, 64),
            epochs=40,
            learning_rate=5e-3,
            latents=(20,),
            further_alphas=(0.0,),
            further_latents=20,
            num_images=50,
        ),
        "standard": RenyiBoundsConfig(),
        "full": RenyiBoundsConfig(
            seeds=tuple(range(10)),
            epochs=1000,
            backward="all",
            alphas=_ORDERS,
            further_alphas=(),
            num_images=10_000,
        ),
    },
    study=study,
)
