"""Wrong calls with full normals: the error names the argument, what was expected and what came."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from latentgeo.gaussians import fisher_rao_lower_bound, fisher_rao_upper_bound
from latentgeo.gaussians.full import full_distance, full_expmap, full_geodesic, full_logmap

pytestmark = pytest.mark.usefixtures("unchecked")

MEAN, COV = torch.zeros(4, 2).double(), torch.eye(2).double().expand(4, 2, 2)
GOOD = {"mean1": MEAN, "cov1": COV, "mean2": MEAN + 1, "cov2": 2 * COV}
TIMES = torch.tensor([0.5]).double()
FUNCTIONS: dict[str, Callable] = {
    "distance": full_distance,
    "logarithm": full_logmap,
    "geodesic": lambda **ends: full_geodesic(**ends, t=TIMES),
}
every = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def with_entry(row: int, column: int, value: float) -> torch.Tensor:
    cov = COV.clone()
    cov[1, row, column] = value
    return cov


@every
@pytest.mark.parametrize(
    ("name", "wrong", "error", "message"),
    [
        ("mean1", np.zeros((4, 2)), TypeError, r"mean1 must be a torch tensor, got numpy\.ndarray"),
        ("cov2", COV.half(), TypeError, r"cov2 must be in float32 or float64, got a float16"),
        ("mean2", MEAN.bfloat16(), TypeError, r"mean2 must be in float32 or float64, got a bfloat16"),
        ("mean1", torch.tensor(0.0).double(), ValueError, r"mean1 must have shape \(\.\.\., k\).*\(\)"),
        ("cov1", torch.eye(3).double(), ValueError, r"cov1 must have shape \(\.\.\., 2, 2\).*\(3, 3\)"),
        ("cov1", torch.ones(4, 2).double(), ValueError, r"cov1 must have shape \(\.\.\., 2, 2\).*\(4, 2\)"),
        ("cov2", COV.float(), ValueError, r"cov2 must have the dtype and device of mean2.*float32"),
        ("cov1", COV[:3], ValueError, r"cov1 must broadcast against mean1 of batch shape \(4,\), got \(3,\)"),
        ("mean2", MEAN * torch.nan, ValueError, r"mean2 must be finite, got nan"),
        ("cov2", with_entry(0, 0, torch.inf), ValueError, r"cov2 must be finite, got inf"),
        ("cov1", with_entry(0, 1, 0.5), ValueError, r"cov1 must be symmetric, but 1 of 4 are not, by 0\.5"),
        ("cov2", with_entry(0, 0, -1.0), ValueError, r"cov2 must be positive definite, but 1 of 4 are not"),
        ("cov1", 0 * COV, ValueError, r"cov1 must be positive definite, but 4 of 4 are not"),
    ],
)
def test_normals_that_are_none(
    function: Callable, name: str, wrong: object, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        function(**GOOD | {name: wrong})


@every
@pytest.mark.parametrize(
    ("mean", "message"),
    [
        (torch.zeros(4, 3).double(), r"mean2 must have the 2 coordinates of mean1, got .*\(4, 3\)"),
        (torch.zeros(4, 2), r"mean2 must have the dtype and device of mean1.*float32"),
        (
            torch.zeros(3, 2).double(),
            r"the second must broadcast against the first normal of batch shape \(4,\)",
        ),
    ],
    ids=["dimension", "dtype", "batch"],
)
def test_normals_that_do_not_match(function: Callable, mean: torch.Tensor, message: str) -> None:
    k = mean.shape[-1]
    with pytest.raises(ValueError, match=message):
        function(**GOOD | {"mean2": mean, "cov2": torch.eye(k, dtype=mean.dtype)})


@pytest.mark.parametrize(
    ("t", "error", "message"),
    [
        (0.5, TypeError, r"t must be a torch tensor, got float"),
        (torch.tensor([1]), TypeError, r"t must be in float32 or float64, got a int64"),
        (torch.tensor(0.5), ValueError, r"t must be a vector of finite times \(M,\), got .*\(\)"),
        (torch.tensor([torch.nan]), ValueError, r"t must be a vector of finite times"),
    ],
)
def test_times_that_are_none(t: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        full_geodesic(**GOOD, t=t)


@pytest.mark.parametrize(
    ("dmean", "dcov", "message"),
    [
        (MEAN[:, :1], COV[:, :1, :1], r"dmean must have the 2 coordinates of mean, got .*\(4, 1\)"),
        (MEAN, with_entry(1, 0, 1.0), r"dcov must be symmetric, but 1 of 4 are not"),
        (MEAN.float(), COV.float(), r"dmean must have the dtype and device of mean"),
        (
            MEAN[:3],
            COV[:3],
            r"its velocity must broadcast against the normal of batch shape \(4,\), got \(3,\)",
        ),
        (MEAN + torch.inf, COV, r"dmean must be finite, got inf"),
    ],
    ids=["dimension", "symmetry", "dtype", "batch", "infinite"],
)
def test_velocities_that_are_none(dmean: torch.Tensor, dcov: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        full_expmap(MEAN, COV, dmean, dcov)


def test_a_velocity_of_the_covariance_need_not_be_positive() -> None:
    _, cov = full_expmap(MEAN, COV, MEAN, -COV)
    torch.testing.assert_close(cov, torch.exp(torch.tensor(-1.0).double()) * COV)


def test_normals_out_of_the_range_of_float64() -> None:
    with pytest.raises(
        ValueError, match="must lie within the range of float64, but 1 of 4 pairs are more than"
    ):
        full_distance(
            MEAN, COV, MEAN + torch.tensor([[0.0], [0.0], [1e200], [0.0]], dtype=torch.float64), COV
        )


@pytest.mark.parametrize("bound", [fisher_rao_lower_bound, fisher_rao_upper_bound])
def test_bounds_of_what_is_no_pair_of_normals(bound: Callable) -> None:
    full, plain = MultivariateNormal(MEAN, COV), Normal(MEAN, 1.0)
    with pytest.raises(TypeError, match="q must be of the family of p"):
        bound(full, Independent(plain, 1))
    with pytest.raises(NotImplementedError, match="must be one of Normal"):
        bound(torch.distributions.Laplace(MEAN, 1.0), full)
    with pytest.raises(ValueError, match="event shape"):
        bound(full, MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double()))
