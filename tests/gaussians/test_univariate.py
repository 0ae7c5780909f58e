"""The closed forms of univariate normals against the same geometry in 150 digits, and against the laws of it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import reference
from gaussians import exact
from latentgeo.gaussians import univariate
from laws import assert_near

# What rounding leaves of sixteen digits, at every scale: exponentials of lengths up to 45 magnify it.
CLOSE = 1e-13
TIMES = (0.0, 0.01, 0.3, 0.5, 0.9, 1.0)


def half_plane(z: Tensor) -> Tensor:
    return torch.diag_embed(torch.tensor([1.0, 2.0], dtype=z.dtype) / z[:, 1:].square())


def ranges(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers over orders of magnitude."""
    return st.floats(math.log(low), math.log(high)).map(math.exp)


@st.composite
def normals(draw: st.DrawFn) -> Tensor:
    """(mean, std) over the scales that posteriors have."""
    sign = draw(st.sampled_from([-1.0, 0.0, 1.0]))
    return torch.tensor([sign * draw(ranges(1e-8, 1e3)), draw(ranges(1e-6, 1e6))], dtype=torch.float64)


@pytest.fixture(scope="module")
def pairs() -> tuple[Tensor, ...]:
    return exact.PAIRS.unbind(1)


@pytest.mark.parametrize("squared", [False, True], ids=["distance", "its square"])
def test_distances_are_exact_at_every_scale(pairs, squared) -> None:
    expected = exact.to_float([exact.distance(*row) for row in exact.PAIRS])
    got = univariate.squared_distance(*pairs).sqrt() if squared else univariate.distance(*pairs)
    assert_near(got, expected, 1e-15, scale=expected)


def test_the_textbook_arcosh_is_not() -> None:
    """What the stable form is for: at nearly equal normals the formula through arcosh has no digits."""
    mean1, std1, mean2, std2 = torch.tensor([1e-9, 1.0, 0.0, 1.0], dtype=torch.float64)
    ratio = ((mean1 - mean2) ** 2 / 2 + (std1 - std2) ** 2) / (2 * std1 * std2)
    assert math.sqrt(2) * torch.arccosh(1 + ratio) == 0
    assert univariate.distance(mean1, std1, mean2, std2) == pytest.approx(1e-9, rel=1e-15)


def test_logarithms_are_exact_at_every_scale(pairs) -> None:
    expected = exact.to_float([exact.logmap(*row) for row in exact.PAIRS])
    got = torch.stack(univariate.logmap(*pairs), 1)
    weights = torch.tensor([1, math.sqrt(2)], dtype=torch.float64)
    length = (weights * expected).norm(dim=1, keepdim=True)
    assert_near(weights * got, weights * expected, 1e-14, scale=length)


@pytest.mark.parametrize("t", TIMES)
def test_geodesics_are_exact_at_every_scale(pairs, t) -> None:
    expected = exact.to_float([exact.geodesic(*row, t) for row in exact.PAIRS])
    mean, std = univariate.geodesic(*pairs, torch.tensor(t, dtype=torch.float64))
    assert_near(std, expected[:, 1], CLOSE, "std", scale=expected[:, 1])
    # a mean cannot be known better than those of the ends; between equal means it is theirs to the last bit
    ends = torch.maximum(pairs[0].abs(), pairs[2].abs())
    assert_near(mean, expected[:, 0], CLOSE, "mean", scale=ends)


@pytest.mark.parametrize("t", [-1.0, -0.1, 1.1, 2.0])
def test_geodesics_go_on_beyond_their_ends_at_every_scale(pairs, t) -> None:
    expected = exact.to_float([exact.geodesic(*row, t) for row in exact.PAIRS])
    mean, std = univariate.geodesic(*pairs, torch.tensor(t, dtype=torch.float64))
    assert_near(std, expected[:, 1], 1e-12, "std", scale=expected[:, 1])
    ends = torch.maximum(pairs[0].abs(), pairs[2].abs()) + torch.maximum(pairs[1], pairs[3])
    assert_near(mean, expected[:, 0], 1e-12, "mean", scale=ends + expected.abs().sum(1))


