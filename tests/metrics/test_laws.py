"""The laws of a metric at a point, over the known geometries and over random decoders."""

from __future__ import annotations

import jaxtyping
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import latentgeo as lg
import laws
import reference
from spaces import GAUSSIAN, HALF_PLANE, PLANE, SPACES, SPHERE, Space, stereographic
from strategies import batch_shapes, decoders, dtypes, network, seeds, spd_matrices, tensors

BATCH = 4


@pytest.fixture(params=SPACES, ids=str)
def space(request: pytest.FixtureRequest) -> Space:
    return request.param


@pytest.fixture
def points(space: Space, dtype: torch.dtype, device: torch.device, generator: torch.Generator) -> Tensor:
    return space.points(BATCH, generator).to(device, dtype)


@pytest.fixture
def metric(space: Space, dtype: torch.dtype, device: torch.device) -> lg.Metric:
    return space.metric(dtype, device)


@pytest.fixture
def tangents(points: Tensor) -> Tensor:
    """Three tangent vectors at each point (3, B, d)."""
    return torch.randn(3, *points.shape, generator=torch.Generator().manual_seed(1)).to(points)


def test_matrix_is_the_known_one(space: Space, metric: lg.Metric, points: Tensor) -> None:
    laws.assert_near(metric(points), space.matrix(points.double().cpu()), laws.rounding(points.dtype))


def test_matrix_is_symmetric_positive_semidefinite(metric: lg.Metric, points: Tensor) -> None:
    laws.matrix_is_symmetric_positive_semidefinite(metric, points)


def test_inner_is_the_matrix_product(metric: lg.Metric, points: Tensor, tangents: Tensor) -> None:
    laws.inner_is_the_matrix_product(metric, points, tangents[0], tangents[1])


def test_inner_is_bilinear(metric: lg.Metric, points: Tensor, tangents: Tensor) -> None:
    laws.inner_is_bilinear(metric, points, *tangents)


def test_norm_is_homogeneous(metric: lg.Metric, points: Tensor, tangents: Tensor) -> None:
    laws.norm_is_homogeneous(metric, points, tangents[0])


def test_leading_dimensions_are_batch(metric: lg.Metric, points: Tensor) -> None:
    laws.leading_dimensions_are_batch(metric, points)


@pytest.mark.parametrize("space", [PLANE, SPHERE, HALF_PLANE, GAUSSIAN], ids=str)
def test_empty_batch_gives_empty_answers(metric: lg.Metric, points: Tensor) -> None:
    laws.empty_batch_gives_empty_answers(metric, points)


def test_matrix_transforms_with_the_coordinates(metric: lg.Metric, points: Tensor) -> None:
    laws.matrix_transforms_with_the_coordinates(metric, points)


def test_matrix_is_differentiable(space: Space, generator: torch.Generator) -> None:
    laws.matrix_is_differentiable(space.metric(), space.matrix, space.points(2, generator))


def test_metric_knows_its_immersion(space: Space, metric: lg.Metric, points: Tensor) -> None:
    """Where there is an immersion F, the metric is JᵀJ of F, by a Jacobian that is not the library's."""
    metric = metric.resolved(points)
    assert (metric.immersion is not None) == space.immersed
    if metric.immersion is not None:
        jacobian = reference.jacobian(metric.immersion, points)
        laws.assert_near(metric(points), jacobian.mT @ jacobian, laws.rounding(points.dtype))


@given(st.data())
def test_random_decoders_of_any_shape(data: st.DataObject) -> None:
    dtype = data.draw(dtypes())
    dim = data.draw(st.integers(1, 4))
    shape = (*data.draw(batch_shapes()), dim)
    decoder = data.draw(decoders(dim, dtype))
    z, u, v = (data.draw(tensors(shape, dtype)) for _ in range(3))
    metric = lg.pullback_metric(decoder)
    laws.matrix_is_symmetric_positive_semidefinite(metric, z)
    laws.inner_is_the_matrix_product(metric, z, u, v)
    laws.norm_is_homogeneous(metric, z, u)
    if z.numel():
        slow = reference.pullback(lambda p: decoder(p).flatten(1), z)
        laws.assert_near(metric(z), slow, laws.rounding(dtype))


