"""Distributions of torch in and out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from gaussians import exact
from latentgeo import fisher_rao_distance, fisher_rao_geodesic
from latentgeo.gaussians import fisher_rao_lower_bound
from latentgeo.models import ChainNormal
from laws import assert_near
from strategies import batch_shapes, dtypes, seeds


def normal(*shape: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Normal:
    mean, log_std = torch.randn(2, *shape, dtype=torch.float64, generator=generator)
    return Normal(mean.to(dtype), log_std.exp().to(dtype))


def test_documented_formula_of_the_paper() -> None:
    """√2 arcosh(1 + ((Δμ)²/2 + (Δσ)²) / (2 σ₁σ₂)), where that has digits."""
    rows = exact.PAIRS[:50]
    got = fisher_rao_distance(Normal(*rows[:, :2].T), Normal(*rows[:, 2:].T))
    expected = exact.to_float([exact.distance(*row) for row in rows])
    assert_near(got, expected, 1e-14, scale=expected)


@given(batch_shapes(), st.integers(1, 4), dtypes(), seeds())
def test_shapes_are_those_of_batches(batch, d, dtype, generator) -> None:
    p, q = (normal(*batch, d, generator=generator, dtype=dtype) for _ in range(2))
    single = fisher_rao_distance(p, q)
    assert single.shape == (*batch, d)
    assert single.dtype == dtype
    joint = fisher_rao_distance(Independent(p, 1), Independent(q, 1))
    assert joint.shape == batch
    assert_near(joint, single.square().sum(-1).sqrt(), 1e-5 if dtype == torch.float32 else 1e-14)
    everything = fisher_rao_distance(Independent(p, len(batch) + 1), Independent(q, len(batch) + 1))
    assert everything.shape == ()
    assert_near(everything, joint.square().sum().sqrt(), 1e-5 if dtype == torch.float32 else 1e-14)
    nested = fisher_rao_distance(Independent(Independent(p, 1), 0), Independent(Independent(q, 1), 0))
    assert torch.equal(nested, joint)


def test_batches_broadcast(generator) -> None:
    p, q = normal(5, 1, 3, generator=generator), normal(4, 3, generator=generator)
    assert fisher_rao_distance(p, q).shape == (5, 4, 3)
    table = fisher_rao_distance(Independent(p, 1), Independent(q, 1))
    assert table.shape == (5, 4)
    one = fisher_rao_distance(
        Independent(Normal(p.loc[2, 0], p.scale[2, 0]), 1), Independent(Normal(q.loc[3], q.scale[3]), 1)
    )
    assert table[2, 3] == one
    assert fisher_rao_geodesic(p, q, torch.linspace(0, 1, 7)).batch_shape == (7, 5, 4, 3)


def test_distance_is_twice_the_divergence_nearby(generator) -> None:
    """KL(p, q) = d²/2 + O(d³): the Fisher information is the Hessian of the divergence."""
    p = normal(100, 3, generator=generator)
    shift = 1e-4 * torch.randn(2, 100, 3, dtype=torch.float64, generator=generator) * p.scale
    q = Normal(p.loc + shift[0], p.scale + shift[1])
    p, q = Independent(p, 1), Independent(q, 1)
    assert_near(fisher_rao_distance(p, q).square() / 2, kl_divergence(p, q), 2e-3)


@pytest.mark.parametrize("dims", [0, 1, 2])
def test_geodesics_are_distributions_of_the_same_kind(dims, generator) -> None:
    p, q = (Independent(normal(2, 3, generator=generator), dims) for _ in range(2))
    t = torch.tensor([0.0, 0.25, 1.0])
    path = fisher_rao_geodesic(p, q, t)
    assert isinstance(path, Independent)
    assert path.batch_shape == (3, *p.batch_shape)
    assert path.event_shape == p.event_shape
    assert path.mean.dtype == torch.float64
    for i, end in ((0, p), (2, q)):
        assert_near(path.mean[i], end.mean, 1e-15)
        assert_near(path.stddev[i], end.stddev, 1e-15)
    d = fisher_rao_distance(p, q)
    assert_near(fisher_rao_distance(p, path), t.double().reshape(-1, *(1,) * d.ndim) * d, 1e-13)
    path.log_prob(path.sample())


@pytest.mark.parametrize("t", [0.25, torch.tensor(0.25)])
def test_one_time_adds_no_dimension(t, generator) -> None:
    p, q = normal(2, 3, generator=generator), normal(2, 3, generator=generator)
    middle = fisher_rao_geodesic(p, q, t)
    assert type(middle) is Normal
    assert middle.batch_shape == (2, 3)
    assert torch.equal(middle.mean, fisher_rao_geodesic(p, q, torch.tensor([0.25])).mean[0])


def test_the_deviation_rises_between_distant_means() -> None:
    """The half circle over equal deviations: σ(½) = √(σ² + Δμ²/8)."""
    p, q = Normal(torch.tensor(-3.0).double(), 0.1), Normal(torch.tensor(3.0).double(), 0.1)
    path = fisher_rao_geodesic(p, q, torch.linspace(0, 1, 101))
    assert path.stddev[50].item() == pytest.approx((0.1**2 + 36 / 8) ** 0.5, rel=1e-14)
    radius = ((path.mean**2) / 2 + path.stddev**2).sqrt()
    assert_near(radius, torch.full_like(radius, (9 / 2 + 0.01) ** 0.5), 1e-14)


def test_derivatives_by_parameters_and_time(generator) -> None:
    values = [x.requires_grad_() for n in range(2) for x in normal_parameters(generator)]
    t = torch.tensor([0.2, 0.7], dtype=torch.float64, requires_grad=True)

    def distances(*values):
        return fisher_rao_distance(*pair(values))

    def geodesics(t, *values):
        path = fisher_rao_geodesic(*pair(values), t)
        return path.mean, path.stddev

    assert torch.autograd.gradcheck(distances, values)
    assert torch.autograd.gradgradcheck(distances, values)
    assert torch.autograd.gradcheck(geodesics, (t, *values))
    assert torch.autograd.gradgradcheck(geodesics, (t, *values))


def normal_parameters(generator):
    p = normal(2, 2, generator=generator)
    return p.loc, p.scale


def pair(values):
    a, b, c, d = values
    return Independent(Normal(a, b), 1), Independent(Normal(c, d), 1)


def test_under_transforms_of_torch_func(generator) -> None:
    a, b, c, d = (x for _ in range(2) for x in normal_parameters(generator))

    def each(a, b, c, d):
        p, q = (
            Independent(Normal(*x, validate_args=False), 1, validate_args=False) for x in ((a, b), (c, d))
        )
        return fisher_rao_distance(p, q), fisher_rao_geodesic(p, q, 0.3).mean

    got, middle = torch.func.vmap(each)(a, b, c, d)
    p, q = pair((a, b, c, d))
    assert_near(got, fisher_rao_distance(p, q), 1e-15)
    assert_near(middle, fisher_rao_geodesic(p, q, 0.3).mean, 1e-15)


def test_full_covariances_go_to_the_full_manifold(generator) -> None:
    """Diagonal covariances are not a product among all normals, unless means differ in one coordinate only."""
    mean = torch.tensor([2.0, 0.0], dtype=torch.float64)
    std = torch.tensor([[1.0, 0.5], [0.3, 2.0]], dtype=torch.float64)
    p, q = (MultivariateNormal(m, torch.diag(s**2)) for m, s in ((0 * mean, std[0]), (mean, std[1])))
    product = fisher_rao_distance(
        Independent(Normal(0 * mean, std[0]), 1), Independent(Normal(mean, std[1]), 1)
    )
    assert_near(fisher_rao_distance(p, q), product, 1e-8)
    r = MultivariateNormal(mean + 2, torch.diag(std[1] ** 2))
    outer = fisher_rao_distance(
        Independent(Normal(0 * mean, std[0]), 1), Independent(Normal(mean + 2, std[1]), 1)
    )
    assert fisher_rao_distance(p, r) < 0.999 * outer
    path = fisher_rao_geodesic(p, r, torch.tensor([0.0, 0.5]))
    assert isinstance(path, MultivariateNormal)
    assert path.batch_shape == (2,)
    assert fisher_rao_geodesic(p, r, 0.5).batch_shape == ()


@pytest.mark.parametrize("e", [1e-2, 3e-4, 1e-4])
@pytest.mark.parametrize("looked_at", [False, True])
def test_narrow_factors_keep_their_digits_in_single_precision(e, looked_at) -> None:
    """An affine map takes both to N(0, I) and N((0, 2), I), whatever e is; LLᵀ in float32 does not know e."""
    factor = torch.tensor([[1.0, 0.0], [1.0, e]])
    p, q = (MultivariateNormal(torch.tensor([0.0, m]), scale_tril=factor) for m in (0.0, 2 * e))
    if looked_at:
        _ = p.covariance_matrix, q.covariance_matrix
    exact_distance = fisher_rao_distance(Normal(0.0, 1.0), Normal(2.0, 1.0))
    got = fisher_rao_distance(p, q)
    assert got.dtype == fisher_rao_lower_bound(p, q).dtype == torch.float32
    assert_near(got, exact_distance, 1e-6)
    middle = fisher_rao_geodesic(p, q, 0.5)
    assert_near(fisher_rao_distance(p, middle), exact_distance / 2, 1e-6)


def test_strongly_coupled_chains_have_a_distance_in_single_precision() -> None:
    def distance(dtype: torch.dtype) -> torch.Tensor:
        std, coupling = torch.ones(1, 4, dtype=dtype), torch.full((1, 3), 20.0, dtype=dtype)
        p, q = (ChainNormal(mean * std, std, coupling).to_multivariate_normal() for mean in (0, 1))
        return fisher_rao_distance(p, q)

    assert_near(distance(torch.float32).double(), distance(torch.float64), 1e-4)


def test_geodesics_between_far_normals_are_normals_in_single_precision(generator) -> None:
    d = 5
    mean = torch.randn(3, d, generator=generator)
    mean = 1e4 * mean / mean.norm(dim=1, keepdim=True)
    p = MultivariateNormal(torch.zeros(3, d), torch.eye(d))
    q = MultivariateNormal(mean.requires_grad_(), torch.eye(d))
    path = fisher_rao_geodesic(p, q, torch.linspace(0, 1, 5))
    assert path.mean.dtype == path.scale_tril.dtype == torch.float32
    length = fisher_rao_distance(p, q)
    t = torch.linspace(0, 1, 5)[:, None]
    assert_near(fisher_rao_distance(p, path), t * length, 1e-3, scale=length)
    assert torch.autograd.grad(path.scale_tril.sum(), mean)[0].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("t", [-2.0, -0.5, 1.5, 2.0])
def test_geodesics_continue_beyond_their_ends(t, dtype) -> None:
    """Between equal means log σ is linear in t, over twelve orders of magnitude and more."""
    low, high = 1e-6, 1e6
    p, q = (Normal(torch.zeros((), dtype=dtype), torch.tensor(s, dtype=dtype)) for s in (low, high))
    expected = low ** (1 - t) * high**t
    assert fisher_rao_geodesic(p, q, t).stddev.item() == pytest.approx(expected, rel=1e-5)


def test_geodesics_of_full_normals_under_vmap(generator) -> None:
    mean = 3 * torch.randn(4, 2, dtype=torch.float64, generator=generator)
    unit = torch.eye(2, dtype=torch.float64)

    def middle(mean):
        p, q = (MultivariateNormal(m, unit, validate_args=False) for m in (0 * mean, mean))
        return fisher_rao_geodesic(p, q, 0.3).mean

    assert_near(torch.func.vmap(middle)(mean), middle(mean), 1e-13)
    jacobian = torch.func.vmap(torch.func.jacrev(middle))(mean)
    assert_near(jacobian[1], torch.autograd.functional.jacobian(middle, mean[1]), 1e-12)
