"""Pairs of latent points of different classes, joined by geodesics and by straight lines."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentgeo import ConvergenceWarning, Metric, geodesic
from latentgeo.geodesics import Solver


@dataclass(frozen=True)
class JoinedPairs:
    """Geodesics and straight lines between the same B pairs of points.

    Attributes:
        classes: of the two ends of each pair.
        geodesics: (B, T+1, d) points at constant speed.
        lines: (B, T+1, d) points at constant latent speed.
        lengths: (B,) of the geodesics, in ambient units.
        straight_lengths: (B,) of the straight lines, measured with ``metric.norm`` and not by a solver.
        converged: (B,).
    """

    classes: list[tuple[int, int]]
    geodesics: Float[Tensor, "b t d"]
    lines: Float[Tensor, "b t d"]
    lengths: Float[Tensor, " b"]
    straight_lengths: Float[Tensor, " b"]
    converged: Bool[Tensor, " b"]

    @property
    def length_ratios(self) -> Float[Tensor, " b"]:
        """The length of each geodesic over that of its straight line."""
        return self.lengths / self.straight_lengths


def pairs_of_classes(
    latents: Float[Tensor, "n d"], labels: np.ndarray, num_pairs: int, *, random_state: int
) -> tuple[list[tuple[int, int]], Float[Tensor, "b d"], Float[Tensor, "b d"]]:
    """Random points of different classes, in turn from every combination of two classes.

    Args:
        latents: (N, d) points.
        labels: (N,) their classes.
        num_pairs: B.
        random_state: seed of the draws.

    Returns:
        The classes of the two ends of each pair, and the ends, (B, d) each.
    """
    random = np.random.RandomState(random_state)
    combinations = itertools.combinations(np.unique(labels).tolist(), 2)
    classes = list(itertools.islice(itertools.cycle(combinations), num_pairs))
    rows = [[int(random.choice(np.flatnonzero(labels == c))) for c in pair] for pair in classes]
    start, end = latents[torch.tensor(rows, device=latents.device).T]
    return classes, start, end


def join_classes(
    metric: Metric,
    latents: Float[Tensor, "n d"],
    labels: np.ndarray,
    num_pairs: int,
    *,
    solver: Solver,
    random_state: int,
    num_steps: int = 256,
) -> JoinedPairs:
    """Joins the pairs of :func:`pairs_of_classes`.

    Args:
        metric: the metric.
        latents: (N, d) points.
        labels: (N,) their classes.
        num_pairs: B.
        solver: of the geodesics.
        random_state: seed of the draws.
        num_steps: T, steps of the curves given back; lengths of straight lines are from so many.

    Returns:
        The pairs; failures to converge are in it, and not warned of.
    """
    classes, start, end = pairs_of_classes(latents, labels, num_pairs, random_state=random_state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = geodesic(metric, start, end, solver=solver)
    t = torch.linspace(0, 1, num_steps + 1, dtype=latents.dtype, device=latents.device)
    lines = start[:, None] + t[:, None] * (end - start)[:, None]
    with torch.no_grad():
        speed = metric.norm(lines, (end - start)[:, None].expand_as(lines))
    straight = torch.trapezoid(speed, t, dim=1)
    return JoinedPairs(classes, result.at(t), lines, result.length, straight, result.converged)


def unevenness(images: Float[Tensor, "b t features"]) -> Float[Tensor, " b"]:
    """How abruptly images change along each curve: the largest step from one to the next, over the mean step."""
    steps = images.diff(dim=1).norm(dim=2)
    return steps.amax(1) / steps.mean(1)
