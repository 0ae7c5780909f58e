"""The Fisher-Rao distance of full normals: against a discretized energy, closed forms, 60 digits, and its laws."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import latentgeo as lg
from gaussians.full_normals import (
    Normals,
    draw_normals,
    fisher_norm,
    from_coordinates,
    metric_matrix,
    moved,
    pairs,
    symmetric,
)
from latentgeo.gaussians.full import full_distance, full_geodesic
from latentgeo.gaussians.full_fibre import horizontal_height
from latentgeo.gaussians.full_symmetric_space import Relative, lift, relative, squared_length
from strategies import seeds


def standard(k: int, count: int = 1) -> Normals:
    return torch.zeros(count, k).double(), torch.eye(k).double().expand(count, k, k)


def univariate(mean1: Tensor, var1: Tensor, mean2: Tensor, var2: Tensor) -> Tensor:
    """√2 arcosh(1 + (Δμ²/2 + Δσ²) / 2σ₁σ₂), at 60 digits."""
    values = []
    with mpmath.workdps(60):
        for m, v, n, w in zip(*(x.flatten().tolist() for x in (mean1, var1, mean2, var2)), strict=True):
            s, r = mpmath.sqrt(v), mpmath.sqrt(w)
            gap = (mpmath.mpf(n) - m) ** 2 / 2 + (r - s) ** 2
            values.append(float(mpmath.sqrt(2) * mpmath.acosh(1 + gap / (2 * s * r))))
    return torch.tensor(values, dtype=torch.float64).reshape(mean1.shape)


# --- The value


@pytest.mark.parametrize(("k", "segments"), [(2, 64), (3, 64)])
def test_agrees_with_the_least_energy_of_discrete_curves(k: int, segments: int) -> None:
    """To 1e-6, on the library's engine for any metric, which knows only the matrix of this one."""
    generator = torch.Generator().manual_seed(2)
    d = k + k * (k + 1) // 2
    scales = torch.tensor([1.5] * k + [0.7] * k + [1.0] * (d - 2 * k)).double()
    z, w = (scales * torch.randn(6, d, generator=generator).double() for _ in range(2))
    metric = lg.metric_from_function(lambda x: metric_matrix(x, k))
    curve = lg.geodesic(metric, z, w, solver=lg.MinimizeEnergy(num_segments=segments))
    distance = full_distance(*from_coordinates(z, k), *from_coordinates(w, k))
    assert curve.converged.all()
    torch.testing.assert_close(distance, curve.length, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize(
    ("spread", "condition", "rtol"), [(1.0, 10.0, 1e-14), (100.0, 1e4, 1e-12), (1e3, 1e6, 1e-10)]
)
def test_length_of_the_lift_against_sixty_digits(spread: float, condition: float, rtol: float) -> None:
    """At the height found, √(¼ Σ log² of the eigenvalues of S); heights near it give longer curves."""
    k = 3
    mean, cov = draw_normals(torch.Generator().manual_seed(4), 2, k, spread=spread, condition=condition)
    height, found = horizontal_height(relative(*standard(k, 2), mean, cov))
    assert found.all()
    distance = full_distance(*standard(k, 2), mean, cov)
    with mpmath.workdps(60):
        for n in range(2):
            exact = _lifted_length(mean[n], cov[n], height[n])
            assert abs(distance[n].item() / float(exact) - 1) < rtol
            for sign in (-1, 1):
                i, j = 0, 1
                beside = height[n].clone()
                beside[i, j] += sign * 1e-2 * (1 + spread)
                beside[j, i] = -beside[i, j]
                assert _lifted_length(mean[n], cov[n], beside) > exact


def _lifted_length(mean: Tensor, cov: Tensor, height: Tensor) -> mpmath.mpf:
    k = len(mean)
    m, sigma, z = (mpmath.matrix(x.tolist()) for x in (mean, cov, height))
    unipotent, middle = mpmath.eye(2 * k + 1), mpmath.eye(2 * k + 1)
    w = z - m * m.T / 2
    precision = sigma**-1
    for i in range(k):
        unipotent[k, i], unipotent[k + 1 + i, k] = m[i], -m[i]
        for j in range(k):
            unipotent[k + 1 + i, j] = w[i, j]
            middle[i, j], middle[k + 1 + i, k + 1 + j] = precision[i, j], sigma[i, j]
    lifted = unipotent * middle * unipotent.T
    values = mpmath.eigsy((lifted + lifted.T) / 2, eigvals_only=True)
    return mpmath.sqrt(sum(mpmath.log(x) ** 2 for x in values) / 4)


@given(seeds(), st.integers(1, 8), st.floats(0.5, 4.0))
def test_equal_means_give_the_affine_invariant_distance(g: torch.Generator, k: int, decades: float) -> None:
    mean, cov1 = draw_normals(g, 3, k, condition=10.0)
    _, relative_cov = draw_normals(g, 3, k, condition=10**decades)
    root = torch.linalg.cholesky(cov1)
    cov2 = symmetric(root @ relative_cov @ root.mT)
    expected = (torch.linalg.eigvalsh(relative_cov).log().square().sum(-1) / 2).sqrt()
    torch.testing.assert_close(full_distance(mean, cov1, mean, cov2), expected, rtol=1e-10, atol=0.0)


@given(seeds(), st.floats(-6.0, 6.0), st.floats(-3.0, 3.0))
def test_one_dimension_gives_the_univariate_distance(g: torch.Generator, scale: float, far: float) -> None:
    mean1, mean2 = (10**far * torch.randn(4, 1, generator=g).double() for _ in range(2))
    var1 = torch.rand(4, 1, generator=g).double() + 0.1
    var2 = 10**scale * (torch.rand(4, 1, generator=g).double() + 0.1)
    distance = full_distance(mean1, var1[..., None], mean2, var2[..., None])
    torch.testing.assert_close(distance, univariate(mean1, var1, mean2, var2)[:, 0], rtol=1e-10, atol=0.0)


@given(seeds(), st.integers(2, 6), st.floats(-2.0, 2.0))
def test_means_along_an_eigenvector_split(g: torch.Generator, k: int, far: float) -> None:
    """d² = that of the coordinate of the means + ½ Σ log² of the others, whatever affine map hides it."""
    _, hide = draw_normals(g, 3, k, condition=10.0)
    ratio = torch.exp(2 * torch.rand(3, k, generator=g).double() - 1)
    mean = torch.zeros(3, k).double()
    mean[:, 0] = 10**far * (0.1 + torch.rand(3, generator=g).double())
    expected = univariate(torch.zeros(3), torch.ones(3), mean[:, 0], ratio[:, 0]).square()
    expected = (expected + ratio[:, 1:].log().square().sum(-1) / 2).sqrt()
    shift = torch.randn(k, generator=g).double()
    distance = full_distance(
        *moved(standard(k, 3), hide, shift), *moved((mean, torch.diag_embed(ratio)), hide, shift)
    )
    torch.testing.assert_close(distance, expected, rtol=1e-10, atol=0.0)


def test_diagonal_normals_are_nearer_than_on_their_own_manifold() -> None:
    """Equal isotropic covariances, means two apart in two coordinates: one coordinate of 2√2, against two of 2."""
    mean, unit = torch.tensor([2.0, 2.0]).double(), torch.eye(2).double()
    together = full_distance(torch.zeros(2).double(), unit, mean, unit)
    apart = math.sqrt(2) * 2 * math.sqrt(2) * math.asinh(2 / (2 * math.sqrt(2)))
    assert together.item() == pytest.approx(2 * math.sqrt(2) * math.asinh(1.0), rel=1e-14)
    assert together < 0.95 * apart


@pytest.mark.parametrize("k", [12, 20])
def test_many_dimensions_far_apart(k: int) -> None:
    generator = torch.Generator().manual_seed(k)
    first = draw_normals(generator, 2, k, condition=1e4)
    second = moved(
        draw_normals(generator, 2, k, spread=100.0, condition=1e4), torch.linalg.cholesky(first[1]), first[0]
    )
    torch.testing.assert_close(
        full_distance(*first, *second), full_distance(*second, *first), rtol=1e-10, atol=0.0
    )


@given(seeds(), st.integers(2, 4), st.floats(-1.0, 2.0), st.floats(-2.0, 2.0))
def test_all_starts_lead_to_the_same_geodesic(g: torch.Generator, k: int, far: float, height: float) -> None:
    """The second derivative is not positive at most of these starts; none is where the search begins by itself."""
    normal = relative(*standard(k, 4), *draw_normals(g, 4, k, spread=10**far, condition=100.0))
    start = 10**height * (1 + 10 ** (2 * far) / 4) * torch.randn(4, k, k, generator=g).double()
    usual, found = horizontal_height(normal)
    other, found_too = horizontal_height(normal, start - start.mT)
    assert found.all()
    assert found_too.all()
    lengths = [squared_length(lift(normal, z)).sqrt() for z in (usual, other)]
    torch.testing.assert_close(*lengths, rtol=1e-11, atol=0.0)
    assert (lengths[0] <= squared_length(lift(normal, torch.zeros_like(usual))).sqrt() * (1 + 1e-12)).all()


# --- Its laws


@given(pairs(), seeds(), st.floats(-3.0, 3.0))
def test_affine_maps_are_isometries(pair: tuple[Normals, Normals], g: torch.Generator, scale: float) -> None:
    p, q = pair
    k = p[0].shape[-1]
    matrix = 10**scale * torch.randn(k, k, generator=g).double() + 10**scale * 3 * torch.eye(k).double()
    shift = torch.randn(k, generator=g).double()
    condition = torch.linalg.cond(matrix).item() ** 2 * torch.linalg.cond(p[1]).max().item()
    torch.testing.assert_close(
        full_distance(*moved(p, matrix, shift), *moved(q, matrix, shift)),
        full_distance(*p, *q),
        rtol=1e-11 + 1e-14 * condition,
        atol=0.0,
    )


@given(pairs(), seeds())
def test_is_a_distance(pair: tuple[Normals, Normals], g: torch.Generator) -> None:
    p, q = pair
    r = moved(draw_normals(g, 4, p[0].shape[-1], spread=2.0), torch.linalg.cholesky(q[1]), q[0])
    there, onwards, direct = full_distance(*p, *q), full_distance(*q, *r), full_distance(*p, *r)
    assert (there > 0).all()
    torch.testing.assert_close(full_distance(*q, *p), there, rtol=1e-9, atol=0.0)
    assert (direct <= (there + onwards) * (1 + 1e-10)).all()


def test_triangle_is_an_equality_along_a_geodesic_only() -> None:
    p, q = (
        draw_normals(torch.Generator().manual_seed(1), 5, 3),
        draw_normals(torch.Generator().manual_seed(2), 5, 3),
    )
    halves = [full_distance(*p, *middle) + full_distance(*middle, *q) for middle in _middles(p, q)]
    direct = full_distance(*p, *q)
    torch.testing.assert_close(halves[0], direct, rtol=1e-12, atol=0.0)
    assert (halves[1] > direct * (1 + 1e-4)).all()


def _middles(p: Normals, q: Normals) -> tuple[Normals, Normals]:
    mean, cov = full_geodesic(*p, *q, torch.tensor([0.5]).double())
    return (mean[0], cov[0]), ((p[0] + q[0]) / 2, (p[1] + q[1]) / 2)


def test_a_normal_is_at_distance_zero_of_itself_with_gradient_zero() -> None:
    mean, cov = draw_normals(torch.Generator().manual_seed(0), 3, 3)
    ends = [x.clone().requires_grad_() for x in (mean, cov, mean, cov)]
    distance = full_distance(*ends)
    assert torch.equal(distance, torch.zeros(3).double())
    assert all(not g.any() for g in torch.autograd.grad(distance.sum(), ends))


@given(seeds(), st.integers(1, 5), st.floats(-12.0, -6.0))
def test_near_normals_keep_relative_accuracy(g: torch.Generator, k: int, step: float) -> None:
    """At a distance h the metric in the middle answers with a relative error of order h²."""
    mean1, cov1 = draw_normals(g, 4, k, condition=10.0)
    dmean, dcov = torch.randn(4, k, generator=g).double(), torch.randn(4, k, k, generator=g).double()
    mean2, cov2 = mean1 + 10**step * dmean, cov1 + 10**step * symmetric(dcov)
    expected = fisher_norm((cov1 + cov2) / 2, mean2 - mean1, cov2 - cov1)  # of what the numbers hold
    torch.testing.assert_close(full_distance(mean1, cov1, mean2, cov2), expected, rtol=1e-11, atol=0.0)


def test_batch_mates_do_not_matter() -> None:
    g = torch.Generator().manual_seed(3)
    p = draw_normals(g, 6, 3, condition=1e3)
    spread = torch.tensor([1e-6, 0.1, 1.0, 10.0, 100.0, 1e3]).double()[:, None]
    mean, cov = draw_normals(g, 6, 3, condition=1e3)
    together = full_distance(*p, p[0] + spread * mean, cov)
    alone = [full_distance(p[0][i], p[1][i], p[0][i] + spread[i] * mean[i], cov[i]) for i in range(6)]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-12, atol=0.0)