def test_exponentials_of_logarithms_return_at_every_scale(pairs) -> None:
    mean1, std1, mean2, std2 = pairs
    mean, std = univariate.expmap(mean1, std1, *univariate.logmap(*pairs))
    assert_near(std, std2, CLOSE, "std", scale=std2)
    # the way up and down the half circle is as wide as the means are apart
    assert_near(mean, mean2, CLOSE, "mean", scale=mean1.abs() + mean2.abs() + std2)


@pytest.mark.parametrize("t", [0.3, 1.0])
def test_exponentials_are_exact_at_every_scale(pairs, t) -> None:
    """Not by the library's own logarithms: velocities of 150 digits, rounded."""
    velocity = t * exact.to_float([exact.logmap(*row) for row in exact.PAIRS])
    expected = exact.to_float([exact.geodesic(*row, t) for row in exact.PAIRS])
    mean, std = univariate.expmap(*pairs[:2], *velocity.unbind(1))
    # s half-way up a circle is conditioned like eˢ in the direction, whose vertical part is rounded relative to s
    assert_near(std, expected[:, 1], 1e-12, "std", scale=expected[:, 1])
    assert_near(
        mean, expected[:, 0], 1e-12, "mean", scale=expected[:, 0].abs() + pairs[0].abs() + expected[:, 1]
    )


def test_transport_is_exact_at_every_scale(pairs) -> None:
    apart = (pairs[0] != pairs[2]) | (pairs[1] != pairs[3])
    rows = exact.PAIRS[apart]
    for tangent in ((1.0, 0.0), (0.3, -1.0)):
        scaled = [x * rows[:, 1] for x in tangent]
        expected = exact.to_float(
            [exact.transport(*row, a, b) for row, a, b in zip(rows, *scaled, strict=True)]
        )
        got = torch.stack(univariate.transport(*rows.unbind(1), *scaled), 1)
        assert_near(got, expected, 1e-14, scale=rows[:, 3:])


def test_curvature_is_minus_one_half() -> None:
    """The Gaussian curvature by Brioschi, from finite differences of the connection: -1/2."""
    z = torch.tensor([[0.3, 0.7], [-2.0, 3.0]], dtype=torch.float64)
    step = 1e-4

    def gamma(z: Tensor) -> Tensor:
        return reference.christoffel(half_plane, z, 1e-4)

    d = torch.stack([(gamma(z + e) - gamma(z - e)) / (2 * step) for e in step * torch.eye(2).double()], -1)
    g = gamma(z)
    # R^l_ijk = ∂_j Γ^l_ik - ∂_k Γ^l_ij + Γ^l_jm Γ^m_ik - Γ^l_km Γ^m_ij
    riemann = (
        torch.einsum("nlikj->nlijk", d)
        - torch.einsum("nlijk->nlijk", d)
        + torch.einsum("nljm,nmik->nlijk", g, g)
        - torch.einsum("nlkm,nmij->nlijk", g, g)
    )
    metric = half_plane(z)
    lowered = torch.einsum("nlm,nlijk->nmijk", metric, riemann)[:, 0, 1, 0, 1]
    assert_near(lowered / metric.det(), torch.full((2,), univariate.CURVATURE).double(), 1e-6)


def test_exponentials_solve_the_geodesic_equation() -> None:
    z = torch.tensor([[0.3, 0.7], [-2.0, 3.0], [1.0, 1.0]], dtype=torch.float64)
    v = torch.tensor([[1.0, -0.4], [2.0, 5.0], [0.0, -1.5]], dtype=torch.float64)
    path = reference.flow(reference.acceleration(half_plane), z, v)
    for t in (0.25, 1.0):
        got = torch.stack(univariate.expmap(*z.unbind(1), *(t * v).unbind(1)), 1)
        assert_near(got, path.at(torch.tensor([t]))[:, 0], 1e-8)


