"""Round spheres, in stereographic coordinates and by angles."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from geometries.space import (
    Build,
    Space,
    closed,
    immersion,
    in_ball,
    matrix_only,
    scalar_matrix,
    through_model,
    uniform,
)


def stereographic(z: Tensor) -> Tensor:
    """R^n -> S^n from the north pole: (2z, |z|² - 1) / (1 + |z|²)."""
    square = z.square().sum(-1, keepdim=True)
    return torch.cat([2 * z, square - 1], -1) / (1 + square)


def spherical(z: Tensor) -> Tensor:
    """Colatitude and longitude -> S^2."""
    theta, phi = z.unbind(-1)
    return torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], -1)


def _colatitude_longitude(x: Tensor) -> Tensor:
    return torch.stack(
        [torch.atan2(x[..., :2].norm(dim=-1), x[..., 2]), torch.atan2(x[..., 1], x[..., 0])], -1
    )


def sphere_exp(x: Tensor, v: Tensor) -> Tensor:
    angle = v.norm(dim=-1, keepdim=True)
    return angle.cos() * x + torch.sinc(angle / math.pi) * v


def sphere_distance(x: Tensor, y: Tensor) -> Tensor:
    return 2 * torch.atan2((x - y).norm(dim=-1), (x + y).norm(dim=-1))


def sphere_log(x: Tensor, y: Tensor) -> Tensor:
    tangent = y - (x * y).sum(-1, keepdim=True) * x
    angle = sphere_distance(x, y)[..., None]
    return tangent / torch.sinc(angle / math.pi)


def stereographic_factor(z: Tensor) -> Tensor:
    """The conformal factor 4 / (1 + |z|²)² of the round metric."""
    return 4 / (1 + z.square().sum(-1)).square()


def _spherical_matrix(z: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([torch.ones_like(z[:, 0]), z[:, 0].sin().square()], -1))


_STEREOGRAPHIC = through_model(
    stereographic, lambda x: x[..., :-1] / (1 - x[..., -1:]), sphere_exp, sphere_log, sphere_distance
)
_ANGLES = through_model(spherical, _colatitude_longitude, sphere_exp, sphere_log, sphere_distance)


def _stereographic_sphere(dim: int, name: str, build: Build, *, immersed: bool = True) -> Space:
    matrix = scalar_matrix(stereographic_factor, dim)
    return closed(
        name, dim, in_ball(dim, 0.95), build, matrix, _STEREOGRAPHIC, curvature=1.0, immersed=immersed
    )


SPHERE = _stereographic_sphere(2, "sphere", immersion(stereographic))
SPHERE_5 = _stereographic_sphere(5, "sphere S^5", immersion(stereographic))
SPHERE_FUNCTION = _stereographic_sphere(
    2, "sphere by its matrix", matrix_only(scalar_matrix(stereographic_factor, 2)), immersed=False
)
SPHERE_ANGLES = closed(
    "sphere by angles", 2, uniform([0.7, -1.0], [2.4, 1.0]), immersion(spherical), _spherical_matrix, _ANGLES,
    curvature=1.0,
)  # fmt: skip
