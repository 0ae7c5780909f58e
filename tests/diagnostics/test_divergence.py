"""The divergence of single latents, and where it is stationary."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch.distributions import Normal, kl_divergence

from latentgeo.diagnostics import kl_at_ratio, latent_kl, stationary_variance
from strategies import batch_shapes, dtypes, seeds


@given(batch_shapes().filter(all), dtypes(), seeds())
def test_is_the_divergence_of_the_gaussians(batch, dtype, generator):
    mean = 3 * torch.randn(*batch, 4, dtype=dtype, generator=generator)
    std = torch.randn(*batch, 4, dtype=dtype, generator=generator).exp()
    expected = kl_divergence(Normal(mean, std), Normal(torch.zeros_like(mean), 1.0))
    found = latent_kl(mean, std.square())
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_keeps_its_digits_in_inactive_latents_and_at_every_scale(dtype):
    near = [1 + sign * 10.0**-k for k in range(1, 7) for sign in (1, -1)]
    variance = torch.tensor([*near, 1e-30, 1e-8, 0.4999, 0.5001, 1.4999, 1.5001, 1e30], dtype=dtype)
    with mpmath.workdps(50):
        exact = [(mpmath.mpf(v) - 1 - mpmath.log(mpmath.mpf(v))) / 2 for v in variance.tolist()]
        found = latent_kl(torch.zeros_like(variance), variance).tolist()
        errors = [abs(a - b) / b for a, b in zip(found, exact, strict=True)]
    gaps = (variance.double() - 1).abs().clamp(max=1).tolist()
    eps = torch.finfo(dtype).eps
    assert all(error < 4 * eps / gap for error, gap in zip(errors, gaps, strict=True))


def test_is_zero_at_the_prior_alone_and_infinite_without_variance():
    zero, one = torch.zeros(3), torch.ones(3)
    assert latent_kl(zero, one).tolist() == [0, 0, 0]
    assert latent_kl(zero, zero).tolist() == [math.inf] * 3


def test_gradients_are_finite_and_right():
    mean, variance = torch.randn(2, 7, dtype=torch.float64)
    variance = torch.tensor([1e-6, 0.3, 0.5, 1.0, 1.2, 1.5, 40.0], dtype=torch.float64)
    mean.requires_grad_()
    variance.requires_grad_()
    grads = torch.autograd.grad(latent_kl(mean, variance).sum(), (mean, variance))
    torch.testing.assert_close(grads, (mean, 0.5 * (1 - 1 / variance)))


@given(st.floats(1e-3, 1e3))
def test_is_least_at_the_stationary_variance(ratio):
    def divergence(log_variance):
        return float(kl_at_ratio(torch.tensor(math.exp(log_variance), dtype=torch.float64), ratio))

    found = minimize_scalar(divergence, bracket=(-16.0, 0.0), tol=1e-12)
    minimum = stationary_variance(torch.tensor(ratio, dtype=torch.float64))
    torch.testing.assert_close(stationary_variance(ratio), minimum.float())
    assert math.exp(found.x) == pytest.approx(float(minimum), rel=1e-6, abs=1e-6)
    assert found.fun == pytest.approx(0.5 * math.log1p(ratio**-2), rel=1e-6, abs=1e-12)
    assert float(minimum) == pytest.approx(ratio**2 / (1 + ratio**2), rel=1e-12)
    # The stationary condition itself: σ² + μ² = 1.
    assert float(minimum * (1 + ratio**-2)) == pytest.approx(1)


@given(st.floats(-3, 3), st.floats(-8, 3))
def test_at_a_ratio_is_the_divergence_of_that_gaussian(log_ratio, log_variance):
    variance = torch.tensor(math.exp(log_variance), dtype=torch.float64)
    mean = variance.sqrt() / math.exp(log_ratio)
    torch.testing.assert_close(
        kl_at_ratio(variance, math.exp(log_ratio)), latent_kl(mean[None], variance[None])[0]
    )


def test_curves_are_drawn_by_broadcasting(dtype):
    variance, ratio = (
        torch.linspace(0.01, 1, 50, dtype=dtype),
        torch.tensor([[0.1], [1.0], [5.0]], dtype=dtype),
    )
    curves = kl_at_ratio(variance, ratio)
    assert (curves.shape, curves.dtype) == ((3, 50), dtype)
    least = variance[curves.argmin(1)]
    assert bool(((least - stationary_variance(ratio[:, 0])).abs() <= 0.021).all())
