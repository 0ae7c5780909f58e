"""Metrics are functions like any other to torch.func and autograd: in the points and in the parameters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

import latentgeo as lg
import laws
import reference
from metrics.decoders import DIM, KINDS, Kind
from spaces import GAUSSIAN, HALF_PLANE, NETWORKS, PARABOLOID, PLANE, SPHERE, Space
from strategies import network

SMOOTH_SPACES = (PLANE, SPHERE, HALF_PLANE, PARABOLOID, NETWORKS[1], GAUSSIAN)


@pytest.fixture(params=SMOOTH_SPACES, ids=str)
def space(request: pytest.FixtureRequest) -> Space:
    return request.param


@pytest.fixture
def metric(space: Space) -> lg.Metric:
    return space.metric()


@pytest.fixture
def points(space: Space, generator: torch.Generator) -> Tensor:
    return space.points(3, generator)


@pytest.fixture
def vectors(points: Tensor) -> Tensor:
    return torch.randn(points.shape, generator=torch.Generator().manual_seed(2), dtype=points.dtype)


def total(g: Tensor) -> Tensor:
    """A generic scalar of matrices."""
    weights = torch.arange(1.0, 1 + g.shape[-1] ** 2, dtype=g.dtype).sin().reshape(g.shape[-2:])
    return (g * weights).sum((-2, -1))


def test_vmap_over_points_is_the_batch(metric: lg.Metric, points: Tensor, vectors: Tensor) -> None:
    tolerance = laws.rounding(points.dtype)
    laws.assert_near(torch.func.vmap(metric)(points), metric(points), tolerance)
    product = torch.func.vmap(metric.inner)(points, vectors, vectors)
    laws.assert_near(product, metric.inner(points, vectors, vectors), tolerance)


@pytest.mark.parametrize("transform", [torch.func.jacrev, torch.func.jacfwd], ids=["jacrev", "jacfwd"])
def test_jacobians_of_the_matrix_agree_with_autograd(
    transform: Callable, space: Space, metric: lg.Metric, points: Tensor
) -> None:
    if space is PLANE:
        assert not transform(lambda z: total(metric(z)))(points).any()
        return
    leaf = points.clone().requires_grad_()
    (expected,) = torch.autograd.grad(total(metric(leaf)).sum(), leaf)
    got = transform(lambda z: total(metric(z)).sum())(points)
    laws.assert_near(got, expected, laws.rounding(points.dtype))
    each = torch.func.vmap(transform(lambda z: total(metric(z))))(points)
    laws.assert_near(each, expected, laws.rounding(points.dtype), "vmap of the transform")


@pytest.mark.parametrize("first", ["transformed", "plain"])
@pytest.mark.parametrize("kind", [k for k in KINDS if k.transforms], ids=str)
def test_every_kind_of_decoder_works_under_transforms(kind: Kind, first: str) -> None:
    """Whether the metric is first called inside a transform or outside must not matter."""
    decoder, twin = kind.make(torch.float64)
    metric = lg.pullback_metric(decoder)
    z = torch.randn(2, DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if first == "plain":
        metric(z)
    expected = reference.pullback(twin, z)
    for _ in range(3):
        laws.assert_near(torch.func.vmap(metric)(z), expected, laws.rounding(z.dtype), "vmap")
    leaf = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(total(lg.pullback_metric(twin)(leaf)).sum(), leaf)
    got = torch.func.grad(lambda p: total(metric(p)).sum())(z)
    laws.assert_near(got, gradient, laws.rounding(z.dtype), "grad")


@pytest.mark.parametrize("kind", [k for k in KINDS if not k.transforms], ids=str)
def test_decoder_that_transforms_cannot_run_gives_an_error_or_the_right_matrix(kind: Kind) -> None:
    decoder, twin = kind.make(torch.float64)
    metric = lg.pullback_metric(decoder)
    z = torch.randn(2, DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    metric(z)
    try:
        got = torch.func.vmap(metric)(z)
    except (RuntimeError, NotImplementedError):
        return
    laws.assert_near(got, reference.pullback(twin, z), laws.rounding(z.dtype))


def test_gradcheck_in_points_and_tangents(metric: lg.Metric, points: Tensor, vectors: Tensor) -> None:
    z, v = points.clone().requires_grad_(), vectors.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: metric(p) + 0 * p.sum(), z)
    assert torch.autograd.gradcheck(metric.inner, (z, v, v.detach().flip(0).requires_grad_()))
    assert torch.autograd.gradcheck(metric.norm, (z, v))


def test_second_derivatives(metric: lg.Metric, points: Tensor) -> None:
    z = points[:1].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda p: total(metric(p)) + p.square().sum(), z)


@pytest.mark.parametrize("what", ["matrix", "norm", "immersion"])
def test_derivatives_in_the_parameters(what: str, generator: torch.Generator) -> None:
    """The decoder's own parameters, which the metric refers to, by difference quotients in place."""
    net = network(2, 3, width=3).requires_grad_()
    metric = lg.pullback_metric(net)
    z = torch.randn(2, 2, generator=generator, dtype=torch.float64)

    def value() -> Tensor:
        values = {"matrix": metric, "norm": lambda p: metric.norm(p, p), "immersion": metric.immersion}[what](
            z
        )
        return (values * torch.arange(1.0, 1 + values.numel()).to(values).cos().reshape(values.shape)).sum()

    parameters = tuple(net.parameters())
    gradients = torch.autograd.grad(value(), parameters, allow_unused=True)  # J ignores the last bias
    for p, g in zip(parameters, gradients, strict=True):
        for i in (0, p.numel() - 1):
            slope = difference_quotient(value, p, i)
            got = 0.0 if g is None else float(g.flatten()[i])
            assert abs(got - slope) < 1e-7 * (1 + abs(slope))


