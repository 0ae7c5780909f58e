"""Families of distributions, decoded from their own parameters."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Normal

import latentgeo as lg
from geometries.hyperbolic import (
    hyperbolic_distance,
    hyperbolic_exp,
    hyperbolic_log,
    hyperboloid,
    upper_half_plane,
)
from geometries.space import Build, Formulas, closed, through_model, uniform
from geometries.spheres import sphere_distance, sphere_exp, sphere_log


def _fisher(decoder: Callable[[Tensor], object]) -> Build:
    return lambda dtype, device: lg.fisher_pullback_metric(decoder)


def _arc(z: Tensor) -> Tensor:
    """2 arcsin sqrt(p) of logits, which makes independent Bernoulli variables flat."""
    return 2 * z.sigmoid().sqrt().asin()


def _arc_slope(z: Tensor) -> Tensor:
    return 0.5 / (z / 2).cosh()


def _arc_exp(z: Tensor, v: Tensor) -> Tensor:
    return torch.logit((_arc(z) / 2 + v * _arc_slope(z) / 2).sin().square())


def _arc_log(z: Tensor, w: Tensor) -> Tensor:
    return (_arc(w) - _arc(z)) / _arc_slope(z)


def _with_last(z: Tensor) -> Tensor:
    """Logits of which the last is 0."""
    return torch.cat([z, torch.zeros_like(z[..., :1])], -1)


def _categorical_matrix(z: Tensor) -> Tensor:
    p = _with_last(z).softmax(-1)[..., :-1]
    return torch.diag_embed(p) - p[..., :, None] * p[..., None, :]


BERNOULLI = closed(
    "Bernoulli variables", 3, uniform([-2.0] * 3, [2.0] * 3), _fisher(lambda z: Bernoulli(logits=z)),
    lambda z: torch.diag_embed(z.sigmoid() * (-z).sigmoid()),
    Formulas(_arc_exp, _arc_log, lambda z, w: (_arc(w) - _arc(z)).norm(dim=-1)), curvature=0.0,
)  # fmt: skip

_OCTANT = through_model(
    lambda z: _with_last(z).softmax(-1).sqrt(), lambda x: 2 * (x[..., :-1] / x[..., -1:]).log(),
    sphere_exp, sphere_log, sphere_distance,
)  # fmt: skip
CATEGORIES = closed(
    "three categories", 2, uniform([-1.0, -1.0], [1.0, 1.0]), _fisher(lambda z: Categorical(logits=_with_last(z))),
    _categorical_matrix, dataclasses.replace(_OCTANT, distance=lambda z, w: 2 * _OCTANT.distance(z, w)),
    curvature=0.25,
)  # fmt: skip

_GAUSSIANS = through_model(
    lambda z: hyperboloid(torch.stack([z[..., 0] / math.sqrt(2), z[..., 1].exp()], -1)),
    lambda x: (lambda y: torch.stack([math.sqrt(2) * y[..., 0], y[..., 1].log()], -1))(upper_half_plane(x)),
    hyperbolic_exp, hyperbolic_log, hyperbolic_distance,
)  # fmt: skip
GAUSSIANS = closed(
    "Gaussians", 2, uniform([-1.0, -0.4], [1.0, 0.9]), _fisher(lambda z: Normal(z[:, 0], z[:, 1].exp())),
    lambda z: torch.diag_embed(torch.stack([(-2 * z[:, 1]).exp(), torch.full_like(z[:, 1], 2.0)], -1)),
    dataclasses.replace(_GAUSSIANS, distance=lambda z, w: math.sqrt(2) * _GAUSSIANS.distance(z, w)),
    curvature=-0.5, immersed=False,
)  # fmt: skip
