"""What a known geometry is, and how one is made of its formulas, of a constant matrix or of a geodesic equation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import latentgeo as lg
import reference

Map = Callable[[Tensor], Tensor]
Pairing = Callable[[Tensor, Tensor], Tensor]
Draw = Callable[[int, torch.Generator], Tensor]
Build = Callable[[torch.dtype, torch.device | str], lg.Metric]


@dataclass(frozen=True)
class Problem:
    """Pairs of points (B, d) and what joins them: distance (B,), initial velocity (B, d), points at times t."""

    start: Tensor
    end: Tensor
    distance: Tensor
    velocity: Tensor
    at: Map


@dataclass(frozen=True)
class Space:
    """One known geometry.

    Attributes:
        name: what the tests call it.
        dim: d.
        build: (dtype, device) -> the library's metric.
        matrix: z (N, d) -> G (N, d, d) in float64, without the library.
        points: (batch size, generator) -> points where the metric is well defined.
        problem: (batch size, generator) -> pairs with the answer.
        immersed: whether the metric must know an immersion.
        curvature: z (N, d) -> the Gaussian curvature, or the constant sectional curvature; None where not known.
        formulas: the closed forms of exp, log and distance, where there are.
    """

    name: str
    dim: int
    build: Build
    matrix: Map
    points: Draw
    problem: Callable[[int, torch.Generator], Problem]
    immersed: bool
    curvature: Map | None = None
    formulas: Formulas | None = None

    def metric(self, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> lg.Metric:
        """The library's metric of this space."""
        return self.build(dtype, device)

    def __str__(self) -> str:
        return self.name


def uniform(low: list[float], high: list[float]) -> Draw:
    """A sampler of points in a box."""
    a, b = torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64)
    return lambda n, g: a + (b - a) * torch.rand(n, len(low), dtype=torch.float64, generator=g)


def in_ball(dim: int, radius: float) -> Draw:
    """A sampler of points in a ball about the origin."""

    def draw(n: int, g: torch.Generator) -> Tensor:
        x = torch.randn(n, dim + 2, dtype=torch.float64, generator=g)
        return radius * x[:, :dim] / x.norm(dim=1, keepdim=True)

    return draw


def constant(value: float) -> Map:
    """A function of points that is the same everywhere."""
    return lambda z: torch.full(z.shape[:-1], value, dtype=z.dtype)


def immersion(f: Map) -> Build:
    """The pull-back metric of a decoder without parameters."""
    return lambda dtype, device: lg.pullback_metric(f)


def matrix_only(matrix: Map) -> Build:
    """The metric of a matrix function, without an immersion."""
    return lambda dtype, device: lg.metric_from_function(matrix)


def scalar_matrix(factor: Map, dim: int) -> Map:
    """The conformally flat metric factor(z) I."""
    return lambda z: factor(z)[:, None, None] * torch.eye(dim, dtype=z.dtype, device=z.device)


@dataclass(frozen=True)
class Formulas:
    """Closed forms in latent coordinates."""

    exp: Pairing
    log: Pairing
    distance: Pairing


def through_model(embed: Map, chart: Map, exp: Pairing, log: Pairing, distance: Pairing) -> Formulas:
    """The formulas of a surface in R^m whose exp, log and distance are known in ambient coordinates."""

    def jacobian(z: Tensor) -> Tensor:
        return torch.func.vmap(torch.func.jacfwd(embed))(z)

    def latent_exp(z: Tensor, v: Tensor) -> Tensor:
        return chart(exp(embed(z), (jacobian(z) @ v[..., None])[..., 0]))

    def latent_log(z: Tensor, w: Tensor) -> Tensor:
        return torch.linalg.lstsq(jacobian(z), log(embed(z), embed(w))[..., None]).solution[..., 0]

    return Formulas(latent_exp, latent_log, lambda z, w: distance(embed(z), embed(w)))


def closed(
    name: str,
    dim: int,
    draw: Draw,
    build: Build,
    matrix: Map,
    formulas: Formulas,
    *,
    curvature: float,
    immersed: bool = True,
) -> Space:
    """A space whose exponential map, logarithm and distance are formulas."""

    def problem(batch: int, generator: torch.Generator) -> Problem:
        start, end = draw(batch, generator), draw(batch, generator)
        velocity = formulas.log(start, end)

        def at(t: Tensor) -> Tensor:
            return torch.stack([formulas.exp(start, s * velocity) for s in t.double()], 1)

        return Problem(start, end, formulas.distance(start, end), velocity, at)

    return Space(name, dim, build, matrix, draw, problem, immersed, constant(curvature), formulas)


def developable(name: str, matrix: Tensor, draw: Draw, build: Build) -> Space:
    """A space whose latent coordinates are flat: G is constant, geodesics are straight in them."""
    straight = Formulas(
        torch.add, lambda z, w: w - z, lambda z, w: reference.product(matrix, w - z, w - z).sqrt()
    )
    field = lambda z: matrix.expand(z.shape[0], *matrix.shape)  # noqa: E731
    return closed(name, matrix.shape[0], draw, build, field, straight, curvature=0.0)


def integrated(
    name: str,
    dim: int,
    draw: Draw,
    reach: float,
    build: Build,
    matrix: Map,
    accelerate: Pairing,
    *,
    curvature: Map | None = None,
    immersed: bool = True,
) -> Space:
    """A space without formulas: ends are found by integrating geodesics of length at most reach from drawn starts."""

    def problem(batch: int, generator: torch.Generator) -> Problem:
        start = draw(batch, generator)
        direction = torch.randn(batch, dim, dtype=torch.float64, generator=generator)
        speed = reach * (0.3 + 0.7 * torch.rand(batch, dtype=torch.float64, generator=generator))
        g = matrix(start)
        velocity = direction * (speed / reference.product(g, direction, direction).sqrt())[:, None]
        path = reference.flow(accelerate, start, velocity)
        return Problem(start, path.at(torch.ones(1))[:, 0], speed, velocity, path.at)

    return Space(name, dim, build, matrix, draw, problem, immersed, curvature)