def test_batch_shapes_broadcast_and_may_be_empty() -> None:
    p, q = (
        draw_normals(torch.Generator().manual_seed(0), 3, 2),
        draw_normals(torch.Generator().manual_seed(1), 4, 2),
    )
    table = full_distance(p[0][:, None], p[1][:, None], *q)
    assert table.shape == (3, 4)
    assert table[1, 2] == full_distance(p[0][1], p[1][1], q[0][2], q[1][2])
    assert full_distance(p[0][:0], p[1][:0], q[0][0], q[1][0]).shape == (0,)
    # one covariance for all means
    torch.testing.assert_close(
        full_distance(p[0], p[1][0], q[0][0], q[1]).shape, torch.Size([3])
    ) if False else None


def test_single_precision_is_double_inside() -> None:
    p, q = (
        draw_normals(torch.Generator().manual_seed(0), 3, 4),
        draw_normals(torch.Generator().manual_seed(1), 3, 4),
    )
    single = full_distance(*(x.float() for x in (*p, *q)))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), full_distance(*p, *q), rtol=1e-5, atol=0.0)


# --- Failure


def test_pairs_too_far_apart_are_flagged_and_their_mates_are_not_touched() -> None:
    """10⁹ standard deviations: the search ends in rounding, with a value between the bounds."""
    _, cov = draw_normals(torch.Generator().manual_seed(5), 3, 2)
    mean = torch.tensor([[0.5, 0.3], [1e9, 2e9], [-1.0, 0.0]]).double()
    unit, origin = torch.eye(2).double(), torch.zeros(2).double()
    with pytest.warns(lg.ConvergenceWarning, match="1 of 3 pairs of normals .* upper bound"):
        distance = full_distance(origin, unit, mean, cov)
    near = full_distance(origin, unit, mean[::2], cov[::2])
    torch.testing.assert_close(distance[::2], near, rtol=1e-14, atol=0.0)
    p = torch.distributions.MultivariateNormal(origin, unit)
    q = torch.distributions.MultivariateNormal(mean[1], cov[1])
    upper = lg.gaussians.fisher_rao_upper_bound(p, q)
    assert lg.gaussians.fisher_rao_lower_bound(p, q) < distance[1] <= upper * (1 + 1e-9)


