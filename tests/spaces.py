"""A catalogue of known geometries: metrics whose matrices, geodesics, distances and curvatures are known otherwise.

A :class:`Space` makes its metric in any dtype and draws a :class:`Problem`: pairs of points with the answer.
The answer is a closed form where there is one; elsewhere the problem is made from its solution, by integrating
the geodesic equation from a drawn start and velocity (tests/reference.py). All answers are in float64.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, Normal

import latentgeo as lg
import reference
from strategies import GaussianDecoder, network

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


# --- Spheres


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


def _sphere_exp(x: Tensor, v: Tensor) -> Tensor:
    angle = v.norm(dim=-1, keepdim=True)
    return angle.cos() * x + torch.sinc(angle / math.pi) * v


def _sphere_distance(x: Tensor, y: Tensor) -> Tensor:
    return 2 * torch.atan2((x - y).norm(dim=-1), (x + y).norm(dim=-1))


def _sphere_log(x: Tensor, y: Tensor) -> Tensor:
    tangent = y - (x * y).sum(-1, keepdim=True) * x
    angle = _sphere_distance(x, y)[..., None]
    return tangent / torch.sinc(angle / math.pi)


def stereographic_factor(z: Tensor) -> Tensor:
    """The conformal factor 4 / (1 + |z|²)² of the round metric."""
    return 4 / (1 + z.square().sum(-1)).square()


def _spherical_matrix(z: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([torch.ones_like(z[:, 0]), z[:, 0].sin().square()], -1))


_STEREOGRAPHIC = through_model(
    stereographic, lambda x: x[..., :-1] / (1 - x[..., -1:]), _sphere_exp, _sphere_log, _sphere_distance
)
_ANGLES = through_model(spherical, _colatitude_longitude, _sphere_exp, _sphere_log, _sphere_distance)


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


# --- The hyperbolic plane, through the hyperboloid -x0² + x1² + x2² = -1


def _hyperboloid(z: Tensor) -> Tensor:
    x, y = z.unbind(-1)
    square = x.square() + y.square()
    return torch.stack([(square + 1) / (2 * y), x / y, (square - 1) / (2 * y)], -1)


def _upper_half_plane(x: Tensor) -> Tensor:
    y = 1 / (x[..., 0] - x[..., 2])
    return torch.stack([x[..., 1] * y, y], -1)


def _minkowski(u: Tensor, v: Tensor) -> Tensor:
    return (u[..., 1:] * v[..., 1:]).sum(-1) - u[..., 0] * v[..., 0]


def _hyperbolic_distance(x: Tensor, y: Tensor) -> Tensor:
    return 2 * torch.asinh(_minkowski(x - y, x - y).clamp_min(0).sqrt() / 2)


def _hyperbolic_exp(x: Tensor, v: Tensor) -> Tensor:
    size = _minkowski(v, v).clamp_min(0).sqrt()[..., None]
    return size.cosh() * x + torch.where(size > 0, size.sinh() / size, torch.ones_like(size)) * v


def _hyperbolic_log(x: Tensor, y: Tensor) -> Tensor:
    size = _hyperbolic_distance(x, y)[..., None]
    tangent = y + _minkowski(x, y)[..., None] * x
    return torch.where(size > 0, size / size.sinh(), torch.ones_like(size)) * tangent


def half_plane_factor(z: Tensor) -> Tensor:
    """The conformal factor 1 / y² of the upper half-plane."""
    return z[:, 1] ** -2


_HYPERBOLIC = through_model(
    _hyperboloid, _upper_half_plane, _hyperbolic_exp, _hyperbolic_log, _hyperbolic_distance
)
HALF_PLANE = closed(
    "hyperbolic half-plane", 2, uniform([-1.0, 0.7], [1.0, 2.5]), matrix_only(scalar_matrix(half_plane_factor, 2)),
    scalar_matrix(half_plane_factor, 2), _HYPERBOLIC, curvature=-1.0, immersed=False,
)  # fmt: skip


# --- Flat spaces

_LINEAR = torch.tensor(
    [[1.0, 0.5, -0.3], [0.0, 2.0, 0.7], [-1.2, 0.1, 0.4], [0.3, -0.8, 1.5]], dtype=torch.float64
)
_TURNS = [-1.3, -1.3], [1.3, 1.3]  # angles; two of them differ by less than half a turn


def affine(z: Tensor) -> Tensor:
    """An affine decoder R^3 -> R^4."""
    return z @ _LINEAR.T.to(z) + 2.0


def clifford(z: Tensor) -> Tensor:
    """The flat torus of radii 1 and 2 in R^4."""
    u, v = z.unbind(-1)
    return torch.stack([u.cos(), u.sin(), 2 * v.cos(), 2 * v.sin()], -1)


def cylinder(z: Tensor) -> Tensor:
    """The cylinder of radius 1 in R^3."""
    return torch.stack([z[..., 0].cos(), z[..., 0].sin(), z[..., 1]], -1)


def _diagonal(*entries: float) -> Tensor:
    return torch.diag(torch.tensor(entries, dtype=torch.float64))


PLANE = developable(
    "Euclidean space",
    _diagonal(1, 1, 1),
    uniform([-2.0] * 3, [2.0] * 3),
    lambda dtype, device: lg.EuclideanMetric(3),
)
AFFINE = developable("affine decoder", _LINEAR.T @ _LINEAR, uniform([-2.0] * 3, [2.0] * 3), immersion(affine))
CLIFFORD_TORUS = developable("flat torus in R^4", _diagonal(1, 4), uniform(*_TURNS), immersion(clifford))
CYLINDER = developable("cylinder", _diagonal(1, 1), uniform(*_TURNS), immersion(cylinder))


# --- Surfaces in R^3 without a formula for the distance


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


# --- Networks


def _of_dtype(module: nn.Module, pull: Callable[[nn.Module], lg.Metric]):
    @functools.cache
    def build(dtype: torch.dtype, device: torch.device | str) -> lg.Metric:
        return pull(copy.deepcopy(module).to(device, dtype))

    return build


def _network_space(d: int, out: int) -> Space:
    net = network(d, out, seed=d)
    return integrated(
        f"network of {d} latents", d, in_ball(d, 1.0), 1.0, _of_dtype(net, lg.pullback_metric),
        reference.network_matrix(net), reference.network_acceleration(net),
    )  # fmt: skip


def _gaussian_space() -> Space:
    decoder = GaussianDecoder(2, 6)
    nets = decoder.mean, decoder.std
    return integrated(
        "Gaussian decoder", 2, in_ball(2, 1.0), 1.0, _of_dtype(decoder, lg.expected_pullback_metric),
        reference.network_matrix(*nets), reference.network_acceleration(*nets),
    )  # fmt: skip


# --- Families of distributions, decoded from their own parameters


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
    _sphere_exp, _sphere_log, _sphere_distance,
)  # fmt: skip
CATEGORIES = closed(
    "three categories", 2, uniform([-1.0, -1.0], [1.0, 1.0]), _fisher(lambda z: Categorical(logits=_with_last(z))),
    _categorical_matrix, dataclasses.replace(_OCTANT, distance=lambda z, w: 2 * _OCTANT.distance(z, w)),
    curvature=0.25,
)  # fmt: skip

_GAUSSIANS = through_model(
    lambda z: _hyperboloid(torch.stack([z[..., 0] / math.sqrt(2), z[..., 1].exp()], -1)),
    lambda x: (lambda y: torch.stack([math.sqrt(2) * y[..., 0], y[..., 1].log()], -1))(_upper_half_plane(x)),
    _hyperbolic_exp, _hyperbolic_log, _hyperbolic_distance,
)  # fmt: skip
GAUSSIANS = closed(
    "Gaussians", 2, uniform([-1.0, -0.4], [1.0, 0.9]), _fisher(lambda z: Normal(z[:, 0], z[:, 1].exp())),
    lambda z: torch.diag_embed(torch.stack([(-2 * z[:, 1]).exp(), torch.full_like(z[:, 1], 2.0)], -1)),
    dataclasses.replace(_GAUSSIANS, distance=lambda z, w: math.sqrt(2) * _GAUSSIANS.distance(z, w)),
    curvature=-0.5, immersed=False,
)  # fmt: skip

NETWORKS = tuple(_network_space(d, out) for d, out in ((1, 4), (2, 5), (3, 12), (10, 20)))
GAUSSIAN = _gaussian_space()

SPACES: tuple[Space, ...] = (
    PLANE, AFFINE, CLIFFORD_TORUS, CYLINDER, SPHERE, SPHERE_5, SPHERE_ANGLES, SPHERE_FUNCTION, HALF_PLANE, TORUS,
    TORUS_MERIDIANS, TORUS_INNER_EQUATOR, PARABOLOID, PARABOLOID_DIAMETERS, CATENOID, HELICOID, *NETWORKS, GAUSSIAN,
    BERNOULLI, CATEGORIES, GAUSSIANS,
)  # fmt: skip
