"""What a metric costs: calls of the decoder, points it decodes, chunks."""

from __future__ import annotations

import functools
from collections.abc import Callable

import geoopt
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import latentgeo as lg
import laws
from latentgeo.metrics.directional import by_forward_mode
from metrics.decoders import KINDS, Kind, seeded
from spaces import stereographic
from strategies import GaussianDecoder, network


class Counting:
    """A decoder that keeps the number of points of each of its calls."""

    def __init__(self, decoder: Callable[[Tensor], object]) -> None:
        self.decoder, self.calls = decoder, list[int]()

    def __call__(self, z: Tensor) -> object:
        self.calls.append(z.shape[0])
        return self.decoder(z)


def wide() -> nn.Module:
    """Five latents, 784 outputs."""
    return network(5, 784, width=8)


class Bits(nn.Module):
    """A decoder into independent bits."""

    def __init__(self, logits: nn.Module) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, z: Tensor) -> Bernoulli:
        return Bernoulli(logits=self.logits(z))


class Gaussian(nn.Module):
    """A decoder into a distribution, whose Fisher metric is no pull-back of a Euclidean one."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, z: Tensor) -> Normal:
        return Normal(*self.decoder(z))


def spent(counting: Counting, evaluate: Callable[[], object]) -> list[int]:
    """The points of each call during one evaluation."""
    counting.calls.clear()
    evaluate()
    return list(counting.calls)


@pytest.fixture
def points(generator: torch.Generator) -> Tensor:
    return torch.randn(10, 5, generator=generator, dtype=torch.float64)


def test_jacobian_takes_latent_many_products_not_output_many(points: Tensor) -> None:
    """D = 5 and D = 784: at most d passes over the batch, on the first call and on later ones."""
    decoder = Counting(wide())
    metric = lg.pullback_metric(decoder)
    first = spent(decoder, lambda: metric(points))
    assert sum(first) <= 5 * len(points) + 20  # what the choice of a mode looks at, two points at a time
    assert len(first) <= 10
    assert sum(spent(decoder, lambda: metric(points))) <= 5 * len(points)


def test_matrix_decodes_every_point_once(points: Tensor) -> None:
    """Forward mode carries all d directions in one pass: the primal is computed once."""
    decoder = Counting(wide())
    metric = lg.pullback_metric(decoder)
    metric(points)
    assert spent(decoder, lambda: metric(points)) == [len(points)]


@pytest.mark.parametrize(
    "hidden",
    [
        (nn.LayerNorm(8), nn.SiLU()),
        (nn.Unflatten(1, (2, 2, 2)), nn.SiLU(), nn.InstanceNorm2d(2), nn.Conv2d(2, 3, 3, padding=1)),
    ],
    ids=["LayerNorm", "InstanceNorm before a convolution"],
)
def test_normalisation_costs_one_pass_too(hidden: tuple[nn.Module, ...], points: Tensor) -> None:
    """Though torch differentiates these layers wrongly when J is differentiated: they are written out."""
    decoder = Counting(seeded(nn.Sequential(nn.Linear(5, 8), *hidden, nn.Flatten(), nn.Softplus())).double())
    metric = lg.pullback_metric(decoder)
    metric(points)
    assert spent(decoder, lambda: metric(points)) == [len(points)]
    assert metric.immersion is not None
    assert metric.immersion._mode is by_forward_mode


def test_norm_takes_one_product_and_inner_two(points: Tensor) -> None:
    decoder = Counting(wide())
    metric = lg.pullback_metric(decoder)
    metric(points)
    u, v = torch.ones_like(points), points.flip(0)
    assert sum(spent(decoder, lambda: metric.norm(points, v))) <= len(points)
    assert sum(spent(decoder, lambda: metric.inner(points, u, v))) <= 2 * len(points)


def test_norm_does_not_form_the_matrix(generator: torch.Generator) -> None:
    """D = 256 latents: nothing of size d² or d D is made for a norm."""
    net = network(256, 40, width=8)
    metric = lg.pullback_metric(net)
    z, v = torch.randn(2, 4, 256, generator=generator, dtype=torch.float64)
    metric.norm(z, v)
    with LargestResult() as watch:
        metric.norm(z, v)
    assert watch.numel <= 2 * z.numel()


class LargestResult(TorchDispatchMode):
    """Keeps the size of the largest tensor that any operator returns."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.numel = max(
            [self.numel, *(leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, Tensor))]
        )
        return out


def test_immersion_decodes_every_point_once(points: Tensor) -> None:
    decoder = Counting(wide())
    immersion = lg.pullback_metric(decoder).immersion
    assert immersion is not None
    assert spent(decoder, lambda: immersion(points)) == [len(points)]