@given(normals(), normals(), normals())
def test_distance_is_a_metric(p, q, r) -> None:
    pq, qp, pr, rq = (univariate.distance(*a, *b).item() for a, b in ((p, q), (q, p), (p, r), (r, q)))
    assert pq == pytest.approx(qp, rel=1e-15)
    assert pq <= (pr + rq) * (1 + 1e-14)
    assert (pq == 0) == bool((p == q).all())


@given(normals(), normals(), st.floats(-100, 100), ranges(1e-3, 1e3))
def test_distance_is_invariant_under_affine_maps(p, q, shift, scale) -> None:
    whole = univariate.distance(*p, *q)
    assert_near(univariate.distance(*(scale * p), *(scale * q)), whole, 1e-14)
    # a shift rounds the means, and no more than that
    rounding = 1e-15 * (abs(shift) + p[0].abs() + q[0].abs()) / torch.minimum(p[1], q[1])
    shifted = univariate.distance(p[0] + shift, p[1], q[0] + shift, q[1])
    assert abs(shifted - whole) <= rounding + 1e-14 * whole


@given(normals(), normals(), st.floats(0, 1))
def test_speed_is_constant(p, q, t) -> None:
    whole = univariate.distance(*p, *q)
    point = univariate.geodesic(*p, *q, torch.tensor(t, dtype=torch.float64))
    # the point is rounded, in units of its deviation
    bound = 1e-14 * whole + 2e-15 * (1 + torch.maximum(p[0].abs(), q[0].abs()) / point[1])
    assert abs(univariate.distance(*p, *point) - t * whole) <= bound
    assert abs(univariate.distance(*q, *point) - (1 - t) * whole) <= bound


@given(normals(), normals(), st.floats(-1, 1), st.floats(-1, 1))
def test_transport_keeps_lengths_and_the_tangent_of_the_geodesic(p, q, a, b) -> None:
    carried = univariate.transport(*p, *q, a * p[1], b * p[1])
    before = univariate.inner(p[1], a * p[1], b * p[1], a * p[1], b * p[1])
    assert_near(univariate.inner(q[1], *carried, *carried), before, 1e-13)
    length = univariate.distance(*p, *q) * q[1]
    tangent = univariate.transport(*p, *q, *univariate.logmap(*p, *q))
    back = univariate.logmap(*q, *p)
    assert_near(torch.stack(tangent), -torch.stack(back), 1e-13, scale=length)


