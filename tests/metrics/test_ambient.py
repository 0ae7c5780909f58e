"""Data spaces with a metric of their own: Jᵀ A(f(z)) J for a Metric or a geoopt manifold A."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import geoopt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import latentgeo as lg
import laws
import reference
from spaces import half_plane_factor, scalar_matrix, stereographic, stereographic_factor
from strategies import network

Inner = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Ambient:
    """A decoder with values in a space, the space, and its inner product (x, u, v) of single flat vectors."""

    name: str
    decoder: Callable[[Tensor], Tensor]
    ambient: lg.Metric | geoopt.Manifold
    inner: Inner
    immersed: bool = False

    def __str__(self) -> str:
        return self.name


_TO_THREE, _TO_FOUR = network(2, 3), network(2, 4)


def to_three(z: Tensor) -> Tensor:
    return _TO_THREE(z.double()).to(z.dtype)


def to_four(z: Tensor) -> Tensor:
    return _TO_FOUR(z.double()).to(z.dtype)


def _in_ball(z: Tensor) -> Tensor:
    x = to_three(z)
    return 0.9 * x / (1 + x.norm(dim=1, keepdim=True))


def _on_hyperboloid(z: Tensor) -> Tensor:
    x = to_three(z)
    return torch.cat([(1 + x.square().sum(1, keepdim=True)).sqrt(), x], 1)


def _upper(z: Tensor) -> Tensor:
    x = to_three(z)
    return torch.stack([x[:, 0], F.softplus(x[:, 1])], 1)


def _spd(z: Tensor) -> Tensor:
    x = to_four(z).view(-1, 2, 2)
    return x @ x.mT + torch.eye(2).to(z)


def _affine_invariant(x: Tensor, u: Tensor, v: Tensor) -> Tensor:
    x, u, v = (a.reshape(2, 2) for a in (x, u, v))
    inverse = torch.linalg.inv(x)
    return torch.trace(inverse @ u @ inverse @ v)


def _euclidean(x: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return u @ v


def _stereographic_inner(x: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return 4 / (1 + x @ x) ** 2 * (u @ v)


CASES = (
    Ambient("Euclidean metric", to_three, lg.EuclideanMetric(3), _euclidean, immersed=True),
    Ambient(
        "metric with an immersion",
        to_three,
        lg.pullback_metric(stereographic),
        _stereographic_inner,
        immersed=True,
    ),
    Ambient(
        "metric without an immersion",
        to_three,
        lg.metric_from_function(scalar_matrix(stereographic_factor, 3)),
        _stereographic_inner,
    ),
    Ambient(
        "half-plane",
        _upper,
        lg.metric_from_function(scalar_matrix(half_plane_factor, 2)),
        lambda x, u, v: u @ v / x[1] ** 2,
    ),
    Ambient("geoopt Euclidean", to_three, geoopt.Euclidean(ndim=1), _euclidean),
    Ambient(
        "geoopt Euclidean of images",
        lambda z: to_four(z).view(-1, 2, 2),
        geoopt.Euclidean(ndim=2),
        _euclidean,
    ),
    Ambient(
        "geoopt PoincareBall",
        _in_ball,
        geoopt.PoincareBall(),
        lambda x, u, v: 4 / (1 - x @ x) ** 2 * (u @ v),
    ),
    Ambient("geoopt Sphere", lambda z: F.normalize(to_three(z)), geoopt.Sphere(), _euclidean),
    Ambient("geoopt Lorentz", _on_hyperboloid, geoopt.Lorentz(), lambda x, u, v: u[1:] @ v[1:] - u[0] * v[0]),
    Ambient("geoopt SymmetricPositiveDefinite", _spd, geoopt.SymmetricPositiveDefinite(), _affine_invariant),
)


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Ambient:
    return request.param


@pytest.fixture
def points(generator: torch.Generator) -> Tensor:
    return torch.randn(4, 2, generator=generator, dtype=torch.float64)


def slow(case: Ambient, z: Tensor) -> Tensor:
    """The products of all pairs of Jacobian columns, one point and one pair at a time."""
    jacobians = reference.jacobian(case.decoder, z)
    images = case.decoder(z).flatten(1)
    return torch.stack(
        [
            torch.stack([torch.stack([case.inner(x, u, v) for v in j.mT]) for u in j.mT])
            for x, j in zip(images, jacobians, strict=True)
        ]
    )


def test_matrix_is_the_product_of_jacobian_columns(case: Ambient, points: Tensor, dtype: torch.dtype) -> None:
    metric = lg.pullback_metric(case.decoder, ambient=case.ambient)
    z = points.to(dtype)
    laws.assert_near(metric(z), slow(case, points), laws.rounding(dtype))
    laws.matrix_is_symmetric_positive_semidefinite(metric, z)


def test_inner_is_the_matrix_product(case: Ambient, points: Tensor, generator: torch.Generator) -> None:
    metric = lg.pullback_metric(case.decoder, ambient=case.ambient)
    u, v = torch.randn(2, *points.shape, generator=generator, dtype=points.dtype)
    laws.inner_is_the_matrix_product(metric, points, u, v)
    laws.norm_is_homogeneous(metric, points, u)


def test_leading_dimensions_are_batch(case: Ambient, points: Tensor) -> None:
    laws.leading_dimensions_are_batch(lg.pullback_metric(case.decoder, ambient=case.ambient), points)


def test_matrix_is_differentiable(case: Ambient, points: Tensor) -> None:
    metric = lg.pullback_metric(case.decoder, ambient=case.ambient)
    laws.matrix_is_differentiable(metric, lambda z: slow(case, z), points[:2])


def test_works_under_vmap(case: Ambient, points: Tensor) -> None:
    metric = lg.pullback_metric(case.decoder, ambient=case.ambient)
    laws.assert_near(torch.func.vmap(metric)(points), metric(points), laws.rounding(points.dtype))


def test_immersion_is_composed_where_the_ambient_metric_has_one(case: Ambient) -> None:
    metric = lg.pullback_metric(case.decoder, ambient=case.ambient)
    assert (metric.immersion is not None) == case.immersed


def test_pull_backs_compose(points: Tensor) -> None:
    """Pulling back twice is pulling back by the composition, with an immersion and without."""
    inner, outer = network(2, 2, seed=1), network(2, 5, seed=2)
    once = lg.pullback_metric(lambda z: outer(inner(z)))(points)
    twice = lg.pullback_metric(inner, ambient=lg.pullback_metric(outer))
    hidden = lg.pullback_metric(inner, ambient=lg.metric_from_function(lg.pullback_metric(outer)))
    laws.assert_near(twice(points), once, laws.rounding(points.dtype))
    laws.assert_near(hidden(points), once, laws.rounding(points.dtype))
    assert twice.immersion is not None
    assert hidden.immersion is None


def test_output_as_image_is_flattened_for_a_metric(points: Tensor) -> None:
    image = lg.pullback_metric(lambda z: to_four(z).view(-1, 2, 2), ambient=lg.EuclideanMetric(4))
    laws.assert_near(image(points), lg.pullback_metric(to_four)(points), laws.rounding(points.dtype))


def test_ambient_of_other_dimension_is_refused(unchecked: None, points: Tensor) -> None:
    metric = lg.pullback_metric(network(2, 2), ambient=lg.EuclideanMetric(3))
    with pytest.raises(ValueError, match=r"ambient.*3.*2"):
        metric(points)


def test_geoopt_euclidean_of_numbers_is_refused(unchecked: None, points: Tensor) -> None:
    """geoopt.Euclidean() means a point is a single number: its inner product is no number for a vector."""
    metric = lg.pullback_metric(to_three, ambient=geoopt.Euclidean())
    with pytest.raises(ValueError, match="ambient"):
        metric(points)


@pytest.mark.parametrize("wrong", [3, "sphere", torch.eye(3), geoopt.Sphere], ids=str)
def test_ambient_of_another_kind_is_refused(unchecked: None, wrong: object) -> None:
    with pytest.raises(TypeError, match=r"ambient must be a Metric, a geoopt.Manifold or None, got"):
        lg.pullback_metric(to_three, ambient=wrong)