@given(st.data())
def test_constant_matrices_of_any_shape(data: st.DataObject) -> None:
    dtype = data.draw(dtypes())
    dim = data.draw(st.integers(1, 4))
    shape = (*data.draw(batch_shapes()), dim)
    matrix = data.draw(spd_matrices(dim, dtype))
    metric = lg.metric_from_function(lambda z: matrix.expand(z.shape[0], dim, dim))
    z, u, v = (data.draw(tensors(shape, dtype)) for _ in range(3))
    laws.matrix_is_symmetric_positive_semidefinite(metric, z)
    laws.inner_is_the_matrix_product(metric, z, u, v)
    assert torch.equal(metric(z), matrix.expand(*shape, dim))


@given(seeds(), dtypes())
def test_euclidean_metric_broadcasts_like_a_product(generator: torch.Generator, dtype: torch.dtype) -> None:
    metric = lg.EuclideanMetric(3)
    z, u, v = torch.randn(3, 4, 3, generator=generator).to(dtype)
    assert torch.equal(metric(z), torch.eye(3, dtype=dtype).expand(4, 3, 3))
    laws.assert_near(metric.inner(z, u, v), (u * v).sum(-1), laws.rounding(dtype))


@pytest.mark.parametrize(
    "make", [lambda z: z[:1].expand(5, -1), lambda z: z.T.contiguous().T, lambda z: z[::2]]
)
@pytest.mark.parametrize("decoder", [network(3, 6), stereographic], ids=["network", "stereographic"])
def test_memory_layout_of_the_points_does_not_matter(decoder, make, generator: torch.Generator) -> None:
    metric = lg.pullback_metric(decoder)
    z = make(torch.randn(6, 3, dtype=torch.float64, generator=generator))
    v = torch.ones(1, 3).double().expand_as(z)
    laws.assert_near(metric(z), metric(z.clone()), laws.rounding(z.dtype))
    laws.assert_near(
        metric.inner(z, v, v), metric.inner(z.clone(), v.clone(), v.clone()), laws.rounding(z.dtype)
    )


def test_one_latent_works_on_expanded_points() -> None:
    metric = lg.pullback_metric(network(1, 4))
    z = torch.full((1, 1), 0.3).double().expand(5, 1)
    laws.assert_near(metric(z), metric(z.clone()), laws.rounding(z.dtype))
    laws.assert_near(metric.norm(z, z), metric.norm(z.clone(), z.clone()), laws.rounding(z.dtype))


def test_nan_of_a_decoder_stays_in_its_row(dtype: torch.dtype) -> None:
    metric = lg.pullback_metric(lambda z: torch.cat([z, (1 - z.square().sum(1, keepdim=True)).sqrt()], 1))
    z = torch.tensor([[0.1, 0.2], [2.0, 0.0], [0.3, -0.4]], dtype=dtype)  # the second has no image
    got = metric(z)
    assert not got[1].isfinite().all()
    laws.assert_near(got[[0, 2]], metric(z[[0, 2]]), laws.rounding(dtype))


def test_signatures_are_checked_in_this_run() -> None:
    """The import hook of conftest is on: shapes and dtypes are held against the annotations, at every call."""
    metric = lg.EuclideanMetric(2)
    with pytest.raises(jaxtyping.TypeCheckError):
        metric(torch.zeros(3, 2, dtype=torch.long))
    with pytest.raises(jaxtyping.TypeCheckError):
        metric.inner(torch.zeros(3, 2), torch.zeros(4, 2), torch.zeros(3, 2))


def test_references_agree_with_each_other(generator: torch.Generator) -> None:
    """The twins the suite rests on: integrated and collocated geodesics, reverse-mode and difference Jacobians."""
    for space in SPACES:
        if space.name in ("paraboloid", "torus of revolution", "hyperbolic half-plane"):
            problem = space.problem(1, generator)
            points, length = reference.boundary_value(space.matrix, problem.start[0], problem.end[0])
            laws.assert_near(problem.at(torch.linspace(0, 1, 101))[0], points, 1e-6, space.name)
            laws.assert_near(torch.tensor([length]), problem.distance, 1e-6, space.name)
            length_again, energy = reference.length_and_energy(space.matrix, problem.at, 20)
            laws.assert_near(length_again, problem.distance, 1e-8, space.name)
            laws.assert_near(energy, 0.5 * problem.distance.square(), 1e-8, space.name)
    net, z = network(2, 4), torch.randn(3, 2, dtype=torch.float64, generator=generator)
    laws.assert_near(reference.jacobian(net, z), reference.finite_difference_jacobian(net, z), 1e-8)
