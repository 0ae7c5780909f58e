"""Metrics pulled back from a space with a metric of its own: energies from images alone, against those from G."""

from __future__ import annotations

import geoopt
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Beta, MultivariateNormal, Normal

import latentgeo as lg
from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.simpson_energy import AmbientEnergy, QuadratureEnergy
from laws import assert_near


def network(d: int, outputs: int, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(d, 32), nn.Tanh(), nn.Linear(32, outputs)).to(dtype).eval()


def metrics(dtype: torch.dtype = torch.float64) -> dict[str, lg.Metric]:
    """On the plane; none of them has an immersion."""
    net, pair = network(2, 6, dtype), network(2, 5, dtype)

    def normal(z: Tensor) -> Normal:
        mean, std = net(z).chunk(2, dim=1)
        return Normal(mean, 0.5 + nn.functional.softplus(std), validate_args=False)

    def full(z: Tensor) -> MultivariateNormal:
        out = pair(z)
        factor = torch.diag_embed(1 + out[:, 2:4].square()) + torch.diag_embed(out[:, 4:], -1)
        return MultivariateNormal(out[:, :2], scale_tril=factor, validate_args=False)

    def half(z: Tensor) -> Tensor:
        x, y = net(z).split((5, 1), dim=1)
        return torch.cat([x, 0.5 + nn.functional.softplus(y)], 1)

    return {
        "Fisher of a Normal": lg.fisher_pullback_metric(normal),
        "Fisher of a Beta": lg.fisher_pullback_metric(
            lambda z: Beta(1 + net(z)[:, :3].square(), 1 + net(z)[:, 3:].exp(), validate_args=False)
        ),
        "Fisher of a MultivariateNormal": lg.fisher_pullback_metric(full),
        "Poincaré ball": lg.pullback_metric(
            lambda z: 0.8 * torch.tanh(net(z)[:, :4]) / 2, ambient=geoopt.PoincareBall()
        ),
        "half-space": lg.pullback_metric(
            half, ambient=lg.metric_from_function(lambda x: torch.eye(6).to(x) / x[:, 5, None, None] ** 2)
        ),
    }


