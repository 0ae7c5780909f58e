"""Geodesics of normal distributions in the (μ, σ) plane against straight lines: figure 4 of the paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp
from torch.distributions import Normal

from latentgeo import fisher_rao_distance, fisher_rao_geodesic
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.plots import GEODESIC, STRAIGHT

_SHOWN = (
    (-4.0, 0.6, 4.0, 0.6),
    (-4.0, 1.2, 2.0, 2.4),
    (-1.0, 0.4, 3.0, 1.6),
    (2.5, 0.5, 2.5, 3.0),
)  # μ₁ σ₁ μ₂ σ₂
_EXACT = 1e-6  # agreement with the integrated equation, relative to the distance


@dataclass(frozen=True, kw_only=True)
class FisherGeodesicsConfig(Config):
    """Settings.

    Attributes:
        num_pairs: random pairs of normals beside those of the figure.
        num_times: at which curves are compared.
    """

    num_pairs: int = 50
    num_times: int = 65


def study(config: FisherGeodesicsConfig, place: Place, record: Record) -> Findings:
    """Compares the closed form with the geodesic equation, and draws some geodesics."""
    del place
    ends = np.concatenate([np.array(_SHOWN), _random_ends(config)])
    t = torch.linspace(0, 1, config.num_times, dtype=torch.float64)
    mean1, std1, mean2, std2 = torch.from_numpy(ends).unbind(1)
    p, q = Normal(mean1, std1), Normal(mean2, std2)
    way = fisher_rao_geodesic(p, q, t)
    closed = torch.stack([way.mean, way.stddev], dim=-1).numpy()  # (times, pairs, 2)
    distance = fisher_rao_distance(p, q).numpy()

    errors = np.array([_error(closed[:, k], t.numpy()) for k in range(len(ends))])
    different = ends[:, 0] != ends[:, 2]
    share = (closed[1:-1, different, 0] - ends[different, 0]) / (ends[different, 2] - ends[different, 0])
    below = (1 - share) * ends[different, 1] + share * ends[
        different, 3
    ]  # of the straight line, at the same mean
    rise = closed[1:-1, different, 1] - below
    lengths = _segment_lengths(ends)

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for k in range(len(_SHOWN)):
        axes.plot(*closed[:, k].T, color=GEODESIC, label="geodesic" if not k else None)
        axes.plot(ends[k, ::2], ends[k, 1::2], ":", color=STRAIGHT, label="straight line" if not k else None)
        axes.plot(ends[k, ::2], ends[k, 1::2], "o", color="black", markersize=4)
    axes.set(xlabel="μ", ylabel="σ", ylim=(0, None))
    axes.legend(frameon=False)
    record.figure(
        figure,
        "geodesics.png",
        title="Geodesics of normal distributions",
        caption="Solid: Fisher-Rao geodesics; dotted: straight lines in (μ, σ). Geodesics rise in σ on the way.",
        alt="Arcs that bulge upwards, to larger standard deviations, between dots joined by dotted straight lines.",
    )
    columns = ("mean 1", "std 1", "mean 2", "std 2")
    record.table(
        "pairs.csv",
        [
            dict(zip(columns, map(float, ends[k]), strict=True))
            | {"distance": float(distance[k]), "straight": float(lengths[k]), "error": float(errors[k])}
            for k in range(len(ends))
        ],
    )
    worst = float((errors / distance).max())
    return Findings(
        numbers={
            "pairs": len(ends),
            "largest difference from the geodesic equation, over the distance": worst,
            "smallest rise of σ above the straight line": float(rise.min()),
            "mean length of straight lines over the distance": float((lengths / distance).mean()),
        },
        criteria=(
            Criterion(
                "The closed form solves the geodesic equation; largest difference.", worst, "<", _EXACT
            ),
            Criterion(
                "σ is above the straight line at the same μ wherever the means differ; smallest rise.",
                float(rise.min()),
                ">",
                0.0,
                documented="geodesics bulge towards larger σ (figure 4)",
            ),
            Criterion(
                "No straight line is shorter than the distance; smallest ratio.",
                float((lengths / distance).min()),
                ">=",
                1 - _EXACT,
            ),
        ),
        deviations=("The figure's own pairs are not written in the paper; four others are drawn.",),
    )


def _random_ends(config: FisherGeodesicsConfig) -> np.ndarray:
    random = np.random.RandomState(config.seeds[0])
    means = random.normal(0, 2, (config.num_pairs, 2))
    deviations = np.exp(random.normal(0, 0.7, (config.num_pairs, 2)))
    return np.stack([means[:, 0], deviations[:, 0], means[:, 1], deviations[:, 1]], axis=1)


def _error(curve: np.ndarray, t: np.ndarray) -> float:
    """The largest Fisher-Rao difference of a curve (times, 2) from the solution of the geodesic equation.

    μ'' = 2 μ'σ'/σ and σ'' = (σ'² - μ'²/2)/σ, from its start with the velocity of the circle c + R (tanh s, sech s).
    """
    mean, std = curve[0]
    velocity = _initial_velocity(*curve[0], *curve[-1])

    def equation(_: float, state: np.ndarray) -> np.ndarray:
        _, s, dm, ds = state
        return np.array([dm, ds, 2 * dm * ds / s, (ds**2 - dm**2 / 2) / s])

    solution = solve_ivp(
        equation, (0, 1), [mean, std, *velocity], method="DOP853", t_eval=t, rtol=1e-12, atol=1e-14
    )
    apart = solution.y[:2].T - curve
    return float(np.hypot(apart[:, 0], np.sqrt(2) * apart[:, 1]).max() / curve[:, 1].min())


def _initial_velocity(mean1: float, std1: float, mean2: float, std2: float) -> tuple[float, float]:
    """(μ', σ') at the start, in the half-plane u = μ/√2, v = σ: a circle around c, or a vertical line."""
    u1, u2 = mean1 / np.sqrt(2), mean2 / np.sqrt(2)
    if u1 == u2:
        return 0.0, float(std1 * np.log(std2 / std1))
    c = (u1**2 + std1**2 - u2**2 - std2**2) / (2 * (u1 - u2))
    s1, s2 = np.arcsinh((u1 - c) / std1), np.arcsinh((u2 - c) / std2)
    radius = np.hypot(u1 - c, std1)
    pace = s2 - s1
    sech = 1 / np.cosh(s1)
    return float(np.sqrt(2) * radius * sech**2 * pace), float(-radius * sech * np.tanh(s1) * pace)


def _segment_lengths(ends: np.ndarray, steps: int = 4096) -> np.ndarray:
    """The Fisher-Rao lengths of straight lines, by the midpoint rule."""
    t = (np.arange(steps) + 0.5) / steps
    std = (1 - t) * ends[:, 1:2] + t * ends[:, 3:4]
    speed = np.hypot(ends[:, 2] - ends[:, 0], np.sqrt(2) * (ends[:, 3] - ends[:, 1]))
    return (speed[:, None] / std).mean(axis=1)


EXPERIMENT = Experiment(
    name="fisher-geodesics",
    summary="Fisher-Rao geodesics of normals against straight lines in the (mean, deviation) plane",
    source="Peste, Malagò, Sârbu, figure 4",
    presets={
        "quick": FisherGeodesicsConfig(num_pairs=10),
        "standard": FisherGeodesicsConfig(num_pairs=200),
        "full": FisherGeodesicsConfig(num_pairs=1000, num_times=129),
    },
    study=study,
)
