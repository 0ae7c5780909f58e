"""Geodesics of decoders that are the identity: Rao's distance in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch import distributions as td

import latentgeo as lg
import laws


def along(make: Callable, start: list[float], end: list[float], dtype: torch.dtype) -> Tensor:
    a, b = (torch.tensor([x], dtype=dtype) for x in (start, end))
    return lg.distance(lg.fisher_pullback_metric(make), a, b)


def test_distances_of_counts_and_waiting_times(dtype: torch.dtype) -> None:
    """Closed forms of Rao's distance: 2|√a - √b|, |log a/b|, and 2√r |artanh √p - artanh √q|."""
    a, b = [0.5, 3.0], [2.0, 1.0]
    roots = np.sqrt(a) - np.sqrt(b)
    cases = [(td.Poisson, a, b, 2 * roots), (td.Exponential, a, b, np.log(a) - np.log(b))]
    p, q = [0.2, 0.9], [0.7, 0.4]
    steps = np.arctanh(np.sqrt(p)) - np.arctanh(np.sqrt(q))
    cases.append((lambda z: td.NegativeBinomial(5.0, z), p, q, 2 * np.sqrt(5) * steps))
    steps = np.arctanh(np.sqrt(1 - np.array(p))) - np.arctanh(np.sqrt(1 - np.array(q)))
    cases.append((td.Geometric, p, q, 2 * steps))
    for make, start, end, per_coordinate in cases:
        expected = torch.tensor([np.linalg.norm(per_coordinate)], dtype=torch.float64)
        laws.assert_near(along(make, start, end, dtype), expected, 1e-4)


def test_gaussians_of_one_covariance_are_as_far_as_mahalanobis_says(dtype: torch.dtype) -> None:
    covariance = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=dtype)
    a, b = [1.0, -0.5], [-0.3, 2.0]
    got = along(lambda z: td.MultivariateNormal(z, covariance), a, b, dtype)
    step = np.subtract(a, b)
    expected = math.sqrt(step @ np.linalg.inv(covariance.double().numpy()) @ step)
    laws.assert_near(got, torch.tensor([expected], dtype=torch.float64), laws.rounding(dtype))


def test_gaussians_of_one_mean_move_by_the_logarithm_of_the_scale(dtype: torch.dtype) -> None:
    """diag(e^2z) around one mean: sqrt(2) times the Euclidean distance of z, for Normal and MultivariateNormal."""
    a, b = [0.3, -0.5], [-0.4, 0.6]
    expected = torch.tensor([math.sqrt(2) * math.dist(a, b)], dtype=torch.float64)
    for make in (
        lambda z: td.Normal(torch.zeros_like(z), z.exp()),
        lambda z: td.MultivariateNormal(torch.zeros_like(z), scale_tril=torch.diag_embed(z.exp())),
        lambda z: td.LogNormal(torch.zeros_like(z), z.exp()),
    ):
        laws.assert_near(along(make, a, b, dtype), expected, 1e-5)