PLACES = {
    "coincident": (0.3, 0.8, 0.3, 0.8),
    "nearly coincident": (0.3, 0.8, 0.3 + 1e-7, 0.8),
    "equal means": (0.3, 0.8, 0.3, 5.0),
    "equal deviations": (0.3, 0.8, 2.0, 0.8),
    "where series end": (0.0, 1.0, 0.2828, 1.0),
    "apart": (-4.0, 0.1, 3.0, 0.2),
}
FUNCTIONS = {
    "squared distance": univariate.squared_distance,
    "logmap": univariate.logmap,
    "geodesic": lambda *z: univariate.geodesic(*z, 0.3 + (z[0] - z[2]) / 10),
    "geodesic before": lambda *z: univariate.geodesic(*z, -0.3 + (z[0] - z[2]) / 10),
    "geodesic beyond": lambda *z: univariate.geodesic(*z, 1.3 + (z[0] - z[2]) / 10),
    "expmap": lambda *z: univariate.expmap(*z[:2], (z[2] - z[0]) / 2, (z[3] - z[1]) / 3),
    "transport": lambda *z: univariate.transport(*z, z[1], -z[3]),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_everything_is_twice_differentiable(function, place) -> None:
    """Against finite differences, also where points coincide."""
    inputs = tuple(torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in place)
    assert torch.autograd.gradcheck(function, inputs, eps=1e-5, atol=1e-6, rtol=1e-5)
    assert torch.autograd.gradgradcheck(function, inputs, eps=1e-5, atol=1e-6, rtol=1e-5)


def test_the_hessian_of_half_the_squared_distance_is_the_metric() -> None:
    """Also where the points coincide, which a square root in between would spoil."""
    z = torch.tensor([0.4, 1.7], dtype=torch.float64)
    hessian = torch.func.hessian(lambda y: univariate.squared_distance(*z, *y) / 2)(z)
    assert_near(hessian, half_plane(z[None])[0], 1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_every_scale(dtype) -> None:
    rows = exact.PAIRS.to(dtype)
    for function in (
        univariate.distance,
        univariate.squared_distance,
        lambda *z: torch.stack(univariate.logmap(*z)).sum(0),
        lambda *z: torch.stack(univariate.geodesic(*z, torch.tensor(0.3, dtype=dtype))).sum(0),
        lambda *z: torch.stack(univariate.expmap(*z[:2], *univariate.logmap(*z))).sum(0),
        lambda *z: torch.stack(univariate.transport(*z, z[1], z[1])).sum(0),
    ):
        inputs = [x.clone().requires_grad_() for x in rows.unbind(1)]
        value = function(*inputs)
        assert value.isfinite().all()
        for gradient in torch.autograd.grad(value.sum(), inputs):
            assert gradient.isfinite().all()


def test_the_gradient_of_a_distance_is_minus_the_unit_logarithm() -> None:
    """First variation, where it exists; zero where the points coincide."""
    rows = exact.PAIRS[(exact.PAIRS[:, 0] - exact.PAIRS[:, 2]).abs() > 1e-9]
    inputs = [x.clone().requires_grad_() for x in rows.unbind(1)]
    d = univariate.distance(*inputs)
    dmean, dstd = torch.autograd.grad(d.sum(), inputs[:2])
    mean, std = univariate.logmap(*rows.unbind(1))
    scale = 1 / rows[:, 1]
    assert_near(dmean, -mean / d / rows[:, 1] ** 2, 1e-13, "by the mean", scale=scale)
    assert_near(dstd, -2 * std / d / rows[:, 1] ** 2, 1e-13, "by the deviation", scale=2 * scale)
    same = [torch.tensor(1.0, requires_grad=True) for _ in range(4)]
    assert torch.autograd.grad(univariate.distance(*same), same) == (0, 0, 0, 0)


def test_single_precision_is_as_exact_as_it_can_be() -> None:
    rows = exact.PAIRS.float()
    got = univariate.distance(*rows.unbind(1))
    assert got.dtype == torch.float32
    expected = univariate.distance(*rows.double().unbind(1))
    assert_near(got, expected, 1e-6, scale=expected)


def test_transforms_of_torch_func_agree_with_batches() -> None:
    rows = exact.PAIRS[:200]
    t = torch.linspace(-0.1, 1.1, 200, dtype=torch.float64)
    together = univariate.geodesic(*rows.unbind(1), t)
    alone = torch.func.vmap(lambda row, s: univariate.geodesic(*row, s))(rows, t)
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))

    def velocity_at_start(row: Tensor) -> tuple[Tensor, ...]:
        time, one = row.new_zeros(()), row.new_ones(())
        return torch.func.jvp(lambda s: univariate.geodesic(*row, s), (time,), (one,))[1]

    velocity = torch.func.vmap(velocity_at_start)(rows)
    expected = univariate.logmap(*rows.unbind(1))
    length = univariate.distance(*rows.unbind(1)) * rows[:, 1]
    # the derivative by time is as exact as the point, not as the distance between points that are close
    for a, b in zip(velocity, expected, strict=True):
        assert_near(a, b, 1e-12, scale=length + 1e-3 * rows[:, 1])


def test_half_chords_whose_square_overflows_single_precision() -> None:
    rows = torch.tensor([[0.0, 1e-20, 1.0, 1e-20], [0.0, 1e-20, 1e3, 1e3]])
    single, double = rows.unbind(1), rows.double().unbind(1)
    assert_near(univariate.squared_distance(*single).sqrt(), univariate.distance(*double).float(), 1e-6)
    for got, expected in zip(univariate.logmap(*single), univariate.logmap(*double), strict=True):
        assert_near(got, expected.float(), 1e-5, scale=expected.float().abs() + 1e-37)
