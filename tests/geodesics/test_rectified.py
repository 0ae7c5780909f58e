"""Kinks of decoders are found from values alone, and nothing smooth is taken for one."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import latentgeo as lg
from latentgeo.geodesics.rectified import PiecewiseLinearWarning, warn_if_piecewise_linear
from latentgeo.models import RBFPrecision
from spaces import SPACES, Space

KINKED = (nn.ReLU, nn.LeakyReLU, nn.ReLU6, nn.Hardtanh)
SMOOTH = (nn.Softplus, nn.Tanh, nn.ELU, nn.Sigmoid, nn.SiLU, nn.GELU)
OUTPUTS = (nn.Identity, nn.Sigmoid)


def decoder(activation: type[nn.Module], output: type[nn.Module], seed: int, width: int = 64) -> nn.Module:
    """Two hidden layers with PyTorch's own initialization, three times as steep so that layers saturate."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(3, width),
        activation(),
        nn.Linear(width, width),
        activation(),
        nn.Linear(width, 50),
        output(),
    )
    with torch.no_grad():
        for p in net.parameters():
            p.uniform_(-1, 1, generator=generator).mul_(3 * p.shape[-1] ** -0.5)
    return net.eval()


def fires(metric: lg.Metric, start: Tensor, end: Tensor) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PiecewiseLinearWarning)
        warn_if_piecewise_linear(metric, start, end)
    return any(w.category is PiecewiseLinearWarning for w in caught)


def pairs(seed: int, dtype: torch.dtype, d: int = 3, reach: float = 1.0) -> tuple[Tensor, Tensor]:
    start, step = torch.randn(2, 6, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return start.to(dtype), (start + reach * step).to(dtype)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("activation", KINKED)
def test_rectified_decoders_are_found(
    activation: type[nn.Module], output: type[nn.Module], dtype: torch.dtype
) -> None:
    for seed, width in ((0, 16), (1, 64), (2, 400)):
        metric = lg.pullback_metric(decoder(activation, output, seed, width).to(dtype))
        assert fires(metric, *pairs(seed, dtype))


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("activation", SMOOTH)
def test_smooth_decoders_are_not(
    activation: type[nn.Module], output: type[nn.Module], dtype: torch.dtype
) -> None:
    """ELU included, whose second derivative jumps; near points included, whose differences are rounding."""
    for seed, reach in enumerate((3.0, 1.0, 1e-2, 1e-5)):
        metric = lg.pullback_metric(decoder(activation, output, seed).to(dtype))
        assert not fires(metric, *pairs(seed, dtype, reach=reach))


@pytest.mark.parametrize("bandwidth", [0.1, 0.5, 2.0])
def test_stiff_variance_is_smooth(bandwidth: float, dtype: torch.dtype) -> None:
    """The deviation rises from its floor to its ceiling within a hundredth of the way between two points."""
    latents = 2 * torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    precision = RBFPrecision.from_latents(latents, 48, 20, a=bandwidth, zeta=1e-4, random_state=0).to(dtype)
    with torch.no_grad():
        precision.log_weight.add_(3.0)
    metric = lg.expected_pullback_metric(lambda z: (z.repeat(1, 10), precision.std(z)))
    for first in range(0, 60, 12):
        assert not fires(
            metric, latents[first : first + 6].to(dtype), latents[first + 6 : first + 12].to(dtype)
        )


def test_known_spaces_are_smooth(dtype: torch.dtype) -> None:
    def found(space: Space) -> bool:
        start, end = (space.points(4, torch.Generator().manual_seed(seed)).to(dtype) for seed in (0, 1))
        return fires(space.metric(dtype), start, end)

    assert [str(space) for space in SPACES if found(space)] == []


def test_half_precision_inside_is_noise_and_not_kinks() -> None:
    net = decoder(nn.Tanh, nn.Identity, 0).bfloat16()
    assert not fires(lg.pullback_metric(lambda z: net(z.bfloat16())), *pairs(0, torch.float32))


def test_a_single_kink_is_enough_and_only_on_the_way() -> None:
    metric = lg.pullback_metric(lambda z: torch.cat([z, 0.1 * (z - 0.437).abs()], 1))
    before, after = torch.tensor([[0.1]]), torch.tensor([[0.9]])
    assert fires(metric, before, after)
    assert not fires(metric, before, torch.tensor([[0.4]]))
    assert not fires(metric, after, torch.tensor([[0.5]]))


@pytest.mark.parametrize("function", ["expmap", "geodesic"])
def test_solvers_of_the_geodesic_equation_warn_the_caller(function: str) -> None:
    metric = lg.pullback_metric(decoder(nn.ReLU, nn.Identity, 0).double())
    start, end = (x[:1] for x in pairs(0, torch.float64))
    assert fires(metric, start, end)
    calls: dict[str, Callable[[], object]] = {
        "expmap": lambda: lg.expmap(metric, start, end - start, rtol=1e-2),
        "geodesic": lambda: lg.geodesic(metric, start, end, solver=lg.Shooting(max_steps=1)),
    }
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with mode(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore", lg.ConvergenceWarning)
            warnings.simplefilter("always", PiecewiseLinearWarning)
            calls[function]()
        assert [w.category for w in caught] == [PiecewiseLinearWarning]
        assert "MinimizeEnergy or GraphSearch" in str(caught[0].message)
        assert "smooth activation" in str(caught[0].message)


def test_transforms_around_the_exponential_work() -> None:
    """Inside vmap and jvp no value can be looked at: no warning, and no error."""
    metric = lg.pullback_metric(decoder(nn.ReLU, nn.Identity, 0).double())
    z, w = pairs(0, torch.float64)
    assert fires(metric, z, w)
    pushed = torch.func.jvp(lambda v: v + 0 * warn_if_piecewise_linear(metric, z, z + v), (w - z,), (w,))[1]
    assert torch.equal(pushed, w)


def test_metrics_without_immersion_and_points_without_extent_pass() -> None:
    start, end = pairs(0, torch.float64)
    relu = decoder(nn.ReLU, nn.Identity, 0).double()
    by_matrix = lg.metric_from_function(lg.pullback_metric(relu))
    assert warn_if_piecewise_linear(by_matrix, start, end) == 0
    metric = lg.pullback_metric(relu)
    assert warn_if_piecewise_linear(metric, start, start) == 0
    assert warn_if_piecewise_linear(metric, start[:0], end[:0]) == 0
    assert warn_if_piecewise_linear(metric, start, torch.full_like(end, torch.nan)) == 0


def test_it_costs_a_few_hundred_points_and_says_how_many() -> None:
    seen = [0]
    net = decoder(nn.Softplus, nn.Identity, 0).double()

    def counting(z: Tensor) -> Tensor:
        seen[0] += len(z)
        return net(z)

    metric = lg.pullback_metric(counting)
    start, end = (x.repeat(50, 1) for x in pairs(0, torch.float64))
    metric(start[:1])  # the choice of how to differentiate is made
    seen[0] = 0
    assert warn_if_piecewise_linear(metric, start, end) == seen[0]
    assert 0 < seen[0] < 400
