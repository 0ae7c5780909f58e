"""Wrong calls: the error names the argument, what was expected and what came."""

from __future__ import annotations

import geoopt
import numpy as np
import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Independent,
    Laplace,
    LogNormal,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
)

import latentgeo as lg
from latentgeo import DiagonalNormal, LatentManifold, fisher_rao_distance, fisher_rao_geodesic

pytestmark = pytest.mark.usefixtures("unchecked")

MANIFOLD = DiagonalNormal()
POINT = torch.ones(4, 2, 3)


def normal(*shape: int, std: float = 1.0, **options) -> Normal:
    return Normal(torch.zeros(shape, **options), torch.full(shape, std, **options), validate_args=False)


def joint(*shape: int, dims: int = 1) -> Independent:
    return Independent(normal(*shape), dims)


def full(k: int) -> MultivariateNormal:
    return MultivariateNormal(torch.zeros(k), torch.eye(k))


SUPPORTED = r"Normal, Independent\(Normal\) and MultivariateNormal"


@pytest.mark.parametrize(
    ("p", "q", "error", "message"),
    [
        (np.zeros(3), normal(3), TypeError, rf"p must be a torch distribution \({SUPPORTED}\), got numpy\.ndarray"),
        (normal(3), torch.zeros(3), TypeError, r"q must be a torch distribution.*float32 tensor of shape \(3,\)"),
        (None, normal(3), TypeError, "p must be a torch distribution.*NoneType"),
        (
            Bernoulli(torch.tensor(0.5)), normal(), NotImplementedError,
            rf"p must be one of {SUPPORTED}, got Bernoulli",
        ),
        (normal(), Laplace(0.0, 1.0), NotImplementedError, rf"q must be one of {SUPPORTED}, got Laplace"),
        (LogNormal(0.0, 1.0), normal(), NotImplementedError, f"{SUPPORTED}, got LogNormal"),
        (
            LowRankMultivariateNormal(torch.zeros(2), torch.ones(2, 1), torch.ones(2)), full(2),
            NotImplementedError, f"{SUPPORTED}, got LowRankMultivariateNormal",
        ),
        (
            Independent(Bernoulli(torch.rand(3)), 1), joint(3), NotImplementedError,
            rf"{SUPPORTED}, got Independent\(Bernoulli\)",
        ),
        (
            Independent(MultivariateNormal(torch.zeros(3, 2), torch.eye(2)), 1), joint(3), NotImplementedError,
            r"got Independent\(MultivariateNormal\)",
        ),
        (normal(3), joint(3), TypeError, r"q must be of the family of p, got Normal and Independent\(Normal\)"),
        (joint(3), full(3), TypeError, r"q must be of the family of p, got Independent\(Normal\) and MultivariateN"),
        (full(3), normal(3), TypeError, "q must be of the family of p, got MultivariateNormal and Normal"),
        (joint(3), joint(4), ValueError, r"q must have the event shape of p, \(3,\), got \(4,\)"),
        (joint(2, 3), joint(2, 3, dims=2), ValueError, r"q must have the event shape of p, \(3,\), got \(2, 3\)"),
        (full(3), full(2), ValueError, r"q must have the event shape of p, \(3,\), got \(2,\)"),
        (normal(3), normal(4), ValueError, r"q must broadcast against p of batch shape \(3,\), got \(4,\)"),
        (joint(2, 3), joint(5, 3), ValueError, r"q must broadcast against p of batch shape \(2,\), got \(5,\)"),
        (normal(3), normal(3, dtype=torch.float64), ValueError, "q must have the dtype.*float32.*float64"),
        (normal(3, dtype=torch.half), normal(3, dtype=torch.half), TypeError, "mean of p must be in float32 or fl"),
        (normal(3), normal(3, dtype=torch.bfloat16), TypeError, "mean of q must be in float32 or.*bfloat16"),
        (normal(3, std=0.0), normal(3), ValueError, "the std of p must be positive and finite, got 0"),
        (normal(3), normal(3, std=-2.0), ValueError, "the std of q must be positive and finite, got -2"),
        (normal(3), normal(3, std=torch.nan), ValueError, "the std of q must be positive and finite, got nan"),
        (normal(3, std=torch.inf), normal(3), ValueError, "the std of p must be positive and finite, got inf"),
        (
            Normal(torch.tensor(torch.nan), 1.0, validate_args=False), normal(), ValueError,
            "the mean of p must be finite, got nan",
        ),
    ],
)  # fmt: skip
def test_pairs_that_have_no_distance(p, q, error, message) -> None:
    for call in (fisher_rao_distance, lambda p, q: fisher_rao_geodesic(p, q, 0.5)):
        with pytest.raises(error, match=message):
            call(p, q)


