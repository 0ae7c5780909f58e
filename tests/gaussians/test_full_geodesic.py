"""Geodesics, exponentials and logarithms of full normals: against the differential equation, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from torch import Tensor

import latentgeo as lg
from gaussians.full_normals import Normals, draw_normals, fisher_norm, moved, pairs, symmetric
from latentgeo.gaussians.full import full_distance, full_expmap, full_geodesic, full_logmap
from strategies import seeds

TIMES = torch.linspace(0, 1, 9, dtype=torch.float64)


def whitened_error(normals: Normals, expected: Normals) -> Tensor:
    """The greatest difference of two normals close to each other, in the units of the second."""
    root = torch.linalg.cholesky(expected[1])
    mean = torch.linalg.solve(root, (normals[0] - expected[0])[..., None])[..., 0]
    cov = torch.linalg.solve(root, torch.linalg.solve(root, normals[1] - expected[1]).mT)
    return torch.maximum(mean.abs().amax(-1), cov.abs().amax((-1, -2))).max()


def two(k: int, *, spread: float = 2.0, condition: float = 10.0, count: int = 3) -> tuple[Normals, Normals]:
    g = torch.Generator().manual_seed(k)
    return (
        draw_normals(g, count, k, condition=condition),
        draw_normals(g, count, k, spread=spread, condition=condition),
    )


# --- Exponential


@pytest.mark.parametrize("k", [1, 2, 4])
def test_exponential_solves_the_geodesic_equation(k: int) -> None:
    """μ'' = Σ'Σ⁻¹μ', Σ'' = Σ'Σ⁻¹Σ' - μ'μ'ᵀ by a Runge-Kutta method of order 8."""
    generator = torch.Generator().manual_seed(k)
    mean, cov = draw_normals(generator, 1, k)
    dmean, dcov = (
        torch.randn(1, k, generator=generator).double(),
        torch.randn(1, k, k, generator=generator).double(),
    )
    dcov = symmetric(dcov)

    def slope(_: float, state: np.ndarray) -> np.ndarray:
        sigma, v, w = (
            state[k : k + k * k].reshape(k, k),
            state[k + k * k : -k * k],
            state[-k * k :].reshape(k, k),
        )
        turned = w @ np.linalg.inv(sigma)
        return np.concatenate([v, w.ravel(), turned @ v, (turned @ w - np.outer(v, v)).ravel()])

    begin = np.concatenate([x[0].numpy().ravel() for x in (mean, cov, dmean, dcov)])
    path = solve_ivp(slope, (0, 1.5), begin, method="DOP853", rtol=1e-13, atol=1e-14, t_eval=[0.7, 1.5])
    for t, state in zip(path.t, path.y.T, strict=True):
        arrived = full_expmap(mean, cov, t * dmean, t * dcov)
        expected = torch.from_numpy(state[:k])[None], torch.from_numpy(state[k : k + k * k].reshape(1, k, k))
        assert whitened_error(arrived, expected) < 1e-10


@given(pairs(max_k=4))
def test_exponential_undoes_the_logarithm(pair: tuple[Normals, Normals]) -> None:
    """Rounding of the logarithm grows like exp √2 d along the way."""
    p, q = pair
    log = full_logmap(*p, *q)
    distance = full_distance(*p, *q)
    torch.testing.assert_close(fisher_norm(p[1], *log), distance, rtol=1e-9, atol=0.0)
    amplified = 1e-12 * (1.4142 * distance.max()).exp()
    assert whitened_error(full_expmap(*p, *log), q) < amplified


@given(seeds(), st.integers(1, 4), st.floats(-2.0, 0.3))
def test_logarithm_undoes_the_exponential(g: torch.Generator, k: int, size: float) -> None:
    """Geodesics of up to two units of length are the shortest ones between their ends."""
    mean, cov = draw_normals(g, 3, k)
    dmean, dcov = (
        torch.randn(3, k, generator=g).double(),
        symmetric(torch.randn(3, k, k, generator=g).double()),
    )
    norm = fisher_norm(cov, dmean, dcov)
    dmean, dcov = 10**size * dmean / norm[:, None], 10**size * dcov / norm[:, None, None]
    back = full_logmap(mean, cov, *full_expmap(mean, cov, dmean, dcov))
    scale = 10**size * cov.abs().max().item()
    torch.testing.assert_close(back[0], dmean, rtol=0.0, atol=1e-10 * scale)
    torch.testing.assert_close(back[1], dcov, rtol=0.0, atol=1e-10 * scale)


def test_exponential_of_zero_stays_and_differentiates_to_the_identity() -> None:
    (mean, cov), _ = two(3)
    zero = torch.zeros_like(mean), torch.zeros_like(cov)
    assert whitened_error(full_expmap(mean, cov, *zero), (mean, cov)) < 1e-14
    jacobian = torch.func.jacrev(lambda v: full_expmap(mean[0], cov[0], v, zero[1][0])[0])(zero[0][0])
    torch.testing.assert_close(jacobian, torch.eye(3).double())


# --- Geodesic


@given(pairs(max_k=4))
@settings(max_examples=10)
def test_geodesic_has_its_ends_and_constant_speed(pair: tuple[Normals, Normals]) -> None:
    p, q = pair
    means, covs = full_geodesic(*p, *q, TIMES)
    assert whitened_error((means[0], covs[0]), p) < 1e-12
    assert whitened_error((means[-1], covs[-1]), q) < 1e-12
    distance = full_distance(*p, *q)
    pieces = full_distance(means[:-1], covs[:-1], means[1:], covs[1:])
    # half the way from each end: rounding at exp(√2 d / 2) of what the ends have
    tolerance = 1e-11 * (0.7071 * distance.max().item() + 1) * np.exp(0.7071 * distance.max().item())
    torch.testing.assert_close(pieces, (distance / 8).expand_as(pieces), rtol=tolerance, atol=0.0)


def test_geodesic_is_the_same_from_either_end_and_goes_on_beyond() -> None:
    p, q = two(3)
    there, back = full_geodesic(*p, *q, TIMES), full_geodesic(*q, *p, 1 - TIMES)
    assert whitened_error(there, back) < 1e-12
    means, covs = full_geodesic(*p, *q, torch.tensor([-0.5, 1.5]).double())
    torch.testing.assert_close(full_distance(means[0], covs[0], means[1], covs[1]), 2 * full_distance(*p, *q))


def test_geodesic_commutes_with_affine_maps() -> None:
    p, q = two(3, spread=10.0)
    generator = torch.Generator().manual_seed(0)
    matrix, shift = (
        torch.randn(3, 3, generator=generator).double(),
        torch.randn(3, generator=generator).double(),
    )
    image = full_geodesic(*moved(p, matrix, shift), *moved(q, matrix, shift), TIMES)
    assert whitened_error(image, moved(full_geodesic(*p, *q, TIMES), matrix, shift)) < 1e-10


def test_geodesic_meets_in_the_middle_when_far_apart() -> None:
    """Mahalanobis distance 100, condition 10⁴: times on either side of one half, computed from different ends."""
    p, q = two(4, spread=100.0, condition=1e4)
    step = 1e-3
    means, covs = full_geodesic(*p, *q, torch.tensor([0.5 - step, 0.5 + step]).double())
    gap = full_distance(means[0], covs[0], means[1], covs[1])
    torch.testing.assert_close(gap, 2 * step * full_distance(*p, *q), rtol=1e-4, atol=0.0)


def test_times_lead_the_shape_and_batches_broadcast() -> None:
    p, q = two(2)
    means, covs = full_geodesic(p[0][:, None], p[1][:, None], *q, TIMES)
    assert means.shape == (9, 3, 3, 2)
    assert covs.shape == (9, 3, 3, 2, 2)
    one = full_geodesic(p[0][1], p[1][1], q[0][2], q[1][2], TIMES[3:4])
    assert whitened_error((one[0][0], one[1][0]), (means[3, 1, 2], covs[3, 1, 2])) < 1e-12
    single = full_geodesic(*(x.float() for x in (*p, *q)), TIMES)
    assert single[0].dtype == single[1].dtype == torch.float32
    assert full_geodesic(*(x[:0] for x in (*p, *q)), TIMES)[1].shape == (9, 0, 2, 2)


def test_pairs_too_far_apart_are_flagged() -> None:
    _, (mean, cov) = two(2, count=2)
    far = mean * torch.tensor([[1.0], [1e12]])
    ends = torch.zeros(2).double(), torch.eye(2).double(), far, cov
    with pytest.warns(lg.ConvergenceWarning, match="1 of 2 pairs of normals .* does not lead"):
        full_logmap(*ends)
    with pytest.warns(lg.ConvergenceWarning, match="1 of 2 pairs of normals .* may not meet"):
        means, _ = full_geodesic(*ends, TIMES)
    expected, _ = full_geodesic(ends[0], ends[1], far[0], cov[0], TIMES)
    torch.testing.assert_close(means[:, 0], expected, rtol=0.0, atol=1e-12)


# --- Derivatives


@pytest.mark.parametrize("k", [1, 2, 3])
def test_logarithm_and_geodesic_differentiate_as_finite_differences_do(k: int) -> None:
    p, q = two(k, spread=3.0, count=1)
    ends = [x.requires_grad_() for x in (*p, *q)]

    def log(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> tuple[Tensor, Tensor]:
        return full_logmap(mean1, symmetric(cov1), mean2, symmetric(cov2))

    def curve(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return full_geodesic(mean1, symmetric(cov1), mean2, symmetric(cov2), t)

    times = torch.tensor([0.3, 0.8], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(log, ends, atol=1e-6, rtol=1e-5)
    assert torch.autograd.gradcheck(curve, (*ends, times), atol=1e-6, rtol=1e-5, fast_mode=True)


def test_second_derivative_of_the_logarithm_is_refused_not_wrong() -> None:
    p, q = two(2, count=1)
    start = p[0].requires_grad_()
    (slope,) = torch.autograd.grad(full_logmap(start, p[1], *q)[0].sum(), start, create_graph=True)
    with pytest.raises(NotImplementedError, match="the logarithm of full normals is differentiable once"):
        torch.autograd.grad(slope.sum(), start)


def test_logarithm_under_vmap_of_jacobians() -> None:
    p, q = two(2)
    jacobian = torch.func.vmap(torch.func.jacrev(full_logmap))(*p, *q)[0]
    for i in range(3):
        alone = torch.autograd.functional.jacobian(
            lambda m, i=i: full_logmap(m, p[1][i], q[0][i], q[1][i])[0], p[0][i]
        )
        torch.testing.assert_close(jacobian[i], alone)