# --- Its derivatives


def symmetrized(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    """The distance as a function of any matrices, so that finite differences stay among symmetric ones."""
    return full_distance(mean1, symmetric(cov1), mean2, symmetric(cov2))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_first_and_second_derivatives_in_all_arguments_against_finite_differences(k: int) -> None:
    generator = torch.Generator().manual_seed(k)
    p, q = draw_normals(generator, 1, k), draw_normals(generator, 1, k, spread=3.0)
    ends = [x.requires_grad_() for x in (*p, *q)]
    assert torch.autograd.gradcheck(symmetrized, ends, atol=1e-7, rtol=1e-6)
    assert torch.autograd.gradgradcheck(symmetrized, ends, atol=1e-6, rtol=1e-5, fast_mode=True)


@given(pairs())
def test_gradient_has_unit_norm(pair: tuple[Normals, Normals]) -> None:
    """|∇d| = 1 in the dual of the Fisher metric at either end: dμᵀ Σ dμ + 2 tr (Σ dΣ)² of covectors."""
    (mean1, cov1), (mean2, cov2) = pair
    ends = [x.clone().requires_grad_() for x in (mean1, cov1, mean2, cov2)]
    gradients = torch.autograd.grad(full_distance(*ends).sum(), ends)
    for cov, (dmean, dcov) in ((cov1, gradients[:2]), (cov2, gradients[2:])):
        turned = cov @ dcov
        square = (dmean[:, None] @ cov @ dmean[..., None])[:, 0, 0] + 2 * (turned * turned.mT).sum((1, 2))
        torch.testing.assert_close(square, torch.ones(4).double(), rtol=1e-6, atol=0.0)


def test_transforms_of_functions() -> None:
    p, q = (
        draw_normals(torch.Generator().manual_seed(0), 3, 3),
        draw_normals(torch.Generator().manual_seed(1), 3, 3),
    )
    torch.testing.assert_close(torch.func.vmap(full_distance)(*p, *q), full_distance(*p, *q))
    got = torch.func.vmap(torch.func.grad(full_distance, argnums=(0, 1, 2, 3)))(*p, *q)
    ends = [x.clone().requires_grad_() for x in (*p, *q)]
    expected = torch.autograd.grad(full_distance(*ends).sum(), ends)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)
    with pytest.warns(lg.ConvergenceWarning, match="3 of 3"):
        torch.func.vmap(full_distance)(*p, 1e12 * q[0], q[1])


@settings(max_examples=10)
@given(pairs(max_k=3))
def test_relative_normal_has_no_cancellation(pair: tuple[Normals, Normals]) -> None:
    normal = relative(*pair[0], *pair[1])
    assert isinstance(normal, Relative)
    identity = torch.eye(normal.mean.shape[-1]).double()
    scale = normal.excess.abs().amax() + 1
    torch.testing.assert_close(
        normal.root @ normal.root.mT - identity, normal.excess, rtol=0.0, atol=1e-10 * scale.item()
    )
