"""DiagonalNormal keeps what geoopt asks of its manifolds."""

from __future__ import annotations

import copy

import geoopt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Independent

from latentgeo import DiagonalNormal, fisher_rao_distance
from laws import assert_near
from strategies import batch_shapes, dtypes, seeds

MANIFOLD = DiagonalNormal()


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, ...]:
    """Points x, y and tangents u, v of one shape and dtype."""
    shape = (*draw(batch_shapes(max_dims=2)), 2, draw(st.integers(1, 4)))
    dtype, g = draw(dtypes()), draw(seeds())
    x, y, u, v = torch.randn(4, *shape, dtype=torch.float64, generator=g).to(dtype)
    x, y = (torch.stack([z[..., 0, :], z[..., 1, :].exp()], -2) for z in (x, y))
    u, v = (w * x[..., 1:, :] for w in (u, v))
    return x, y, u, v


def close(dtype: torch.dtype) -> float:
    """Rounding through exponentials of lengths up to ten."""
    return 2e-4 if dtype == torch.float32 else 1e-12


# --- What geoopt asks


@given(cases())
def test_points_and_tangents_project_to_themselves(case) -> None:
    x, _, u, _ = case
    assert torch.equal(MANIFOLD.projx(x), x)
    assert torch.equal(MANIFOLD.proju(x, u), u)
    assert MANIFOLD.check_point_on_manifold(x)
    assert MANIFOLD.check_vector_on_tangent(x, u)
    MANIFOLD.assert_check_point_on_manifold(x)
    MANIFOLD.assert_check_vector_on_tangent(x, u)


@given(cases())
def test_projections_of_anything_are_points(case) -> None:
    _, _, u, _ = case
    projected = MANIFOLD.projx(u)
    assert MANIFOLD.check_point_on_manifold(projected)
    assert torch.equal(MANIFOLD.projx(projected), projected)
    inside = u[..., 1, :] > 0
    assert torch.equal(projected[..., 1, :][inside], u[..., 1, :][inside])


def test_nan_is_no_point_and_stays_nan() -> None:
    x = torch.tensor([[0.0], [torch.nan]])
    assert MANIFOLD.projx(x)[1].isnan()
    assert MANIFOLD.check_point_on_manifold(x, explain=True) == (False, "means and deviations must be finite")


@given(cases())
def test_exponential_and_logarithm_are_inverse(case) -> None:
    x, y, u, _ = case
    scale = x[..., 1:, :] + y[..., 1:, :] + (x - y)[..., :1, :].abs()
    assert_near(MANIFOLD.expmap(x, MANIFOLD.logmap(x, y)), y, close(x.dtype), scale=scale)
    end = MANIFOLD.expmap(x, u)
    assert MANIFOLD.check_point_on_manifold(end)
    assert_near(MANIFOLD.logmap(x, end), u, 10 * close(x.dtype), scale=x[..., 1:, :])
    assert torch.equal(MANIFOLD.retr(x, u), end)


@given(cases())
def test_the_length_of_the_logarithm_is_the_distance(case) -> None:
    x, y, _, _ = case
    assert_near(MANIFOLD.norm(x, MANIFOLD.logmap(x, y)), MANIFOLD.dist(x, y), close(x.dtype))
    assert_near(MANIFOLD.dist2(x, y), MANIFOLD.dist(x, y) ** 2, close(x.dtype))
    assert MANIFOLD.dist(x, y, keepdim=True).shape == (*x.shape[:-2], 1, 1)
    assert MANIFOLD.inner(x, x, keepdim=True).shape == (*x.shape[:-2], 1, 1)


@given(cases())
def test_transport_is_an_isometry(case) -> None:
    x, y, u, v = case
    moved = MANIFOLD.transp(x, y, u), MANIFOLD.transp(x, y, v)
    size = MANIFOLD.norm(x, u) * MANIFOLD.norm(x, v)
    assert_near(MANIFOLD.inner(y, *moved), MANIFOLD.inner(x, u, v), close(x.dtype), scale=size)
    back = MANIFOLD.transp(y, x, moved[0])
    assert_near(back, u, close(x.dtype), scale=MANIFOLD.norm(x, u)[..., None, None] * x[..., 1:, :])


@given(cases())
def test_moves_and_transports_at_once_are_those_one_after_the_other(case) -> None:
    x, _, u, v = case
    for move, both, carried in (
        (MANIFOLD.retr, MANIFOLD.retr_transp, MANIFOLD.transp_follow_retr),
        (MANIFOLD.expmap, MANIFOLD.expmap_transp, MANIFOLD.transp_follow_expmap),
    ):
        end = move(x, u)
        got = both(x, u, v)
        assert torch.equal(got[0], end)
        assert torch.equal(got[1], MANIFOLD.transp(x, end, v))
        assert torch.equal(carried(x, u, v), got[1])


@given(cases())
def test_steps_can_be_taken_back(case) -> None:
    x, _, u, _ = case
    end, carried = MANIFOLD.retr_transp(x, u, u)
    start, again = MANIFOLD.retr_transp(end, -carried, carried)
    scale = x[..., 1:, :] * (1 + MANIFOLD.norm(x, u)[..., None, None]) * 10
    assert_near(start, x, close(x.dtype), scale=scale)
    assert_near(again, u, close(x.dtype), scale=scale)


