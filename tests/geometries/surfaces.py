"""Surfaces in R^3 without a formula for the distance, and the geodesics of theirs that are known by symmetry."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

import reference
from geometries.space import Map, Problem, Space, immersion, integrated, scalar_matrix, uniform


def torus(z: Tensor) -> Tensor:
    """The torus of revolution with radii 2 and 1; z = (longitude, latitude)."""
    u, v = z.unbind(-1)
    ring = 2 + v.cos()
    return torch.stack([ring * u.cos(), ring * u.sin(), v.sin()], -1)


def paraboloid(z: Tensor) -> Tensor:
    """The graph of |z|²."""
    return torch.cat([z, z.square().sum(-1, keepdim=True)], -1)


def catenoid(z: Tensor) -> Tensor:
    """The minimal surface (cosh v cos u, cosh v sin u, v)."""
    u, v = z.unbind(-1)
    return torch.stack([v.cosh() * u.cos(), v.cosh() * u.sin(), v], -1)


def helicoid(z: Tensor) -> Tensor:
    """The minimal surface (sinh v cos u, sinh v sin u, u), isometric to the catenoid in these coordinates."""
    u, v = z.unbind(-1)
    return torch.stack([v.sinh() * u.cos(), v.sinh() * u.sin(), u], -1)


def _torus_matrix(z: Tensor) -> Tensor:
    ring = 2 + z[:, 1].cos()
    return torch.diag_embed(torch.stack([ring.square(), torch.ones_like(ring)], -1))


def _paraboloid_matrix(z: Tensor) -> Tensor:
    return torch.eye(2, dtype=z.dtype) + 4 * z[:, :, None] * z[:, None, :]


_COSH_SQUARED = scalar_matrix(lambda z: z[:, 1].cosh().square(), 2)


def _surface(
    name: str, f: Map, matrix: Map, curvature: Map, low: list[float], high: list[float], reach: float
) -> Space:
    field = reference.acceleration(matrix)
    return integrated(name, 2, uniform(low, high), reach, immersion(f), matrix, field, curvature=curvature)


TORUS = _surface(
    "torus of revolution", torus, _torus_matrix, lambda z: z[:, 1].cos() / (2 + z[:, 1].cos()),
    [-2.0, -2.0], [2.0, 2.0], 1.5,
)  # fmt: skip
PARABOLOID = _surface(
    "paraboloid", paraboloid, _paraboloid_matrix, lambda z: 4 / (1 + 4 * z.square().sum(-1)).square(),
    [-0.8, -0.8], [0.8, 0.8], 1.2,
)  # fmt: skip
CATENOID = _surface(
    "catenoid", catenoid, _COSH_SQUARED, lambda z: -(z[:, 1].cosh() ** -4), [-1.0, -1.0], [1.0, 1.0], 1.5
)
HELICOID = dataclasses.replace(CATENOID, name="helicoid", build=immersion(helicoid))


def paraboloid_arc(radius: Tensor) -> Tensor:
    """The length of a meridian of the paraboloid from its apex: ∫ sqrt(1 + 4r²) dr."""
    return radius * (1 + 4 * radius.square()).sqrt() / 2 + torch.asinh(2 * radius) / 4


def _diameters(batch: int, generator: torch.Generator) -> Problem:
    """Pairs on opposite meridians: the geodesic passes through the apex, straight in the latent plane."""
    phi = 2 * math.pi * torch.rand(batch, dtype=torch.float64, generator=generator)
    r = 0.2 + 0.3 * torch.rand(2, batch, dtype=torch.float64, generator=generator)
    direction = torch.stack([phi.cos(), phi.sin()], -1)
    arcs = paraboloid_arc(r)
    total = arcs.sum(0)

    def at(t: Tensor) -> Tensor:
        arc = arcs[1, :, None] - (1 - t.double()) * total[:, None]  # signed, from the apex
        radius = arc.clone()
        for _ in range(60):  # Newton on a convex increasing function of |radius|
            slope = (1 + 4 * radius.square()).sqrt()
            radius = radius - (paraboloid_arc(radius) - arc) / slope
        return radius[..., None] * direction[:, None]

    speed = total / (1 + 4 * r[0].square()).sqrt()
    return Problem(
        -r[0, :, None] * direction, r[1, :, None] * direction, total, speed[:, None] * direction, at
    )


def _torus_lines(fixed: int, where: Map) -> Callable[[int, torch.Generator], Problem]:
    """Coordinate lines of the torus that are geodesics by symmetry, and of unit speed in their coordinate."""

    def problem(batch: int, generator: torch.Generator) -> Problem:
        noise = torch.rand(3, batch, dtype=torch.float64, generator=generator)
        start, velocity = torch.zeros(2, batch, 2, dtype=torch.float64)
        start[:, fixed] = where(noise[0])
        start[:, 1 - fixed] = 2 * noise[1] - 1
        velocity[:, 1 - fixed] = 0.3 + 0.9 * noise[2]
        at = lambda t: start[:, None] + t.double()[:, None] * velocity[:, None]  # noqa: E731
        return Problem(start, start + velocity, velocity.sum(1), velocity, at)

    return problem


PARABOLOID_DIAMETERS = dataclasses.replace(
    PARABOLOID, name="paraboloid, through the apex", problem=_diameters
)
TORUS_MERIDIANS = dataclasses.replace(
    TORUS, name="torus, meridians", problem=_torus_lines(0, lambda s: 6 * s - 3)
)
TORUS_INNER_EQUATOR = dataclasses.replace(
    TORUS, name="torus, inner equator", problem=_torus_lines(1, lambda s: torch.full_like(s, math.pi))
)
