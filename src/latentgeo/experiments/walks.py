"""Random walks of all kinds from the same points, made comparable by how far their images move."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentgeo import ConvergenceWarning, Metric, random_walk
from latentgeo.statistics.random_walk import Kind

KINDS: tuple[Kind, ...] = ("euclidean", "inverse-metric", "brownian")
_SMALLEST, _DOUBLINGS, _HALVINGS = 1e-3, 16, 10  # of the search for the Euclidean step


@dataclass(frozen=True)
class Walks:
    """Walks of one kind.

    Attributes:
        points: (steps + 1, walkers, d).
        image_steps: (steps, walkers) how far the decoded image moves in each step.
        inside: (steps + 1,) the share of walkers on the support.
    """

    points: Float[Tensor, "t w d"]
    image_steps: Float[Tensor, "s w"]
    inside: Float[np.ndarray, " t"]

    @property
    def median(self) -> float:
        """The median image step."""
        return float(self.image_steps.median())

    @property
    def tail(self) -> float:
        """The 95% quantile of image steps over their median: near 1 where images change by even steps."""
        return float(np.quantile(self.image_steps.cpu().numpy(), 0.95)) / self.median

    @property
    def stayed(self) -> float:
        """The share inside over the later half of the steps."""
        return float(self.inside[len(self.inside) // 2 :].mean())

    @property
    def radii(self) -> Float[np.ndarray, " t"]:
        """The median distance of walkers from 0."""
        return self.points.norm(dim=2).median(dim=1).values.cpu().numpy()


def equal_walks(
    metric: Metric,
    decode: Callable[[Float[Tensor, "n d"]], Float[Tensor, "n ..."]],
    start: Float[Tensor, "w d"],
    *,
    num_steps: int,
    step_size: float,
    seed: int,
    inside: Callable[[Float[Tensor, "w d"]], Bool[Tensor, " w"]] = lambda z: torch.ones_like(z[:, 0]).bool(),
) -> dict[Kind, Walks]:
    """Walks of all kinds; the Euclidean step is such that its median image step is that of the inverse metric.

    Args:
        metric: the metric.
        decode: from latents to images.
        start: (W, d) where the walkers start.
        num_steps: of each walk.
        step_size: s of both walks by the metric.
        seed: of the draws.
        inside: which of some points are on the support; all, by default.

    Returns:
        The walks of each kind.
    """

    def walked(kind: Kind, size: float) -> Walks:
        generator = torch.Generator().manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # walkers that stop are seen in their steps
            points = random_walk(metric, start, num_steps, size, kind=kind, generator=generator)
        with torch.no_grad():
            images = [decode(some).flatten(1) for some in points]
            steps = [(b - a).norm(dim=1) for a, b in itertools.pairwise(images)]
            there = torch.stack([inside(some) for some in points]).double().mean(1)
        return Walks(points, torch.stack(steps), there.cpu().numpy())

    riemannian: dict[Kind, Walks] = {kind: walked(kind, step_size) for kind in KINDS if kind != "euclidean"}
    target = riemannian["inverse-metric"].median
    low = _SMALLEST * step_size
    for _ in range(_DOUBLINGS):
        if walked("euclidean", 2 * low).median >= target:
            break
        low *= 2
    high = 2 * low
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if walked("euclidean", middle).median >= target else (middle, high)
    euclidean: dict[Kind, Walks] = {"euclidean": walked("euclidean", high)}
    return euclidean | riemannian
