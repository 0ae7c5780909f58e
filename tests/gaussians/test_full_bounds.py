"""Bounds of the Fisher-Rao distance hold, and are exact where they say so."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, kl_divergence

from gaussians.full_normals import Normals, draw_normals, moved, pairs
from latentgeo.gaussians import fisher_rao_distance, fisher_rao_lower_bound, fisher_rao_upper_bound
from strategies import seeds

ROUNDING = 1e-9


def distributions(pair: tuple[Normals, Normals]) -> tuple[Distribution, Distribution]:
    return MultivariateNormal(*pair[0]), MultivariateNormal(*pair[1])


@given(pairs())
def test_distance_lies_between_the_bounds(pair: tuple[Normals, Normals]) -> None:
    p, q = distributions(pair)
    distance = fisher_rao_distance(p, q)
    lower, upper = fisher_rao_lower_bound(p, q), fisher_rao_upper_bound(p, q)
    assert (lower <= distance * (1 + ROUNDING)).all()
    assert (distance <= upper * (1 + ROUNDING)).all()
    assert (lower >= 0.7 * distance).all()
    assert (upper <= 1.2 * distance).all()
    jeffreys = (kl_divergence(p, q) + kl_divergence(q, p)).sqrt()
    assert (upper <= jeffreys * (1 + 1e-4)).all()  # the divergence of near normals cancels


@given(seeds(), st.integers(1, 5), st.floats(-10.0, 0.0))
def test_bounds_of_near_normals_keep_relative_accuracy(g: torch.Generator, k: int, step: float) -> None:
    mean, cov = draw_normals(g, 3, k)
    dmean = torch.randn(3, k, generator=g).double()
    p, q = MultivariateNormal(mean, cov), MultivariateNormal(mean + 10**step * dmean, (1 + 10**step) * cov)
    distance = fisher_rao_distance(p, q)
    share = 10 ** min(2 * step, 0.0) * 10  # both differ from the distance in the third order
    torch.testing.assert_close(fisher_rao_lower_bound(p, q), distance, rtol=share + 1e-12, atol=0.0)
    torch.testing.assert_close(fisher_rao_upper_bound(p, q), distance, rtol=share + 1e-12, atol=0.0)


def test_lower_bound_is_the_distance_of_matrices() -> None:
    """√½ |log P₁⁻¹P₂| with P = [[Σ + μμᵀ, μ], [μᵀ, 1]], by general eigenvalues."""
    g = torch.Generator().manual_seed(0)
    p, q = distributions((draw_normals(g, 4, 3), draw_normals(g, 4, 3, spread=3.0)))

    def embedded(normal: Distribution) -> Tensor:
        column = torch.cat([normal.mean, torch.ones(4, 1).double()], 1)[..., None]
        return torch.nn.functional.pad(normal.covariance_matrix, (0, 1, 0, 1)) + column @ column.mT

    values = torch.linalg.eigvals(torch.linalg.solve(embedded(p), embedded(q))).real
    expected = (values.log().square().sum(1) / 2).sqrt()
    torch.testing.assert_close(fisher_rao_lower_bound(p, q), expected, rtol=1e-12, atol=0.0)


def test_bounds_are_exact_where_they_say_so() -> None:
    g = torch.Generator().manual_seed(1)
    mean, cov1 = draw_normals(g, 4, 3)
    _, cov2 = draw_normals(g, 4, 3, condition=100.0)
    p, q = MultivariateNormal(mean, cov1), MultivariateNormal(mean, cov2)
    for bound in (fisher_rao_lower_bound, fisher_rao_upper_bound):
        torch.testing.assert_close(bound(p, q), fisher_rao_distance(p, q), rtol=1e-12, atol=0.0)
    values, vectors = torch.linalg.eig(cov2 @ torch.linalg.inv(cov1))
    assert not values.imag.any()
    along = MultivariateNormal(mean + 5 * vectors.real[..., 1], cov2)
    torch.testing.assert_close(
        fisher_rao_upper_bound(p, along), fisher_rao_distance(p, along), rtol=1e-11, atol=0.0
    )
    across = MultivariateNormal(mean + 5, cov2)
    assert (fisher_rao_upper_bound(p, across) > fisher_rao_distance(p, across) * (1 + 1e-6)).all()


def test_bounds_of_univariate_and_independent_normals_have_the_shape_of_the_distance() -> None:
    mean1, mean2, std1, std2 = torch.randn(4, 4, 3, generator=torch.Generator().manual_seed(2)).double()
    a, b = Normal(mean1, std1.exp()), Normal(mean2, std2.exp())
    for p, q in ((a, b), (Independent(a, 1), Independent(b, 1)), (Independent(a, 2), Independent(b, 2))):
        distance = fisher_rao_distance(p, q)
        lower, upper = fisher_rao_lower_bound(p, q), fisher_rao_upper_bound(p, q)
        assert lower.shape == upper.shape == distance.shape
        torch.testing.assert_close(upper, distance, rtol=1e-12, atol=0.0)
        assert (lower < distance).all()
        assert (lower > 0.8 * distance).all()


@given(seeds(), st.floats(-3.0, 3.0))
def test_bounds_do_not_depend_on_affine_coordinates(g: torch.Generator, scale: float) -> None:
    p, q = draw_normals(g, 3, 3), draw_normals(g, 3, 3, spread=5.0)
    matrix = 10**scale * (torch.randn(3, 3, generator=g) + 3 * torch.eye(3)).double()
    images = distributions((moved(p, matrix, matrix[0]), moved(q, matrix, matrix[0])))
    tolerance = 1e-13 * torch.linalg.cond(matrix).item() ** 2 + 1e-11
    for bound in (fisher_rao_lower_bound, fisher_rao_upper_bound):
        torch.testing.assert_close(bound(*images), bound(*distributions((p, q))), rtol=tolerance, atol=0.0)


def test_lower_bound_differentiates_also_at_coincident_normals() -> None:
    (mean, cov), (other, _) = (draw_normals(torch.Generator().manual_seed(i), 2, 2) for i in (0, 1))
    start = mean.clone().requires_grad_()
    fixed = MultivariateNormal(mean, cov)
    (gradient,) = torch.autograd.grad(
        fisher_rao_lower_bound(MultivariateNormal(start, cov), fixed).sum(), start
    )
    assert not gradient.any()
    far = MultivariateNormal(other, cov)
    assert torch.autograd.gradcheck(
        lambda m: fisher_rao_lower_bound(MultivariateNormal(m, cov), far), (start,)
    )


@pytest.mark.parametrize("bound", [fisher_rao_lower_bound, fisher_rao_upper_bound])
def test_single_precision_stays_single(bound: object) -> None:
    p = MultivariateNormal(torch.zeros(2), torch.eye(2))
    assert bound(p, p).dtype == torch.float32
    assert bound(p, p) == 0