@torch.no_grad()
def difference_quotient(value: Callable[[], Tensor], p: Tensor, index: int, step: float = 1e-5) -> float:
    """The derivative of a value in one entry of a parameter, by moving that entry there and back."""
    entry = p.view(-1)[index]
    kept, ends = entry.clone(), []
    for sign in (1, -1):
        entry.copy_(kept + sign * step)
        ends.append(float(value()))
    entry.copy_(kept)
    return (ends[0] - ends[1]) / (2 * step)


def test_parameters_by_functional_call(generator: torch.Generator) -> None:
    """Gradients with respect to parameters handed over as a dictionary, and an ensemble of them by vmap."""
    net = network(2, 4)
    parameters = dict(net.named_parameters())
    z = torch.randn(3, 2, generator=generator, dtype=torch.float64)

    def trace(p: dict[str, Tensor]) -> Tensor:
        return total(lg.pullback_metric(lambda x: torch.func.functional_call(net, p, (x,)))(z)).sum()

    got = torch.func.grad(trace)(parameters)
    net.requires_grad_()
    expected = torch.autograd.grad(
        total(lg.pullback_metric(net)(z)).sum(), tuple(net.parameters()), allow_unused=True
    )
    for (name, g), e in zip(got.items(), expected, strict=True):
        laws.assert_near(g, torch.zeros_like(g) if e is None else e, laws.rounding(z.dtype), name)

    members = {name: torch.stack([p, 2 * p]).detach() for name, p in parameters.items()}
    each = torch.func.vmap(trace)(members)
    alone = torch.stack([trace({name: p[i] for name, p in members.items()}) for i in range(2)])
    laws.assert_near(each, alone, laws.rounding(z.dtype), "ensemble")


@pytest.mark.parametrize("first", ["transformed", "plain"])
def test_normal_decoder_works_under_transforms(first: str, generator: torch.Generator) -> None:
    """torch.distributions checks its arguments by looking at values, which vmap cannot do."""
    mean, log_std = network(2, 3, seed=1), network(2, 3, seed=2)
    metric = lg.expected_pullback_metric(lambda z: Independent(Normal(mean(z), log_std(z).exp()), 1))
    z = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    if first == "plain":
        metric(z)
    laws.assert_near(torch.func.vmap(metric)(z), metric(z), laws.rounding(z.dtype))
    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(total(metric(leaf)).sum(), leaf)
    got = torch.func.jacfwd(lambda p: total(metric(p)).sum())(z)
    laws.assert_near(got, expected, laws.rounding(z.dtype))


def test_immersion_is_differentiable_like_the_decoder(generator: torch.Generator) -> None:
    """Curve energies differentiate F itself, once in reverse."""
    net = network(2, 3)
    immersion = lg.pullback_metric(net).immersion
    assert immersion is not None
    z = torch.randn(2, 2, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(immersion, z)
