"""The recurrence xᵢ = Cᵢ xᵢ₊₁ + dᵢ against its own definition."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gaussian_graphs import CountWork
from latentgeo.models.recurrence import solve_recurrence


def residual(factors: Tensor, offsets: Tensor, x: Tensor, apply) -> float:
    """The largest violation of the defining equations, which determine x."""
    expected = torch.cat([apply(factors, x[1:]) + offsets[:-1], offsets[-1:]])
    assert x.shape == offsets.shape
    return float((x - expected).abs().max())


@given(n=st.integers(1, 70), batch=st.lists(st.integers(1, 3), max_size=2), seed=st.integers(0, 999))
def test_numbers_satisfy_the_recurrence(n, batch, seed):
    g = torch.Generator().manual_seed(seed)
    factors = 0.7 * torch.randn(n - 1, *batch, generator=g, dtype=torch.float64)
    offsets = torch.randn(n, *batch, generator=g, dtype=torch.float64)
    assert residual(factors, offsets, solve_recurrence(factors, offsets), torch.mul) < 1e-12


@given(n=st.integers(1, 70), width=st.integers(1, 4), seed=st.integers(0, 999))
def test_matrices_satisfy_the_recurrence(n, width, seed):
    g = torch.Generator().manual_seed(seed)
    factors = 0.4 * torch.randn(n - 1, 2, width, width, generator=g, dtype=torch.float64)
    offsets = torch.randn(n, 2, width, width, generator=g, dtype=torch.float64)
    x = solve_recurrence(factors, offsets, compose=torch.matmul)
    assert residual(factors, offsets, x, torch.matmul) < 1e-11

    def congruence(factor, matrix):
        return factor @ matrix @ factor.mT

    x = solve_recurrence(factors, offsets, compose=torch.matmul, apply=congruence)
    assert residual(factors, offsets, x, congruence) < 1e-11


@pytest.mark.parametrize("n", [5, 17, 18, 40])
def test_derivatives_of_the_first_and_second_order(n):
    g = torch.Generator().manual_seed(n)
    factors = (0.5 * torch.randn(n - 1, generator=g, dtype=torch.float64)).requires_grad_()
    offsets = torch.randn(n, generator=g, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(solve_recurrence, (factors, offsets), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(solve_recurrence, (factors, offsets))


def test_rounding_is_that_of_substitution():
    """Strong growth, |C| up to 4 over 200 steps: every unknown to a few units of its own last place."""
    g = torch.Generator().manual_seed(0)
    factors = 1 + 3 * torch.rand(200, 20, generator=g)
    offsets = torch.rand(201, 20, generator=g)
    # positive terms only, so that substitution in double precision is exact to single precision
    exact = offsets.double()
    for i in reversed(range(200)):
        exact[i] += factors[i].double() * exact[i + 1]
    kept = exact < 1e37
    relative = (solve_recurrence(factors, offsets).double() - exact).abs() / exact
    assert float(kept.double().mean()) > 0.3
    # a product of j factors carries at most j roundings
    assert float(relative[kept].max()) < 200 * torch.finfo(torch.float32).eps


def test_operations_grow_logarithmically_and_work_linearly():
    counts = {}
    for n in (64, 4096):
        with CountWork() as counts[n]:
            solve_recurrence(torch.rand(n - 1), torch.rand(n))
    assert counts[4096].operations < 3 * counts[64].operations
    assert counts[4096].work < 1.2 * 64 * counts[64].work
