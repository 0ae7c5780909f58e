"""Parallel transport along curves: closed forms, order of convergence, and what it must keep."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import latentgeo as lg
import reference
from latentgeo.gaussians import univariate
from latentgeo.geometry import transport
from laws import assert_near
from spaces import (
    HALF_PLANE,
    NETWORKS,
    PARABOLOID,
    SPHERE,
    SPHERE_5,
    SPHERE_ANGLES,
    SPHERE_FUNCTION,
    TORUS,
    Space,
)

# Of the classical Runge-Kutta method, on a spline of that order.
ORDER = 4


def along(space: Space, segments: int, batch: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Geodesics of a space at equal times, and the tangents at their ends."""
    generator = torch.Generator().manual_seed(0)
    problem = space.problem(batch, generator)
    curve = problem.at(torch.linspace(0, 1, segments + 1, dtype=torch.float64))
    back = space.formulas.log(problem.end, problem.start) if space.formulas else None
    return curve, problem.velocity, -back if back is not None else torch.empty(0)


def slope(errors: list[float], segments: list[int]) -> float:
    """Of the error against the number of segments, both in logarithms."""
    return -math.log(errors[-1] / errors[0]) / math.log(segments[-1] / segments[0])


@pytest.mark.parametrize("space", [SPHERE, SPHERE_5, SPHERE_FUNCTION, SPHERE_ANGLES, HALF_PLANE], ids=str)
def test_tangents_of_geodesics_stay_tangent(space: Space) -> None:
    segments, errors = [8, 16, 32, 64], []
    for n in segments:
        curve, start, end = along(space, n)
        carried = lg.parallel_transport(space.metric(), curve, start)
        assert torch.equal(carried[:, 0], start)
        errors.append(float(((carried[:, -1] - end).norm(dim=1) / end.norm(dim=1)).max()))
    assert errors[2] < 1e-4
    assert slope(errors, segments) > ORDER - 0.5


def test_the_half_plane_turns_tangents_as_its_closed_form() -> None:
    errors, segments = [], [8, 32]
    for n in segments:
        curve, _, _ = along(HALF_PLANE, n)
        v = torch.tensor([0.3, -1.0], dtype=torch.float64).expand(4, 2)
        got = lg.parallel_transport(HALF_PLANE.metric(), curve, v)[:, -1]
        (x1, y1), (x2, y2) = curve[:, 0].unbind(1), curve[:, -1].unbind(1)
        r = math.sqrt(2)  # of means, in the plane of Fisher and Rao
        a, b = univariate.transport(r * x1, y1, r * x2, y2, r * v[:, 0], v[:, 1])
        errors.append(float((got - torch.stack([a / r, b], 1)).norm(dim=1).max()))
    assert errors[-1] < 1e-5
    assert slope(errors, segments) > ORDER - 0.5


@pytest.mark.parametrize("colatitude", [0.4, 1.1, math.pi / 2])
def test_around_a_circle_of_latitude_tangents_turn_by_the_solid_angle(colatitude: float) -> None:
    """Foucault's pendulum, on a curve that is no geodesic: 2π cos θ."""
    angle = torch.linspace(0, 2 * math.pi, 129, dtype=torch.float64)
    circle = torch.stack([torch.full_like(angle, colatitude), angle], 1)
    v = torch.tensor([1.0, 0.0], dtype=torch.float64)
    end = lg.parallel_transport(SPHERE_ANGLES.metric(), circle, v)[-1]
    turned = torch.stack([end[0], end[1] * math.sin(colatitude)])
    expected = torch.tensor([math.cos(a := 2 * math.pi * math.cos(colatitude)), -math.sin(a)]).double()
    assert_near(turned, expected, 1e-6)


@pytest.mark.parametrize("space", [NETWORKS[1], TORUS, PARABOLOID], ids=str)
def test_any_curve_as_the_integrated_equation(space: Space) -> None:
    """The midpoint rule on Γ from finite differences, extrapolated, along a curve that bends."""
    base = space.points(1, torch.Generator().manual_seed(3))[0]
    d = len(base)
    directions = torch.linspace(-1, 1, 2 * d, dtype=torch.float64).reshape(2, d)

    def curve(t: Tensor) -> Tensor:
        return base + 0.3 * t[:, None] * directions[0] + 0.2 * (t[:, None] * 3).sin() * directions[1]

    v = torch.linspace(1, 2, d, dtype=torch.float64)

    def midpoint(steps: int) -> Tensor:
        t = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
        speed = (0.3 * directions[0] + 0.6 * (3 * t[:, None]).cos() * directions[1]) / steps
        gamma = torch.einsum("nkij,ni->nkj", reference.christoffel(space.matrix, curve(t)), speed)
        w, eye = v, torch.eye(d, dtype=torch.float64)
        for g in gamma:
            w = torch.linalg.solve(eye + g / 2, w - g @ w / 2)
        return w

    expected = (4 * midpoint(400) - midpoint(200)) / 3
    got = lg.parallel_transport(space.metric(), curve(torch.linspace(0, 1, 65, dtype=torch.float64)), v)[-1]
    assert_near(got, expected, 1e-6)


