"""The Fisher metric under the transforms of torch, and its derivatives in points and parameters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch import distributions as td

import latentgeo as lg
import laws
import reference
from metrics.fisher import NAMED, SINGLE, Numbers, metric_of
from metrics.likelihoods import Likelihood


def weighted(metric: lg.Metric) -> Callable[[Tensor], Tensor]:
    weights = torch.tensor([[1.0, 0.4], [-0.7, 2.0]], dtype=torch.float64)
    return lambda z: (metric(z) * weights).sum()


def test_transforms_of_torch(likelihood: Likelihood, points: Tensor) -> None:
    """On a metric that was first called inside a transform, and on one that was not."""
    metric, twin = metric_of(likelihood), metric_of(likelihood)
    tolerance = laws.rounding(points.dtype)
    expected = twin(points)
    leaf = points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(weighted(twin)(leaf), leaf)
    laws.assert_near(torch.func.vmap(metric)(points), expected, tolerance, "vmap")
    laws.assert_near(torch.func.vmap(metric.norm)(points, points), twin.norm(points, points), tolerance)
    laws.assert_near(torch.func.grad(weighted(metric))(points), slope, tolerance, "grad")
    laws.assert_near(torch.func.jacfwd(weighted(metric))(points), slope, tolerance, "jacfwd")
    laws.assert_near(torch.func.vmap(twin)(points), expected, tolerance, "vmap after a plain call")


@pytest.mark.parametrize("likelihood", SINGLE, ids=str)
def test_gradients_of_first_and_second_order(likelihood: Likelihood, points: Tensor) -> None:
    metric, z = metric_of(likelihood), points[:1].clone().requires_grad_()
    v = torch.tensor([[0.3, -1.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(metric, z)
    assert torch.autograd.gradcheck(metric.inner, (z, v, v.detach().flip(1).requires_grad_()))
    assert torch.autograd.gradgradcheck(weighted(metric), z)


@pytest.mark.parametrize(
    "make",
    [lambda x: td.Dirichlet(x.exp()), lambda x: td.Beta(*x.exp().unbind(1))],
    ids=["Dirichlet", "Beta"],
)
def test_curvature_has_a_gradient(make: Callable) -> None:
    metric = lg.fisher_pullback_metric(make)
    z = torch.tensor([[0.3, -0.4]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: lg.scalar_curvature(metric, x), z, fast_mode=True)


@pytest.mark.parametrize("likelihood", SINGLE, ids=str)
def test_derivatives_in_the_parameters(likelihood: Likelihood, points: Tensor) -> None:
    numbers = Numbers(likelihood.size)
    metric = metric_of(likelihood, numbers)
    (gradient,) = torch.autograd.grad(weighted(metric)(points), numbers.weight)
    step = torch.zeros_like(gradient)
    step[0, 1] = step[1, 0] = 1e-5
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            numbers.weight += sign * step
            ends.append(weighted(metric)(points))
            numbers.weight -= sign * step
    slope = (ends[0] - ends[1]) / 2
    laws.assert_near((gradient * step).sum(), slope, 1e-6)


@pytest.mark.parametrize("likelihood", [*SINGLE, NAMED["MultivariateNormal of precision"]], ids=str)
def test_acceleration_is_that_of_the_matrix(likelihood: Likelihood, points: Tensor) -> None:
    """By the immersion or by derivatives of G, as that of the same matrices without a decoder."""
    metric, v = metric_of(likelihood), points.flip(0)
    got = lg.geodesic_acceleration(metric, points, v)
    expected = -torch.einsum("nkij,ni,nj->nk", reference.christoffel(metric, points), v, v).detach()
    laws.assert_near(got, expected, 1e-6)
