"""What is particular to chains: closed forms of autoregression, and the Markov property."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from gaussian_graphs import chain
from latentgeo.models import ChainNormal


def test_without_off_diagonal_the_coordinates_are_independent():
    q = chain(7, 3)
    q = ChainNormal(q.mean, q.diagonal, torch.zeros_like(q.off_diagonal))
    independent = Independent(Normal(q.mean, 1 / q.diagonal), 1)
    z = independent.sample((2,))
    torch.testing.assert_close(q.log_prob(z), independent.log_prob(z))
    torch.testing.assert_close(q.variance, independent.variance)
    torch.testing.assert_close(q.entropy(), independent.entropy())
    prior = Independent(Normal(torch.zeros(7).double(), torch.ones(7).double()), 1)
    torch.testing.assert_close(kl_divergence(q, prior), kl_divergence(independent, prior))


def test_precision_is_tridiagonal():
    """With a = (1, 2, 3) and b = (4, 5): P[i, i] = aᵢ² + bᵢ₋₁², P[i+1, i] = aᵢ bᵢ."""
    q = ChainNormal(torch.zeros(3), torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0]))
    expected = torch.tensor([[1.0, 4.0, 0.0], [4.0, 20.0, 10.0], [0.0, 10.0, 34.0]])
    torch.testing.assert_close(q.precision_matrix, expected, rtol=0, atol=0)


def test_stationary_autoregression_has_unit_variances_and_geometric_correlations():
    """y(i) = ρ y(i+1) + √(1 - ρ²) ε(i): covariance ρ^|i-j|."""
    rho, k = 0.9, 60
    noise = (1 - rho**2) ** 0.5
    diagonal = torch.full((k,), 1 / noise, dtype=torch.float64)
    diagonal[-1] = 1.0
    i = torch.arange(k)
    expected = rho ** (i[:, None] - i).abs().double()
    off_diagonal = torch.full((k - 1,), -rho / noise, dtype=torch.float64)
    q = ChainNormal(torch.zeros(k).double(), diagonal, off_diagonal)
    torch.testing.assert_close(q.variance, torch.ones_like(q.variance), rtol=1e-12, atol=0)
    torch.testing.assert_close(q.covariance_matrix, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("ratio", "k"), [(0.5, 1000), (0.99, 1000), (1.01, 1000), (2.0, 300)])
def test_variances_are_geometric_sums(ratio, k):
    """With a = 1, b = r: v(i) = (r^(2 (k-i+1)) - 1) / (r² - 1), decaying or growing exponentially."""
    q = ChainNormal(
        torch.zeros(k).double(),
        torch.ones(k).double(),
        torch.full((k - 1,), ratio, dtype=torch.float64),
    )
    steps = torch.arange(k, 0, -1, dtype=torch.float64)
    expected = torch.expm1(2 * steps * math.log(ratio)) / (ratio**2 - 1)
    torch.testing.assert_close(q.variance, expected, rtol=1e-11, atol=0)


def test_given_its_neighbours_a_coordinate_is_independent_of_the_rest():
    """The regression of yᵢ on all others weighs its neighbours alone."""
    covariance = chain(8).covariance_matrix
    others = [j for j in range(8) if j != 3]
    weights = torch.linalg.solve(covariance[others][:, others], covariance[others, 3])
    far = torch.tensor([abs(j - 3) > 1 for j in others])
    assert float(weights[far].abs().max()) < 1e-12
    assert float(weights[~far].abs().min()) > 1e-3


def test_divergence_is_the_documented_formula():
    """Half of Σ v + |μ|² - k + 2 Σ log a, with v by its recursion."""
    q = chain(9)
    v = [1 / q.diagonal[8] ** 2]
    for i in reversed(range(8)):
        v.insert(0, (1 + q.off_diagonal[i] ** 2 * v[0]) / q.diagonal[i] ** 2)
    expected = 0.5 * (sum(v) + q.mean.square().sum() - 9 + 2 * q.diagonal.log().sum())
    prior = Independent(Normal(torch.zeros(9).double(), torch.ones(9).double()), 1)
    torch.testing.assert_close(kl_divergence(q, prior), expected, rtol=1e-13, atol=0)
