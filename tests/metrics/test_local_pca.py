"""The metric of local variances: its formula point by point, its limits, and how much it holds at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import latentgeo as lg
import laws
import reference
from latentgeo.metrics import local_pca
from strategies import dtypes, seeds


def slow(data: Tensor, bandwidth: float, rho: float, z: Tensor) -> Tensor:
    """The definition, one point, one datum and one coordinate at a time, in NumPy."""
    matrices = []
    for point in z.double().numpy():
        variance = np.full(len(point), rho)
        for x in data.double().numpy():
            weight = math.exp(-((x - point) @ (x - point)) / (2 * bandwidth**2))
            for k in range(len(point)):
                variance[k] += weight * (x[k] - point[k]) ** 2
        matrices.append(np.diag(1 / variance))
    return torch.from_numpy(np.stack(matrices))


@pytest.fixture
def data(generator: torch.Generator) -> Tensor:
    return torch.randn(40, 3, generator=generator, dtype=torch.float64)


@pytest.fixture
def points(generator: torch.Generator) -> Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


@given(seeds(), dtypes(), st.floats(-6, 6), st.integers(1, 4), st.integers(1, 12))
def test_is_the_inverse_of_the_local_variance(
    generator: torch.Generator, dtype: torch.dtype, power: float, dim: int, count: int
) -> None:
    """At every scale of the data."""
    unit = 10.0**power
    x, z = (
        unit * torch.randn(n, dim, generator=generator, dtype=torch.float64).to(dtype) for n in (count, 3)
    )
    bandwidth, rho = 0.8 * unit, 0.05 * unit**2
    metric = lg.LocalPCAMetric(x, bandwidth=bandwidth, rho=rho)
    assert metric(z).dtype == dtype
    expected = slow(x, bandwidth, rho, z)
    laws.assert_near(metric(z), expected, laws.rounding(dtype))


def test_laws_of_a_metric(data: Tensor, points: Tensor, dtype: torch.dtype) -> None:
    metric, z = lg.LocalPCAMetric(data, bandwidth=0.7, rho=0.1), points.to(dtype)
    u, v, w = torch.randn(3, *z.shape, generator=torch.Generator().manual_seed(1)).to(z)
    laws.matrix_is_symmetric_positive_semidefinite(metric, z)
    laws.inner_is_the_matrix_product(metric, z, u, v)
    laws.inner_is_bilinear(metric, z, u, v, w)
    laws.norm_is_homogeneous(metric, z, u)
    laws.leading_dimensions_are_batch(metric, z)
    laws.empty_batch_gives_empty_answers(metric, z)
    laws.matrix_transforms_with_the_coordinates(metric, z)
    laws.assert_near(metric.inner(z, u[:1], v), metric.inner(z, u[:1].expand_as(v), v), laws.rounding(dtype))


def test_matrix_is_differentiable(data: Tensor, points: Tensor) -> None:
    metric = lg.LocalPCAMetric(data, bandwidth=0.7, rho=0.1)
    laws.matrix_is_differentiable(metric, lambda z: slow(data, 0.7, 0.1, z), points[:2])
    z = points[:1].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda p: metric(p).diagonal(dim1=1, dim2=2), z)


def test_far_from_the_data_it_is_flat(data: Tensor, dtype: torch.dtype) -> None:
    """All weights underflow: 1/ρ, with derivatives zero, not NaN."""
    z = torch.tensor([[1e3, 0.0, -1e3], [1e9, 1e9, 1e9]], dtype=dtype, requires_grad=True)
    g = lg.LocalPCAMetric(data, bandwidth=0.1, rho=0.5)(z)
    assert torch.equal(g, 2 * torch.eye(3, dtype=dtype).expand(2, 3, 3))
    (gradient,) = torch.autograd.grad(g.sum(), z)
    assert torch.equal(gradient, torch.zeros_like(z))


def test_shift_of_everything_changes_nothing(data: Tensor, points: Tensor) -> None:
    """Differences, not moments: data far from the origin keep their digits."""
    here = lg.LocalPCAMetric(data, bandwidth=0.7, rho=0.1)(points)
    there = lg.LocalPCAMetric(data + 1e6, bandwidth=0.7, rho=0.1)(points + 1e6)
    laws.assert_near(there, here, 1e-8)


def test_shortest_paths_follow_the_data() -> None:
    """Data on a half circle: the geodesic between its ends bends with it, and is shorter than the chord."""
    angle = torch.linspace(0, math.pi, 201)
    arc = torch.stack([angle.cos(), angle.sin()], 1)
    metric = lg.LocalPCAMetric(arc, bandwidth=0.15, rho=1e-2)
    result = lg.geodesic(metric, arc[:1], arc[-1:], initial=arc[None, ::10])
    assert bool(result.converged)
    chord = torch.lerp(arc[:1], arc[-1:], torch.linspace(0, 1, 200)[:, None])
    matrix = lambda z: slow(arc, 0.15, 1e-2, z)  # noqa: E731
    assert float(result.length) < 0.6 * float(reference.polygon_length(matrix, chord[None], 1))
    assert (
        result.points.norm(dim=2) - 1
    ).abs().max() < 2 * 0.15  # that is, bandwidths, while the chord leaves by 1


def test_transforms_of_torch(data: Tensor, points: Tensor) -> None:
    metric = lg.LocalPCAMetric(data, bandwidth=0.7, rho=0.1)
    tolerance = laws.rounding(points.dtype)
    laws.assert_near(torch.func.vmap(metric)(points), metric(points), tolerance)
    leaf = points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(metric(leaf).sum(), leaf)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        laws.assert_near(transform(lambda z: metric(z).sum())(points), slope, tolerance)
    v = points.flip(0)
    christoffel = reference.christoffel(lambda z: slow(data, 0.7, 0.1, z), points)
    expected = -torch.einsum("nkij,ni,nj->nk", christoffel, v, v)
    laws.assert_near(lg.geodesic_acceleration(metric, points, v), expected, 1e-6)


# --- Memory


class Held(TorchDispatchMode):
    """The size of the largest tensor that any operator returns."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.numel = max(
            [self.numel, *(leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, Tensor))]
        )
        return out


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_pca, "_DATA", 16)
    monkeypatch.setattr(local_pca, "_BLOCK", 100)


