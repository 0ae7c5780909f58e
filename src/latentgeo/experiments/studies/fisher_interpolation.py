"""Between two digits in five ways, among them the Fisher-Rao geodesic of posteriors: figure 5 of the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.distributions import Independent, Normal

from latentgeo import fisher_rao_geodesic
from latentgeo.data import LabelledImages
from latentgeo.diagnostics import encoded
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.experiment import Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.paper_vae import PaperConfig, PaperModel
from latentgeo.models import VAE
from latentgeo.plots import GEODESIC, STRAIGHT, image_grid

_STRIP, _SHOWN = 12, 2  # images in a row, and pairs that are shown
_WAYS = ("pixels", "means", "samples", "geodesic,\nsampled", "geodesic\nof means")
_FRAMED = (1, 4)  # rows of which the transition is in red
_DRAWS = 64  # of a posterior, for the variability of images


@dataclass(frozen=True, kw_only=True)
class FisherInterpolationConfig(PaperConfig):
    """Settings.

    Attributes:
        latents: k.
        num_pairs: of test images of different classes, for each seed.
        num_candidates: random images, of which the one with the most similar covariance makes the pair.
        num_steps: from one image of a pair to the other.
    """

    latents: int = 20
    num_pairs: int = 200
    num_candidates: int = 200
    num_steps: int = 33


@dataclass(frozen=True)
class _Ways:
    """Decoded images of B pairs on the five ways at T + 1 times.

    Attributes:
        images: (5, B, T+1, D).
        middle_over_ends: (B,) deviation of images sampled in the middle of the geodesic over that at its ends.
    """

    images: Float[Tensor, "5 b t features"]
    middle_over_ends: Float[Tensor, " b"]

    @classmethod
    def between(
        cls,
        model: VAE,
        x: Float[Tensor, "b features"],
        y: Float[Tensor, "b features"],
        num_steps: int,
        seed: int,
    ) -> _Ways:
        t = torch.linspace(0, 1, num_steps + 1).to(x)

        def line(a: Tensor, b: Tensor) -> Tensor:
            return a[:, None] + t[:, None] * (b - a)[:, None]

        with torch.no_grad(), torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            torch.manual_seed(seed)
            p, q = (Independent(Normal(z.mean, z.stddev), 1) for z in map(model.encode, (x, y)))
            way = fisher_rao_geodesic(p, q, t)  # (T+1, B)
            draws = fisher_rao_geodesic(p, q, t[[0, num_steps // 2, -1]]).sample((_DRAWS,))
            spread = [model.decode(draws[:, k]).mean.std(0).norm(dim=1) for k in range(3)]
            images = torch.stack(
                [
                    line(x, y),
                    model.decode(line(p.mean, q.mean)).mean,
                    model.decode(line(p.sample(), q.sample())).mean,
                    model.decode(way.sample().transpose(0, 1)).mean,
                    model.decode(way.mean.transpose(0, 1)).mean,
                ]
            )
        return cls(images, 2 * spread[1] / (spread[0] + spread[2]))

    @property
    def steps(self) -> Float[Tensor, "5 b t"]:
        """How much images change from one to the next."""
        return self.images.diff(dim=2).norm(dim=3)


def study(config: FisherInterpolationConfig, place: Place, record: Record) -> Findings:
    """Goes between pairs of test images in five ways, and compares the steps of the decoded images."""
    rows, first = [], None
    for seed in config.seeds:
        item = PaperModel(config=config, place=place, latents=config.latents, seed=seed)
        with record.stage("training"):
            model = item.train()
        test = item.images("test")
        with record.stage("interpolation"):
            start, end, mismatch = _pairs(model, test, item.rows("test"), config, seed)
            images = item.rows("test")
            ways = _Ways.between(model, images[start], images[end], config.num_steps, seed)
        first = first or (ways, test.images.shape[2:])
        largest, mean = ways.steps.amax(2).cpu().numpy(), ways.steps.mean(2).cpu().numpy()
        rows += [
            {
                "seed": seed,
                "digits": f"{int(test.labels[start[k]])} to {int(test.labels[end[k]])}",
                "difference of log deviations": float(mismatch[k]),
                "largest step, means": float(largest[1, k]),
                "largest step, geodesic of means": float(largest[4, k]),
                "mean step, samples": float(mean[2, k]),
                "mean step, geodesic sampled": float(mean[3, k]),
                "mean step, geodesic of means": float(mean[4, k]),
                "variability in the middle over the ends": float(ways.middle_over_ends[k]),
            }
            for k in range(len(start))
        ]
    record.table("pairs.csv", rows)
    if first is not None:
        _draw_ways(record, *first)
    by_seed = [[row for row in rows if row["seed"] == seed] for seed in config.seeds]
    sharper = [
        _mean_ratio(some, "largest step, geodesic of means", "largest step, means") for some in by_seed
    ]
    shares = [
        float(np.mean([r["largest step, geodesic of means"] > r["largest step, means"] for r in some]))
        for some in by_seed
    ]
    rougher = [_mean_ratio(some, "mean step, geodesic sampled", "mean step, samples") for some in by_seed]
    variable = [
        float(np.mean([r["variability in the middle over the ends"] for r in some])) for some in by_seed
    ]
    _draw_ratios(record, rows)
    return Findings(
        numbers={
            "pairs": len(rows),
            "largest step, geodesic of means over straight line of means, by seed": sharper,
            "its mean over seeds": float(np.mean(sharper)),
            "its spread over seeds": float(np.std(sharper)),
            "share of pairs with a larger one on the geodesic, by seed": shares,
            "mean step, sampled geodesic over straight line of samples, by seed": rougher,
            "variability of images in the middle of the geodesic over that at its ends, by seed": variable,
            "difference of log deviations within pairs, mean": float(
                np.mean([row["difference of log deviations"] for row in rows])
            ),
        },
        criteria=(
            Criterion(
                "The largest step between decoded images is larger on the geodesic of means than on the straight "
                "line of means; smallest mean ratio over seeds.",
                min(sharper),
                ">",
                1.0,
                documented="slightly sharper transition (figure 5)",
            ),
            Criterion("It is in most pairs; smallest share over seeds.", min(shares), ">", 0.5),
            Criterion(
                "Images sampled along the geodesic change more from one to the next than on the straight line of "
                "samples; smallest mean ratio over seeds.",
                min(rougher),
                ">",
                1.0,
                documented="more variability along the curve (figure 5)",
            ),
            Criterion(
                "Images sampled in the middle of the geodesic vary more than those at its ends; smallest mean ratio "
                "over seeds.",
                min(variable),
                ">",
                1.0,
                documented="an increase of variance along the geodesic",
            ),
        ),
        deviations=(
            *config.not_written,
            "The paper shows one pair; here pairs of different digits are drawn at random, the second digit with "
            "deviations similar to the first one's, and steps are measured.",
            f"The paper's figure does not say k; here it is {config.latents}.",
        ),
    )


def _pairs(
    model: VAE, test: LabelledImages, images: Tensor, config: FisherInterpolationConfig, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of both images of each pair, and how much their log σ differ (root mean square)."""
    random = torch.Generator().manual_seed(seed)
    log_std = encoded(model, images, seed=seed).variances.log() / 2
    start, end, mismatch = [], [], []
    for row in torch.randperm(len(test.labels), generator=random)[: config.num_pairs]:
        others = torch.nonzero(test.labels != test.labels[row]).squeeze(1)
        some = others[torch.randperm(len(others), generator=random)[: config.num_candidates]]
        apart = (log_std[some] - log_std[row]).square().mean(1).sqrt().cpu()
        start.append(row)
        end.append(some[apart.argmin()])
        mismatch.append(apart.min())
    return torch.stack(start), torch.stack(end), torch.stack(mismatch)