def ends(n: int = 4, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    a, b = torch.randn(2, n, 2, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return a, b


NAMES = list(metrics())


@pytest.mark.parametrize("name", NAMES)
def test_energies_of_images_and_of_latents_have_one_limit(name: str) -> None:
    """Both converge with the fourth order, to the same number."""
    metric, (a, b) = metrics()[name], ends()
    differences = []
    for segments in (16, 32, 64):
        t = torch.linspace(0, 1, segments + 1, dtype=a.dtype)[:, None]
        curve = a[:, None] + t * (b - a)[:, None] + 0.3 * torch.sin(3.14159 * t)
        images = AmbientEnergy(metric.resolved(a), metric.resolved(a).ambient_map, curve[:, 0], curve[:, -1])
        latents = QuadratureEnergy(metric, curve[:, 0], curve[:, -1])
        differences.append(
            ((images.energy(curve) - latents.energy(curve)) / latents.energy(curve)).abs().max()
        )
    assert differences[2] < 1e-4
    assert differences[1] / differences[2] > 10  # 16 in the limit


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("segments", [2, 5, 8, 32])
def test_gradient_is_that_of_the_energy_for_any_number_of_segments(name: str, segments: int) -> None:
    metric, (a, b) = metrics()[name], ends(2)
    t = torch.linspace(0, 1, segments + 1, dtype=a.dtype)[:, None]
    inner = (a[:, None] + t * (b - a)[:, None])[:, 1:-1] + 0.1
    objective = curve_energy(metric, a, b)
    assert isinstance(objective, AmbientEnergy)
    value, gradient = objective.value_and_gradient(inner, torch.arange(2))
    whole = torch.cat([a[:, None], inner, b[:, None]], 1).requires_grad_()
    energy = objective.energy(whole)
    (expected,) = torch.autograd.grad(energy.sum(), whole)
    assert_near(value, energy, 1e-13, "value")
    assert_near(gradient, expected[:, 1:-1], 1e-12, "gradient")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_geodesics_are_those_of_the_matrix(name: str, dtype: torch.dtype) -> None:
    metric, (a, b) = metrics(dtype)[name], ends(6, dtype)
    solver = lg.MinimizeEnergy(num_segments=64)
    fast = lg.geodesic(metric, a, b, solver=solver)
    slow = lg.geodesic(lg.metric_from_function(metric), a, b, solver=solver)
    assert bool(fast.converged.all())
    assert_near(fast.length, slow.length, 1e-4, "length")
    assert_near(fast.points, slow.points, 5e-3, "points")


@pytest.mark.parametrize("segments", [4, 32])
def test_model_of_the_hessian_is_that_of_the_matrix(segments: int) -> None:
    """At few segments at every point, at many of a matrix linear between knots."""
    metric, (a, b) = metrics()["Fisher of a Normal"], ends(3)
    t = torch.linspace(0, 1, segments + 1, dtype=a.dtype)[1:-1, None]
    inner = a[:, None] + t * (b - a)[:, None]
    rows = torch.arange(3)
    fast = curve_energy(metric, a, b).hessian_blocks(inner, rows)
    slow = curve_energy(lg.metric_from_function(metric), a, b).hessian_blocks(inner, rows)
    for got, expected in zip(fast, slow, strict=True):
        assert_near(got, expected, 1e-12 if segments == 4 else 0.05, "blocks")


def test_no_jacobian_where_energies_are_measured() -> None:
    """An image for every point of a sweep, and nothing else: far fewer points than the general path decodes."""
    calls = []

    def decoder(z: Tensor) -> Normal:
        calls.append(len(z))
        return Normal(z, 1 + z.square(), validate_args=False)

    metric, (a, b) = lg.fisher_pullback_metric(decoder), ends(3)
    objective = curve_energy(metric, a, b)
    calls.clear()
    objective.value_and_gradient(torch.zeros(3, 15, 2, dtype=a.dtype), torch.arange(3))
    assert calls == [45]


def test_chunks_bound_what_is_decoded_at_once() -> None:
    largest = 0

    def decoder(z: Tensor) -> Normal:
        nonlocal largest
        largest = max(largest, len(z))
        return Normal(z, 1 + z.square(), validate_args=False)

    result = lg.geodesic(lg.fisher_pullback_metric(decoder, chunk_size=40), *ends(8))
    assert bool(result.converged.all())
    assert largest <= 40


def test_nan_region_flags_the_curves_through_it_only(dtype: torch.dtype) -> None:
    """The metric of a Normal has no immersion: its NaN must not spread through the energy of images."""
    net = network(2, 6, dtype)

    def normal(z: Tensor) -> Normal:
        mean, std = net(z).chunk(2, dim=1)
        hole = ((z[:, :1] > 1) & (z[:, :1] < 2)).expand_as(mean)
        return Normal(
            torch.where(hole, torch.nan, mean), 0.5 + nn.functional.softplus(std), validate_args=False
        )

    metric = lg.fisher_pullback_metric(normal)
    start = torch.tensor([[0.1, 0.2], [-0.4, 0.0], [0.3, -0.4]], dtype=dtype)
    end = torch.tensor([[0.5, -0.1], [3.0, 0.0], [-0.3, 0.2]], dtype=dtype)
    with pytest.warns(lg.ConvergenceWarning, match="1 of 3 curves"):
        result = lg.geodesic(metric, start, end)
    assert list(result.status) == [lg.Status.CONVERGED, lg.Status.NON_FINITE, lg.Status.CONVERGED]
    alone = lg.geodesic(metric, start[[0, 2]], end[[0, 2]])
    assert_near(result.length[[0, 2]], alone.length, 1e3 * torch.finfo(dtype).eps)
