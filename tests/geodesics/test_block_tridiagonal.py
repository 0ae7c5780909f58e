"""Cyclic reduction against dense factorisations."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentgeo.geodesics.block_tridiagonal import BlockTridiagonal


def dense(diagonal: torch.Tensor, upper: torch.Tensor) -> torch.Tensor:
    b, n, d = diagonal.shape[:3]
    matrix = diagonal.new_zeros(b, n, d, n, d)
    for i in range(n):
        matrix[:, i, :, i] = diagonal[:, i]
    for i in range(n - 1):
        matrix[:, i, :, i + 1] = upper[:, i]
        matrix[:, i + 1, :, i] = upper[:, i].mT
    return matrix.reshape(b, n * d, n * d)


def chain(b: int, n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The Gauss-Newton matrix of a chain of points, with a little on the diagonal."""
    jacobian = torch.randn(
        b, n, d + 3, d, dtype=torch.float64, generator=torch.Generator().manual_seed(n + d)
    )
    diagonal = 2 * jacobian.mT @ jacobian + 0.1 * torch.eye(d, dtype=torch.float64)
    return diagonal, -jacobian[:, :-1].mT @ jacobian[:, 1:]


@given(b=st.integers(1, 3), n=st.integers(1, 40), d=st.integers(1, 4))
def test_solution_is_that_of_the_dense_system(b: int, n: int, d: int) -> None:
    diagonal, upper = chain(b, n, d)
    right = torch.randn(b, n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.linalg.solve(dense(diagonal, upper), right.flatten(1)).reshape(b, n, d)
    factor = BlockTridiagonal(diagonal, upper)
    assert factor.positive_definite.all()
    torch.testing.assert_close(factor.solve(right), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_indefinite_matrix_is_told_apart_and_spoils_no_neighbour(n: int) -> None:
    diagonal, upper = chain(3, n, 2)
    diagonal[1, n // 2] -= 100 * torch.eye(2, dtype=torch.float64)
    factor = BlockTridiagonal(diagonal, upper)
    assert factor.positive_definite.tolist() == [True, False, True]
    right = torch.ones(3, n, 2, dtype=torch.float64)
    alone = BlockTridiagonal(diagonal[:1], upper[:1]).solve(right[:1])
    torch.testing.assert_close(factor.solve(right)[:1], alone)
    torch.testing.assert_close(factor.select(torch.tensor([True, False, False])).solve(right[:1]), alone)