@given(cases())
def test_gradient_is_dual_to_the_derivative(case) -> None:
    x, _, u, v = case
    gradient = MANIFOLD.egrad2rgrad(x, v)
    assert_near(MANIFOLD.inner(x, gradient, u), (u * v).sum((-2, -1)), close(x.dtype))


@given(cases())
def test_inner_products_of_coordinates_add(case) -> None:
    x, _, u, v = case
    components = MANIFOLD.component_inner(x, u, v)
    assert components.shape == x.shape
    assert_near(components[..., 0, :].sum(-1), MANIFOLD.inner(x, u, v), close(x.dtype))


@given(cases(), st.integers(1, 3))
def test_everything_broadcasts(case, extra) -> None:
    x, y, u, v = case
    many = x.expand(extra, *x.shape)
    for f in (MANIFOLD.transp, lambda a, b, w: MANIFOLD.inner(a, w, v)):
        assert torch.equal(f(many, y, v), f(x, y, v).expand(extra, *f(x, y, v).shape))
    for f, w in (
        (MANIFOLD.expmap, u), (MANIFOLD.logmap, y), (MANIFOLD.dist, y), (MANIFOLD.egrad2rgrad, u), (MANIFOLD.proju, u)
    ):  # fmt: skip
        assert torch.equal(f(many, w), f(x, w).expand(extra, *f(x, w).shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_random_and_origin_are_points_of_the_size_asked_for(dtype, generator) -> None:
    for size in ((3, 2, 4), ((3, 2, 4),)):
        for make in (MANIFOLD.random, MANIFOLD.origin):
            point = make(*size, dtype=dtype)
            assert isinstance(point, geoopt.ManifoldTensor)
            assert point.manifold is MANIFOLD
            assert point.shape == (3, 2, 4)
            assert point.dtype == dtype
            assert MANIFOLD.check_point_on_manifold(point)
    assert torch.equal(MANIFOLD.origin(2, 3, seed=1), MANIFOLD.origin(2, 3, seed=2))
    first = MANIFOLD.random(2, 3, generator=generator)
    assert torch.equal(first, MANIFOLD.random(2, 3, generator=torch.Generator().manual_seed(0)))


def test_geodesic_is_that_of_the_exponential(generator) -> None:
    x, y = (MANIFOLD.random(5, 2, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    path = MANIFOLD.geodesic(t, x, y)
    assert path.shape == (9, 5, 2, 3)
    assert_near(path, MANIFOLD.expmap(x, t[:, None, None, None] * MANIFOLD.logmap(x, y)), 1e-12)
    assert torch.equal(
        MANIFOLD.geodesic(t[:, None, None, None], x, y), path
    )  # as geoopt's manifolds broadcast
    assert torch.equal(MANIFOLD.geodesic(t[3], x, y), path[3])
    assert torch.equal(MANIFOLD.geodesic(0.5, x, y), path[4])


def test_scaled_and_product_manifolds_of_geoopt_accept_it(generator) -> None:
    x, y = (MANIFOLD.random(5, 2, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    double = geoopt.Scaled(MANIFOLD, 2.0)
    assert_near(double.dist(x, y), 2 * MANIFOLD.dist(x, y), 1e-15)
    product = geoopt.ProductManifold((MANIFOLD, (2, 3)), (geoopt.Euclidean(1), 4))
    a, b = (product.pack_point(z, torch.zeros(5, 4, dtype=torch.float64)) for z in (x, y))
    assert_near(product.dist(a, b), MANIFOLD.dist(x, y), 1e-15)


def test_parameters_are_copied_saved_and_read(tmp_path) -> None:
    parameter = geoopt.ManifoldParameter(MANIFOLD.random(4, 2, 3), manifold=MANIFOLD)
    assert torch.equal(copy.deepcopy(parameter), parameter)
    module = torch.nn.Module()
    module.register_parameter("posterior", parameter)
    torch.save(module.state_dict(), tmp_path / "p.pt")
    other = copy.deepcopy(module)
    with torch.no_grad():
        other.get_parameter("posterior").mul_(2)
    other.load_state_dict(torch.load(tmp_path / "p.pt", weights_only=True))
    assert torch.equal(other.get_parameter("posterior"), parameter)
    assert repr(MANIFOLD) == "DiagonalNormal manifold"


# --- Distributions


def test_distributions_become_points_and_points_distributions(generator) -> None:
    x = MANIFOLD.random(4, 2, 3, dtype=torch.float64, generator=generator).as_subclass(Tensor)
    p = MANIFOLD.to_distribution(x)
    assert isinstance(p, Independent)
    assert (p.batch_shape, p.event_shape) == ((4,), (3,))
    assert torch.equal(MANIFOLD.from_distribution(p), x)
    assert torch.equal(MANIFOLD.from_distribution(p.base_dist), x)
    y = MANIFOLD.random(4, 2, 3, dtype=torch.float64, generator=generator).as_subclass(Tensor)
    assert torch.equal(MANIFOLD.dist(x, y), fisher_rao_distance(p, MANIFOLD.to_distribution(y)))