@pytest.mark.parametrize(
    ("t", "error", "message"),
    [
        ("half", TypeError, r"t must be a number or a tensor of times \(M,\), got str"),
        (None, TypeError, "t must be a number or a tensor.*NoneType"),
        (np.linspace(0, 1, 3), TypeError, "t must be a number or a tensor.*numpy"),
        (torch.zeros(2, 2), ValueError, r"t must be one time or times \(M,\), got a float32 tensor.*\(2, 2\)"),
    ],
)  # fmt: skip
def test_times_that_are_none(t, error, message) -> None:
    with pytest.raises(error, match=message):
        fisher_rao_geodesic(normal(3), normal(3), t)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (
            torch.ones(3, 4),
            ValueError,
            r"{} must have shape \(\.\.\., 2, d\), means above deviations.*\(3, 4\)",
        ),
        (torch.ones(2), ValueError, r"{} must have shape \(\.\.\., 2, d\).*\(2,\)"),
        (torch.ones(2, 0), ValueError, r"{} must have shape \(\.\.\., 2, d\).*\(2, 0\)"),
        (torch.ones(2, 3).half(), TypeError, "{} must be in float32 or float64, got a float16"),
        (torch.ones(2, 3).long(), TypeError, "{} must be in float32 or float64, got a int64"),
        (np.ones((2, 3)), TypeError, "{} must be a torch tensor, got numpy"),
    ],
)
def test_tensors_that_are_no_points_or_tangents(wrong, error, message) -> None:
    for name, call in {
        "x": lambda w: MANIFOLD.dist(w, POINT),
        "y": lambda w: MANIFOLD.logmap(POINT, w),
        "u": lambda w: MANIFOLD.expmap(POINT, w),
        "v": lambda w: MANIFOLD.transp(POINT, POINT, w),
    }.items():
        with pytest.raises(error, match=message.format(name)):
            call(wrong)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: MANIFOLD.dist(POINT, torch.ones(4, 2, 5)),
            r"y must have the 3 coordinates of x.*\(4, 2, 5\)",
        ),
        (lambda: MANIFOLD.expmap(POINT, torch.ones(5, 2, 3)), r"u must broadcast.*\(4,\), got \(5,\)"),
        (lambda: MANIFOLD.dist(POINT, POINT.double()), "y must have the dtype and device of x"),
        (lambda: MANIFOLD.dist(0 * POINT, POINT), "the std of x must be positive and finite, got 0"),
        (lambda: MANIFOLD.logmap(POINT, -POINT), "the std of y must be positive and finite, got -1"),
        (lambda: MANIFOLD.expmap(POINT, -1e3 * POINT), "the std of the normal that u leads to.*got 0"),
        (lambda: MANIFOLD.egrad2rgrad(POINT * torch.nan, POINT), "the std of x must.*got nan"),
        (lambda: MANIFOLD.geodesic(torch.zeros(3, 3), POINT, POINT), r"t must be one time.*\(3, 3\)"),
        (lambda: MANIFOLD.random(3, 4), r"shape \(\.\.\., 2, d\)"),
        (lambda: geoopt.ManifoldParameter(torch.ones(3), manifold=MANIFOLD), r"shape \(\.\.\., 2, d\)"),
        (lambda: DiagonalNormal.to_distribution(-POINT), "the std of x must be positive"),
        (lambda: DiagonalNormal.from_distribution(normal()), "p must have a last dimension of coordinates"),
    ],
)
def test_arguments_that_do_not_fit(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("p", [Laplace(torch.zeros(3), 1.0), joint(2, 3, dims=2), full(3), None])
def test_distributions_that_are_no_points(p) -> None:
    with pytest.raises(TypeError, match=r"p must be a Normal or an Independent\(Normal, 1\), got"):
        DiagonalNormal.from_distribution(p)


def test_points_off_the_manifold_are_explained() -> None:
    ok, reason = MANIFOLD.check_point_on_manifold(-POINT, explain=True)
    assert not ok
    assert reason == "deviations must be positive, the smallest is -1"
    with pytest.raises(ValueError, match="deviations must be positive"):
        MANIFOLD.assert_check_point_on_manifold(-POINT)
    ok, reason = MANIFOLD.check_vector_on_tangent(POINT, torch.ones(4, 2, 5), explain=True)
    assert not ok
    assert "3 coordinates" in reason


LATENT = LatentManifold(lg.EuclideanMetric(3), 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LatentManifold(lambda z: z, 3), TypeError, "metric must be a latentgeo Metric"),
        (lambda: LatentManifold(lg.EuclideanMetric(3), 0), ValueError, "dim must be a positive integer, got 0"),
        (lambda: LatentManifold(lg.EuclideanMetric(3), 2.0), ValueError, "dim must be a positive integer, got 2.0"),
        (lambda: LATENT.dist(torch.zeros(2), torch.zeros(2)), ValueError, r"x must have 3 coordinates.*\(2,\)"),
        (lambda: LATENT.expmap(torch.zeros(3), torch.zeros(2)), ValueError, "v must have the 3 coordinates"),
        (lambda: LATENT.egrad2rgrad(torch.zeros(4, 3), torch.zeros(5, 3)), ValueError, "u must broadcast"),
        (lambda: LATENT.retr(torch.zeros(3), torch.zeros(3).double()), ValueError, "u must have the dtype"),
        (lambda: LATENT.inner(np.zeros(3), torch.zeros(3)), TypeError, "x must be a torch tensor"),
        (lambda: LATENT.random(3, 4), ValueError, r"shape \(\.\.\., 3\), got \(3, 4\)"),
        (lambda: LATENT.logmap(torch.zeros(3).half(), torch.ones(3).half()), TypeError, "x must be in float32 or fl"),
        (lambda: LATENT.geodesic("half", *torch.zeros(2, 3)), TypeError, "t must be a number or a tensor.*str"),
        (lambda: MANIFOLD.geodesic("half", POINT, POINT), TypeError, "t must be a number or a tensor.*str"),
        (lambda: MANIFOLD.projx(torch.ones(3)), ValueError, r"x must have shape \(\.\.\., 2, d\).*\(3,\)"),
        (lambda: LATENT.geodesic(torch.zeros(2, 2), *torch.zeros(2, 3)), ValueError, "t must be one time or times"),
        (
            lambda: geoopt.ManifoldParameter(torch.zeros(4), manifold=LATENT), ValueError,
            r"shape \(\.\.\., 3\), got \(4,\)",
        ),
    ],
)  # fmt: skip
def test_latent_manifolds(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
