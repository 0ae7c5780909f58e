"""The locally adaptive normal: flat and curved spaces of which all is known, integrals, draws, and bad input."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import latentgeo as lg
import spaces
from latentgeo import ConvergenceWarning, EuclideanMetric, LocallyAdaptiveNormal
from riemannian_normals import log_constant, log_likelihood, quadrature, squares
from strategies import network

CURVED = (spaces.SPHERE, spaces.HALF_PLANE)


def normal_points(n: int, dim: int, dtype: torch.dtype = torch.float64, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(dim)
    frame = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    return (scale * (torch.randn(n, dim, generator=generator, dtype=torch.float64) @ frame + 1)).to(dtype)


@functools.cache
def fitted_on(space: spaces.Space) -> tuple[LocallyAdaptiveNormal, torch.Tensor]:
    points = space.points(24, torch.Generator().manual_seed(3))
    return LocallyAdaptiveNormal(space.metric(), random_state=0, n_samples=2048, tol=1e-4).fit(points), points


@functools.cache
def bent_fit() -> tuple[LocallyAdaptiveNormal, torch.Tensor]:
    """On a metric of data along an arc."""
    generator = torch.Generator().manual_seed(0)
    turn, away = torch.randn(2, 60, generator=generator, dtype=torch.float64)
    points = (1 + 0.1 * away)[:, None] * torch.stack([turn.cos(), turn.sin()], 1)
    metric = lg.LocalPCAMetric(points, bandwidth=0.3, rho=0.02)
    return LocallyAdaptiveNormal(metric, random_state=0, n_samples=256).fit(points), points


def integral(fitted: LocallyAdaptiveNormal, low: list[float], high: list[float], count: int) -> float:
    axes = [torch.linspace(a, b, count, dtype=torch.float64) for a, b in zip(low, high, strict=True)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    density = fitted.score_samples(grid).exp().reshape(count, count)
    assert (
        density[0].sum() + density[-1].sum() + density[:, 0].sum() + density[:, -1].sum()
        < 1e-2 * density.sum()
    )
    return float(density.sum()) * math.prod((b - a) / (count - 1) for a, b in zip(low, high, strict=True))


@pytest.mark.parametrize(("dim", "scale"), [(1, 1e3), (2, 1.0), (5, 1e-2)])
def test_flat_metric_gives_the_plain_normal(dim, scale, dtype):
    """Exactly, whatever the draws: the control variate takes all their noise."""
    points = normal_points(60, dim, dtype, scale)
    fitted = LocallyAdaptiveNormal(
        EuclideanMetric(dim), random_state=0, tol=1e-6, reg_covar=1e-9 * scale**2
    ).fit(points)
    mean, covariance = points.double().mean(0), points.double().T.cov(correction=0).reshape(dim, dim)
    spread = covariance.diagonal().sqrt().max()
    assert (fitted.mean_ - mean).abs().max() < 3e-3 * spread
    torch.testing.assert_close(
        fitted.covariance_.double(), covariance, rtol=2e-3, atol=1e-3 * float(spread) ** 2
    )
    expected = torch.distributions.MultivariateNormal(mean, covariance).log_prob(points.double())
    torch.testing.assert_close(fitted.score_samples(points).double(), expected, rtol=0, atol=3e-2)
    assert fitted.lower_bound_ == pytest.approx(float(expected.mean()), abs=1e-4)
    assert fitted.log_constant_error_ < 1e-6
    assert fitted.mean_.dtype == fitted.covariance_.dtype == dtype


@pytest.mark.parametrize("space", CURVED, ids=str)
def test_constant_is_the_integral_over_the_tangent_space_with_its_jacobian(space):
    """By the closed form of the volume: sin r / r up to the cut locus, or sinh r / r."""
    fitted, _ = fitted_on(space)
    exact = log_constant(space, fitted.mean_, fitted.covariance_)
    assert fitted.log_constant_ == pytest.approx(exact, abs=2 * fitted.log_constant_error_)
    assert fitted.log_constant_error_ < 0.05


@pytest.mark.parametrize("space", CURVED, ids=str)
def test_fit_maximizes_the_likelihood(space):
    """The closed-form likelihood has its maximum hardly higher, by another optimizer."""
    fitted, points = fitted_on(space)
    found = log_likelihood(space, fitted.mean_, fitted.covariance_, points)

    def loss(x: np.ndarray) -> float:
        root = torch.tensor([[math.exp(x[2]), 0.0], [x[3], math.exp(x[4])]], dtype=torch.float64)
        return -log_likelihood(space, torch.from_numpy(x[:2].copy()), root @ root.T, points)

    root = torch.linalg.cholesky(fitted.covariance_)
    start = [*fitted.mean_.tolist(), float(root[0, 0].log()), float(root[1, 0]), float(root[1, 1].log())]
    best = minimize(loss, np.array(start), method="Nelder-Mead", options={"maxiter": 300, "xatol": 1e-4})
    assert -best.fun - found < 3 * 5 / (
        2 * fitted.effective_samples_
    )  # five parameters have the noise of the draws
    assert fitted.lower_bound_ == pytest.approx(
        found + float(lg.log_volume_element(space.metric(), points).mean()),
        abs=2 * fitted.log_constant_error_,
    )


def test_draws_have_the_moments_of_the_density():
    space = spaces.SPHERE
    fitted, _ = fitted_on(space)
    draws = fitted.sample(600)
    assert draws.shape == (600, 2)
    logs = space.formulas.log(fitted.mean_.expand_as(draws), draws)
    rule = quadrature(space, fitted.mean_, fitted.covariance_)
    density = rule.weights * (-squares(rule.tangents, fitted.covariance_) / 2).exp()
    density = density / density.sum()
    for power in (lambda v: v, lambda v: (v[:, :, None] * v[:, None]).flatten(1)):
        there, here = power(rule.tangents), power(logs)
        mean = density @ there
        error = ((density @ (there - mean).square()) / len(draws)).sqrt()
        assert ((here.mean(0) - mean).abs() < 4 * error).all()


def test_draws_of_a_bent_density_fall_into_its_cells():
    """Chi-square over quadrants about the mean and inside or outside, against quadrature of the density."""
    fitted, _ = bent_fit()
    cell = lambda z: (z[:, 0] > 0.5).long() + 2 * (z[:, 1] > 0).long() + 4 * (z.norm(dim=1) > 1).long()  # noqa: E731
    axes = [torch.linspace(a, b, 40, dtype=torch.float64) for a, b in ((-2.0, 2.5), (-2.5, 2.5))]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    density = fitted.score_samples(grid).exp()
    shares = torch.zeros(8, dtype=torch.float64).index_add(0, cell(grid), density / density.sum())
    counts = torch.bincount(cell(fitted.sample(200)), minlength=8)
    expected = 200 * shares
    assert (
        (counts - expected).square() / expected
    ).sum() < 26  # 0.1% of chi-square with 8 degrees, and the grid


def test_density_integrates_to_one_on_the_metric_of_bent_data():
    fitted, _ = bent_fit()
    total = integral(fitted, [-2.0, -2.5], [2.5, 2.5], 40)
    assert total == pytest.approx(1, abs=3 * fitted.log_constant_error_ + 0.01)


def test_density_integrates_to_one_on_a_decoder():
    metric = lg.pullback_metric(network(2, 5, seed=2, gain=1.0))
    points = 0.3 * normal_points(24, 2) - 0.3
    fitted = LocallyAdaptiveNormal(metric, random_state=0, n_samples=256).fit(points)
    total = integral(fitted, [-3.0, -3.0], [3.0, 3.0], 32)
    assert total == pytest.approx(1, abs=3 * fitted.log_constant_error_ + 0.01)


def test_measures_differ_by_the_volume():
    fitted, points = fitted_on(spaces.SPHERE)
    difference = fitted.score_samples(points) - fitted.score_samples(points, measure="riemannian")
    volume = lg.log_volume_element(spaces.SPHERE.metric(), points)
    torch.testing.assert_close(difference, volume, rtol=0, atol=1e-10)


def test_density_where_the_metric_is_infinite_is_zero():
    """The half-line, with the metric of its logarithm: 0 is infinitely far, in an infinite volume."""
    half_line = lg.pullback_metric(torch.log)
    points = normal_points(8, 1, scale=0.5).exp()
    fitted = LocallyAdaptiveNormal(half_line, random_state=0, n_samples=32, tol=1.0).fit(points)
    end = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    for measure in ("lebesgue", "riemannian"):
        with pytest.warns(ConvergenceWarning, match="1 points are at no finite distance"):
            scores = fitted.score_samples(end, measure=measure)
        assert scores[0].isfinite()
        assert scores[1] == -torch.inf


def test_density_does_not_depend_on_affine_coordinates():
    """Mean and covariance, carried back, are as good as those found there; densities differ by the determinant."""
    space = spaces.SPHERE
    fitted, points = fitted_on(space)
    frame = torch.tensor([[2.0, 0.5], [-0.3, 0.1]], dtype=torch.float64)
    back = torch.linalg.inv(frame)
    metric = lg.pullback_metric(lambda w: spaces.stereographic(w @ back.T.to(w)))
    other = LocallyAdaptiveNormal(metric, random_state=1, n_samples=2048, tol=1e-4).fit(points @ frame.T)
    carried = back @ other.mean_, back @ other.covariance_ @ back.T
    there = log_likelihood(space, *carried, points)
    assert there == pytest.approx(log_likelihood(space, fitted.mean_, fitted.covariance_, points), abs=6e-3)
    exact = log_constant(space, *carried)
    assert other.log_constant_ == pytest.approx(exact, abs=2 * other.log_constant_error_)
    shift = float(torch.linalg.slogdet(frame).logabsdet)
    scores = fitted.score(points) - other.score(points @ frame.T)
    assert scores == pytest.approx(shift, abs=2 * (fitted.log_constant_error_ + other.log_constant_error_))


def test_weights_are_as_repetitions():
    points = normal_points(12, 2)
    times = torch.arange(12) % 3
    weighted = LocallyAdaptiveNormal(EuclideanMetric(2), random_state=0, tol=1e-6).fit(
        points, sample_weight=times
    )
    repeated = LocallyAdaptiveNormal(EuclideanMetric(2), random_state=0, tol=1e-6).fit(
        points.repeat_interleave(times, 0)
    )
    torch.testing.assert_close(weighted.mean_, repeated.mean_, rtol=0, atol=1e-3)
    torch.testing.assert_close(weighted.covariance_, repeated.covariance_, rtol=1e-3, atol=1e-3)


def test_log_likelihood_grows_with_every_step():
    fitted, _ = bent_fit()
    assert (np.diff(fitted.lower_bounds_) >= 0).all()
    assert fitted.lower_bounds_[-1] == pytest.approx(fitted.lower_bound_, abs=4 * fitted.log_constant_error_)


def test_same_random_state_gives_the_same_fit_and_leaves_global_generators_alone():
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    points = spaces.SPHERE.points(12, torch.Generator().manual_seed(0))
    runs = [
        LocallyAdaptiveNormal(spaces.SPHERE.metric(), random_state=7, n_samples=64).fit(points)
        for _ in range(2)
    ]
    assert torch.equal(runs[0].mean_, runs[1].mean_)
    assert torch.equal(runs[0].sample(5), runs[1].sample(5))
    assert torch.equal(state, torch.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()  # noqa: NPY002


def test_numpy_in_numpy_out():
    points = normal_points(20, 2).numpy()
    fitted = LocallyAdaptiveNormal(EuclideanMetric(2), random_state=0).fit(points)
    for value in (fitted.mean_, fitted.covariance_, fitted.score_samples(points), fitted.sample(3)):
        assert isinstance(value, np.ndarray)
    assert fitted.score(points) == pytest.approx(fitted.lower_bound_, abs=1e-6)
    assert isinstance(fitted.score_samples(torch.from_numpy(points)), torch.Tensor)


def test_estimator_can_be_cloned():
    estimator = LocallyAdaptiveNormal(EuclideanMetric(2), n_samples=32, random_state=0)
    assert clone(estimator).get_params()["n_samples"] == 32
    with pytest.raises(NotFittedError):
        estimator.score_samples(normal_points(4, 2))
    with pytest.raises(NotFittedError):
        estimator.sample(3)


def test_points_and_draws_out_of_reach_are_said_and_spoil_nothing():
    def decoder(z: torch.Tensor) -> torch.Tensor:
        return torch.cat([z, torch.where(z[:, :1] > 2, torch.nan, 0 * z[:, :1])], 1)

    points = normal_points(40, 2)
    points = torch.cat([points[points[:, 0] < 1.5], torch.tensor([[9.0, 0.0]], dtype=torch.float64)])
    with pytest.warns(ConvergenceWarning) as warned:
        fitted = LocallyAdaptiveNormal(lg.pullback_metric(decoder), random_state=0).fit(points)
    words = " ".join(str(w.message) for w in warned)
    assert "draws for the normalizing constant" in words
    assert "1 points are at no finite distance" in words
    assert fitted.mean_.isfinite().all()
    with pytest.warns(ConvergenceWarning):
        scores = fitted.score_samples(points)
    assert scores[-1] == -torch.inf
    assert scores[:-1].isfinite().all()


def test_inference_mode_changes_nothing():
    points = spaces.SPHERE.points(12, torch.Generator().manual_seed(0))
    metric, options = spaces.SPHERE.metric(), {"n_samples": 64, "random_state": 0}
    with torch.inference_mode():
        fitted = LocallyAdaptiveNormal(metric, **options).fit(points.clone())
        scores = fitted.score_samples(points)
    assert torch.equal(scores, LocallyAdaptiveNormal(metric, **options).fit(points).score_samples(points))


def test_too_few_steps_are_said():
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        fitted = LocallyAdaptiveNormal(spaces.SPHERE.metric(), max_iter=1, tol=0.0, random_state=0).fit(
            spaces.SPHERE.points(20, torch.Generator().manual_seed(0))
        )
    assert not fitted.converged_


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": 0}, "n_samples must be a positive integer, got 0"),
        ({"max_iter": 1.5}, "max_iter must be a positive integer"),
        ({"tol": -1.0}, "tol must be a non-negative number"),
        ({"reg_covar": -1.0}, "reg_covar must be a non-negative number"),
    ],
    ids=str,
)
def test_options_out_of_range(unchecked, options, message):
    with pytest.raises(ValueError, match=message):
        LocallyAdaptiveNormal(EuclideanMetric(2), **options).fit(normal_points(10, 2))


def test_data_that_cannot_be_fitted(unchecked):
    estimator, points = LocallyAdaptiveNormal(EuclideanMetric(2), random_state=0), normal_points(10, 2)
    for wrong, message in (
        (points[0], r"shape \(N, d\)"),
        (points * torch.nan, "finite"),
        (points[:2], "at least 3"),
    ):
        with pytest.raises(ValueError, match=message):
            estimator.fit(wrong)
    singular = lg.pullback_metric(lambda z: torch.cat([z[:, :1], z[:, :1].square()], 1))
    with pytest.raises(ValueError, match="the metric is regular at 0"):
        LocallyAdaptiveNormal(singular, random_state=0).fit(points)
    with pytest.raises(TypeError, match="metric must be a latentgeo Metric"):
        LocallyAdaptiveNormal(lambda z: z).fit(points)
    with pytest.raises(ValueError, match="expecting 2 features"):
        estimator.fit(points).score_samples(torch.zeros(4, 3))
    with pytest.raises(ValueError, match="measure must be"):
        estimator.score_samples(points, measure="counting")
    with pytest.raises(ValueError, match="n_samples must be a positive integer"):
        estimator.sample(0)
