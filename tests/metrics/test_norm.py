"""The length of tangents: where it is zero, and where there is none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import latentgeo as lg
from laws import assert_near
from strategies import network


def constant(matrix: Tensor) -> lg.Metric:
    return lg.metric_from_function(lambda z: matrix.to(z).expand(len(z), *matrix.shape[-2:]))


def test_null_vectors_of_a_singular_matrix_have_no_length(dtype: torch.dtype) -> None:
    """Their squares come out as roundings of either sign."""
    column = torch.randn(200, 3, 1, dtype=dtype, generator=torch.Generator().manual_seed(0))
    matrix = column @ column.mT
    null = torch.linalg.cross(column[:, :, 0], torch.ones(200, 3, dtype=dtype))
    metric = constant(matrix)
    square, norm = metric.inner(null, null, null), metric.norm(null, null)
    assert (square < 0).any()
    size = column[:, :, 0].norm(dim=1) * null.norm(dim=1)
    assert_near(norm, torch.zeros(200), torch.finfo(dtype).eps ** 0.5, scale=size * 4)


def test_an_indefinite_matrix_has_no_length_and_says_so(dtype: torch.dtype) -> None:
    metric = constant(torch.diag(torch.tensor([1.0, -1.0])))
    norm = metric.norm(
        torch.zeros(2, dtype=dtype), torch.tensor([[2.0, 1.0], [1.0, 1.0], [0.0, 1e-3]], dtype=dtype)
    )
    assert_near(norm[:2], torch.tensor([3**0.5, 0.0]), 1e-6)
    assert norm[2].isnan()


@pytest.mark.parametrize("kind", ["immersion", "matrix"])
def test_the_length_of_no_vector_has_no_slope(kind: str) -> None:
    net = network(2, 5)
    metric = lg.pullback_metric(net)
    if kind == "matrix":
        metric = lg.metric_from_function(metric)
    z = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    v = torch.tensor([[1.0, 2.0], [0.0, 0.0], [1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    metric.norm(z, v).sum().backward()
    for gradient in (z.grad, v.grad, *(p.grad for p in net.parameters() if p.grad is not None)):
        assert gradient.isfinite().all()
    assert not z.grad[1].any()
    assert not v.grad[1].any()
    assert z.grad[0].any()


@pytest.mark.parametrize("make", [lambda: lg.EuclideanMetric(2), lambda: constant(torch.eye(2))])
def test_tangents_must_broadcast_against_each_other(unchecked: None, make) -> None:
    with pytest.raises(ValueError, match=r"v must broadcast against u of shape \(3, 2\), got .*\(4, 2\)"):
        make().inner(torch.zeros(2), torch.zeros(3, 2), torch.zeros(4, 2))