@pytest.mark.parametrize("chunk_size", [1, 3, 10, 11])
def test_chunks_change_nothing(chunk_size: int, points: Tensor) -> None:
    whole, parts = lg.pullback_metric(wide()), lg.pullback_metric(wide(), chunk_size=chunk_size)
    v = points.flip(0)
    tolerance = laws.rounding(points.dtype)
    laws.assert_near(parts(points), whole(points), tolerance)
    laws.assert_near(parts.inner(points, v, v), whole.inner(points, v, v), tolerance)
    assert parts.immersion is not None
    assert whole.immersion is not None
    laws.assert_near(parts.immersion(points), whole.immersion(points), tolerance)


def test_chunks_of_the_other_metrics_change_nothing(points: Tensor) -> None:
    decoder = GaussianDecoder(5, 7)
    whole = lg.expected_pullback_metric(decoder)
    parts = lg.expected_pullback_metric(decoder, chunk_size=3)
    laws.assert_near(parts(points), whole(points), laws.rounding(points.dtype))
    ambient = lg.metric_from_function(lambda x: torch.eye(8).double() * x.square().sum(1)[:, None, None])
    net = network(5, 8)
    whole = lg.pullback_metric(net, ambient=ambient)
    parts = lg.pullback_metric(net, ambient=ambient, chunk_size=3)
    laws.assert_near(parts(points), whole(points), laws.rounding(points.dtype))
    laws.assert_near(parts.norm(points, points), whole.norm(points, points), laws.rounding(points.dtype))


def test_chunk_size_bounds_the_points_of_a_call(points: Tensor) -> None:
    decoder = Counting(wide())
    metric = lg.pullback_metric(decoder, chunk_size=4)
    v = torch.ones_like(points)
    for evaluate in (
        lambda: metric(points),
        lambda: metric(points),
        lambda: metric.inner(points, points, v),
        lambda: metric.immersion(points),
    ):
        calls = spent(decoder, evaluate)
        assert max(calls) <= 4
    assert spent(decoder, lambda: metric(points)) == [4, 4, 2]


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda metric, z: metric(z),
        lambda metric, z: metric.inner(z, z, z.flip(0)),
        lg.log_volume_element,
        lambda metric, z: lg.geodesic_acceleration(metric, z, z),
        lg.christoffel_symbols,
        lg.scalar_curvature,
        lambda metric, z: lg.sectional_curvature(metric, z, torch.ones_like(z), z),
    ],
    ids=["matrix", "inner", "volume", "acceleration", "christoffel", "scalar", "sectional"],
)
@pytest.mark.parametrize(
    ("make", "decoder"),
    [
        (lg.pullback_metric, wide()),
        (lg.expected_pullback_metric, GaussianDecoder(5, 392)),
        (lg.fisher_pullback_metric, Bits(wide())),
        (lg.fisher_pullback_metric, Gaussian(GaussianDecoder(5, 392))),
        (functools.partial(lg.pullback_metric, ambient=geoopt.Euclidean(1)), wide()),
    ],
    ids=["pullback", "expected", "bits", "gaussian", "manifold"],
)
def test_chunk_size_bounds_the_derivatives_that_are_held(
    evaluate: Callable[[lg.Metric, Tensor], Tensor],
    make: Callable[..., lg.Metric],
    decoder: Callable[[Tensor], object],
) -> None:
    """Derivatives of 40 points by fours are no larger than those of four."""
    metric, whole = make(decoder, chunk_size=4), make(decoder)
    z = torch.randn(40, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    laws.assert_near(evaluate(metric, z), evaluate(whole, z), 1e-9)
    largest = []
    for some, points in ((metric, z), (whole, z[:4]), (whole, z)):
        with LargestResult() as watch:
            evaluate(some, points)
        largest.append(watch.numel)
    assert largest[0] <= largest[1] < largest[2]


@pytest.mark.parametrize("kind", [k for k in KINDS if not k.forward], ids=str)
def test_chunk_size_bounds_the_points_of_a_call_without_forward_mode_too(kind: Kind) -> None:
    """Chunks are there to bound memory, which decoders without forward mode need no less."""
    decoder, _ = kind.make(torch.float64)
    counting = Counting(decoder)
    metric = lg.pullback_metric(counting, chunk_size=4)
    z = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(2):
        assert max(spent(counting, lambda: metric(z))) <= 4


def test_chunks_are_differentiable(points: Tensor) -> None:
    whole, parts = lg.pullback_metric(wide()), lg.pullback_metric(wide(), chunk_size=3)
    gradients = []
    for metric in (whole, parts):
        z = points.clone().requires_grad_()
        gradients.append(torch.autograd.grad(metric.norm(z, torch.ones_like(z)).sum(), z)[0])
    laws.assert_near(gradients[1], gradients[0], laws.rounding(points.dtype))


def test_empty_function_calls_cost_nothing() -> None:
    """Making a metric does not call the decoder."""
    decoder = Counting(stereographic)
    lg.pullback_metric(decoder)
    lg.expected_pullback_metric(decoder)
    assert decoder.calls == []