def test_pieces_change_nothing(small_pieces: None, data: Tensor, points: Tensor) -> None:
    """Values, first and second derivatives of sums in pieces, recomputed for their derivatives."""
    metric = lg.LocalPCAMetric(data, bandwidth=0.7, rho=0.1)
    laws.assert_near(metric(points), slow(data, 0.7, 0.1, points), laws.rounding(points.dtype))
    laws.matrix_is_differentiable(metric, lambda z: slow(data, 0.7, 0.1, z), points[:2])
    z = points[:1].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda p: metric(p).diagonal(dim1=1, dim2=2), z)
    laws.assert_near(torch.func.vmap(metric)(points), metric(points), laws.rounding(points.dtype))


def test_differences_of_points_and_data_are_not_held_at_once(generator: torch.Generator) -> None:
    """A thousand points and 60,000 data would make 120 million differences."""
    data, z = (torch.randn(n, 2, generator=generator) for n in (60_000, 1000))
    metric = lg.LocalPCAMetric(data, bandwidth=0.3, rho=0.1)
    with Held() as watch:
        metric(z)
    assert watch.numel <= local_pca._BLOCK


def test_gradients_keep_no_differences_either(small_pieces: None, data: Tensor, points: Tensor) -> None:
    """What autograd saves from forward to backward are pieces of points and of data, not of their differences."""
    saved: list[int] = []
    metric = lg.LocalPCAMetric(data.repeat(20, 1), bandwidth=0.7, rho=0.1)
    z = points.clone().requires_grad_()

    def pack(x: Tensor) -> Tensor:
        saved.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        metric(z).sum()
    assert max(saved) <= local_pca._DATA * z.shape[1]


# --- Bad input

GOOD = torch.zeros(5, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"data": np.zeros((5, 2))}, TypeError, r"data must be a torch tensor.*got numpy\.ndarray"),
        ({"data": GOOD.long()}, TypeError, r"data must be of a floating-point dtype.*int64"),
        ({"data": GOOD[0]}, ValueError, r"data must have shape \(N, d\) with N >= 1, got.*\(2,\)"),
        ({"data": GOOD[:0]}, ValueError, r"data must have shape \(N, d\) with N >= 1, got.*\(0, 2\)"),
        ({"data": GOOD[None]}, ValueError, r"data must have shape \(N, d\).*\(1, 5, 2\)"),
        ({"data": GOOD / 0}, ValueError, "data must be finite, got NaN or infinity"),
        ({"bandwidth": 0.0}, ValueError, r"bandwidth must be positive and finite, got 0\.0"),
        ({"bandwidth": -1}, ValueError, "bandwidth must be positive and finite, got -1"),
        ({"bandwidth": math.nan}, ValueError, "bandwidth must be positive and finite, got nan"),
        ({"bandwidth": "1"}, TypeError, "bandwidth must be a number, got str"),
        ({"bandwidth": True}, TypeError, "bandwidth must be a number, got bool"),
        ({"rho": 0}, ValueError, "rho must be positive and finite, got 0"),
        ({"rho": math.inf}, ValueError, "rho must be positive and finite, got inf"),
        ({"rho": None}, TypeError, "rho must be a number, got NoneType"),
    ],
    ids=lambda x: f"{next(iter(x))} {next(iter(x.values()))!r:.12}" if isinstance(x, dict) else "",
)
def test_arguments_that_are_none(unchecked: None, arguments: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        lg.LocalPCAMetric(**({"data": GOOD, "bandwidth": 0.5, "rho": 0.1} | arguments))


def test_points_of_another_dimension(unchecked: None) -> None:
    with pytest.raises(ValueError, match=r"z must have the 2 coordinates of the data, got .*\(4, 3\)"):
        lg.LocalPCAMetric(GOOD, bandwidth=0.5, rho=0.1)(torch.zeros(4, 3))