@pytest.mark.parametrize("space", [NETWORKS[1], TORUS, HALF_PLANE], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lengths_and_angles_are_kept_and_maps_are_linear(space: Space, dtype: torch.dtype) -> None:
    problem = space.problem(3, torch.Generator().manual_seed(0))
    curve = problem.at(torch.linspace(0, 1, 33, dtype=torch.float64)).to(dtype)
    metric = space.metric(dtype)
    u, v = torch.randn(2, 3, space.dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(
        dtype
    )
    a, b = lg.parallel_transport(metric, curve, u), lg.parallel_transport(metric, curve, v)
    tolerance = 1e-3 if dtype == torch.float32 else 2e-5
    assert a.dtype == dtype
    size = (metric.norm(curve[:, 0], u) * metric.norm(curve[:, 0], v))[:, None]
    kept = metric.inner(curve, a, b)
    assert_near(kept, metric.inner(curve[:, 0], u, v)[:, None].expand(kept.shape), tolerance, scale=size)
    together = lg.parallel_transport(metric, curve, 2 * u - v)
    assert_near(together, 2 * a - b, 1e-3 if dtype == torch.float32 else 1e-10)
    home = lg.parallel_transport(metric, curve.flip(1), a[:, -1])[:, -1]
    assert_near(home, u, 10 * tolerance)


def test_many_latents_are_carried_as_few(monkeypatch) -> None:
    """Beyond some dimension no matrices are formed."""
    curve, v, _ = along(SPHERE_5, 6)
    expected = lg.parallel_transport(SPHERE_5.metric(), curve, v)
    monkeypatch.setattr(transport, "_DENSE", 4)
    assert_near(lg.parallel_transport(SPHERE_5.metric(), curve, v), expected, 1e-13)


def test_leading_dimensions_are_batch_and_broadcast() -> None:
    metric = SPHERE.metric()
    curve, v, _ = along(SPHERE, 4)
    each = torch.stack([lg.parallel_transport(metric, c, w) for c, w in zip(curve, v, strict=True)])
    assert_near(lg.parallel_transport(metric, curve, v), each, 1e-14)
    frames = lg.parallel_transport(metric, curve, torch.eye(2, dtype=torch.float64)[:, None])
    assert frames.shape == (2, 4, 5, 2)
    assert lg.parallel_transport(metric, curve[:0], v[:0]).shape == (0, 5, 2)


def test_a_curve_that_stands_still_carries_nothing_away() -> None:
    point = torch.tensor([0.2, 0.3], dtype=torch.float64)
    v = torch.tensor([1.0, -2.0], dtype=torch.float64)
    assert torch.equal(lg.parallel_transport(SPHERE.metric(), point.expand(5, 2), v), v.expand(5, 2))
    zero = torch.zeros(2, dtype=torch.float64)
    curve, _, _ = along(SPHERE, 4)
    assert torch.equal(lg.parallel_transport(SPHERE.metric(), curve[0], zero), zero.expand(5, 2))


def test_derivatives_by_curve_and_tangent() -> None:
    curve, v, _ = along(SPHERE, 3, batch=1)
    assert torch.autograd.gradcheck(
        lambda c, w: lg.parallel_transport(SPHERE.metric(), c, w),
        (curve.requires_grad_(), v.requires_grad_()),
        atol=1e-6,
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("curve", "v", "message"),
    [
        (torch.zeros(3), torch.zeros(3), r"curve must have shape \(\.\.\., T\+1, d\).*\(3,\)"),
        (torch.zeros(1, 3), torch.zeros(3), r"curve must have shape .*T >= 1.*\(1, 3\)"),
        (torch.zeros(5, 2), torch.zeros(3), r"v must have the 2 coordinates.*\(3,\)"),
        (torch.zeros(4, 5, 2), torch.zeros(3, 2), r"v must broadcast.*\(4, 2\).*\(3, 2\)"),
        (torch.zeros(5, 2), torch.zeros(2).double(), "v must have the dtype"),
    ],
)
def test_bad_input(curve, v, message) -> None:
    with pytest.raises(ValueError, match=message):
        lg.parallel_transport(lg.EuclideanMetric(2), curve, v)
    with pytest.raises(TypeError, match="metric must be a latentgeo Metric"):
        lg.parallel_transport(lambda z: z, torch.zeros(5, 2), torch.zeros(2))
