"""Normals with independent coordinates are a product: of half-planes, with one time for all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from latentgeo.gaussians import diagonal, univariate
from laws import assert_near, rounding
from strategies import batch_shapes, dtypes, seeds


@st.composite
def points(draw: st.DrawFn, count: int) -> list[Tensor]:
    """Points of one drawn shape (..., 2, d) and dtype, deviations over six orders of magnitude."""
    batch, d, dtype, g = draw(batch_shapes()), draw(st.integers(1, 5)), draw(dtypes()), draw(seeds())
    normal = torch.randn(count, *batch, 2, d, dtype=torch.float64, generator=g)
    return list(torch.stack([10 * normal[..., 0, :], (3 * normal[..., 1, :]).exp()], -2).to(dtype))


def parts(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 0, :], x[..., 1, :]


@given(points(2))
def test_squares_of_distances_add(pair) -> None:
    x, y = pair
    single = univariate.distance(*parts(x), *parts(y))
    assert_near(diagonal.squared_distance(x, y), single.square().sum(-1), rounding(x.dtype))
    assert_near(diagonal.distance(x, y), single.norm(dim=-1), rounding(x.dtype))


@given(points(3), st.floats(0, 1))
def test_every_map_is_that_of_the_coordinates(three, t) -> None:
    x, y, z = three
    v = z.sin() * x[..., 1:, :]
    for got, expected in (
        (diagonal.expmap(x, v), univariate.expmap(*parts(x), *parts(v))),
        (diagonal.logmap(x, y), univariate.logmap(*parts(x), *parts(y))),
        (diagonal.transport(x, y, v), univariate.transport(*parts(x), *parts(y), *parts(v))),
        (
            diagonal.geodesic(x, y, torch.tensor(t, dtype=x.dtype)),
            univariate.geodesic(*parts(x), *parts(y), torch.tensor(t, dtype=x.dtype)),
        ),
    ):
        assert torch.equal(got, torch.stack(expected, -2))


@given(points(3), st.floats(0.01, 0.99))
def test_inequality_of_nonpositive_curvature(three, t) -> None:
    """The midpoint is nearer to a third point than in flat space (Bruhat, Tits 1972)."""
    x, y, z = (a.double() for a in three)
    middle = diagonal.geodesic(x, y, torch.tensor(t, dtype=x.dtype))
    square = diagonal.squared_distance
    bound = (1 - t) * square(x, z) + t * square(y, z) - t * (1 - t) * square(x, y)
    assert (square(middle, z) <= bound + 1e-11 * (1 + square(x, z) + square(y, z))).all()


def test_gradient_is_dual_to_the_inner_product(generator) -> None:
    x, u, v = torch.rand(3, 4, 2, 5, dtype=torch.float64, generator=generator) + 0.1
    assert_near(diagonal.inner(x, diagonal.gradient(x, u), v), (u * v).sum((-2, -1)), 1e-14)


def test_curvature_lies_between_that_of_a_factor_and_none(generator) -> None:
    x = torch.rand(100, 2, 3, dtype=torch.float64, generator=generator) + 0.1
    u, v = torch.randn(2, 100, 2, 3, dtype=torch.float64, generator=generator)
    k = diagonal.sectional_curvature(x, u, v)
    assert ((k >= -0.5 - 1e-12) & (k <= 1e-12)).all()
    assert_near(
        diagonal.sectional_curvature(x, u + 2 * v, v - u), k, 1e-9
    )  # of the plane, whatever its basis
    one = diagonal.sectional_curvature(x[..., :1], u[..., :1], v[..., :1])
    assert_near(one, torch.full_like(one, -0.5), 1e-9)


def test_curvature_is_the_defect_of_small_triangles(generator) -> None:
    """d² = r² |u - v|² - K/3 r⁴ |u ∧ v|² + ...: the spreading of geodesics."""
    x = torch.rand(20, 2, 3, dtype=torch.float64, generator=generator) + 0.5
    u, v = torch.randn(2, 20, 2, 3, dtype=torch.float64, generator=generator)
    r = 1e-2
    square = diagonal.squared_distance(diagonal.expmap(x, r * u), diagonal.expmap(x, r * v))
    flat = diagonal.inner(x, u - v, u - v)
    area = diagonal.inner(x, u, u) * diagonal.inner(x, v, v) - diagonal.inner(x, u, v).square()
    spread = (flat - square / r**2) * 3 / (r**2 * area)
    assert_near(spread, diagonal.sectional_curvature(x, u, v), 0.02 + 0.1 * r, scale=1 + flat)


def test_distances_of_coincident_points_have_gradient_zero() -> None:
    x = torch.tensor([[1.0, 2.0], [0.5, 3.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(diagonal.distance(x, x.detach()), x)
    assert torch.equal(gradient, torch.zeros(2, 2))


def test_one_coincident_coordinate_does_not_spoil_second_derivatives() -> None:
    x = torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[2.0, 1.0], [0.5, 1.0]], dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda x: diagonal.distance(x, y), x)


@pytest.mark.parametrize(
    ("first", "second"),
    [((3, 5000), (3, 5000)), ((5000, 1), (1, 30)), ((1, 30), (5000, 1)), ((200_000,), ()), ((), (200_000,))],
    ids=str,
)
def test_many_pairs_in_passes_are_the_same_pairs(first, second, generator) -> None:
    """The batch is cut where it is large, and put together as it was."""
    x, y = (torch.rand(*b, 2, 3, dtype=torch.float64, generator=generator) + 0.1 for b in (first, second))
    got = diagonal.distance(x, y)
    expected = univariate.distance(*parts(x), *parts(y)).norm(dim=-1)
    assert expected.numel() * 3 > diagonal._PASS or expected.numel() == 15_000
    assert_near(got, expected, 1e-14)


def test_batches_of_torch_func_are_batches(generator) -> None:
    x, y = torch.rand(2, 7, 2, 3, dtype=torch.float64, generator=generator) + 0.1
    for f in (diagonal.distance, diagonal.logmap, diagonal.expmap, lambda x, y: diagonal.transport(x, y, x)):
        assert_near(torch.func.vmap(f)(x, y), f(x, y), 1e-15)
    rows = torch.func.vmap(torch.func.jacrev(diagonal.distance))(x, y)
    assert_near(rows, torch.func.vmap(torch.func.jacfwd(diagonal.distance))(x, y), 1e-14)