def _mean_ratio(rows: list[dict[str, Any]], above: str, below: str) -> float:
    return float(np.mean([row[above] / row[below] for row in rows]))


def _draw_ways(record: Record, ways: _Ways, shape: tuple[int, ...]) -> None:
    times = torch.linspace(0, ways.images.shape[2] - 1, _STRIP).round().long()
    shown = ways.images[:, :_SHOWN, times].cpu()
    count = shown.shape[1]
    drawing = Figure(figsize=(6.6, 2.9 * count), layout="constrained")
    for k, axes in enumerate(drawing.subplots(count, 1, squeeze=False)[:, 0]):
        pictures = shown[:, k]
        image_grid(axes, pictures.unflatten(2, shape))
        height, width = (side + max(1, round(side / 14)) for side in shape)
        axes.set_yticks(np.arange(len(_WAYS)) * height + shape[0] / 2 - 0.5, _WAYS)
        axes.tick_params(axis="y", length=0)
        for row in _FRAMED:
            step = int(pictures[row].diff(dim=0).norm(dim=1).argmax())
            corner, sides = (step * width - 0.5, row * height - 0.5), (width + shape[1], shape[0])
            frame = Rectangle(corner, *sides, fill=False, color="red", linewidth=1.6)
            axes.add_patch(frame).set_clip_on(False)
    record.figure(
        drawing,
        "ways.png",
        title="Five ways between two digits",
        caption="From above: pixels; decoded means of the posteriors; decoded samples of both; the Fisher-Rao "
        "geodesic of the posteriors with a fresh sample at every step; its means. In red the largest step of a row.",
        alt="Two blocks of five rows of digits that change from one into another; in the last row of each the change "
        "is quicker than in the second.",
    )


def _draw_ratios(record: Record, rows: list[dict[str, Any]]) -> None:
    drawing = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = drawing.subplots()
    straight, curved = (
        np.array([row[key] for row in rows])
        for key in ("largest step, means", "largest step, geodesic of means")
    )
    axes.plot(straight, curved, ".", color=GEODESIC, alpha=0.5, markersize=5)
    ends = [float(min(straight.min(), curved.min())), float(max(straight.max(), curved.max()))]
    axes.plot(ends, ends, "--", color=STRAIGHT, linewidth=0.9, label="equal")
    axes.set(
        xlabel="largest step, straight line of means",
        ylabel="largest step, geodesic of means",
        aspect="equal",
    )
    axes.legend(frameon=False)
    record.figure(
        drawing,
        "largest-steps.png",
        title="How sharp the transition is",
        caption="The largest change from one decoded image to the next in each pair: above the dashed line the "
        "geodesic's is the larger.",
        alt="A cloud of dots, most of them above the diagonal.",
    )


EXPERIMENT = Experiment(
    name="fisher-interpolation",
    summary="between two digits the geodesic of posteriors changes more sharply than a straight line",
    source="Peste, Malagò, Sârbu, figure 5",
    presets={
        "quick": FisherInterpolationConfig(
            data="digits", seeds=(0,), hidden=(64, 64), epochs=60, batch_size=50, num_pairs=60
        ),
        "standard": FisherInterpolationConfig(),
        "full": FisherInterpolationConfig(
            seeds=tuple(range(10)), epochs=1000, backward="all", latents=30, num_pairs=400
        ),
    },
    study=study,
)
