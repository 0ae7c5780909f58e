"""Forward mode without the tangents of constants: the derivative of torch.func.jvp, with fewer operations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.profiler import profile

from latentgeo.metrics.forward_mode import jvp

Function = Callable[[Tensor], Tensor]

ROW = torch.linspace(0.5, 2.0, 6, dtype=torch.float64)
MATRIX = torch.linspace(-1.0, 1.0, 24, dtype=torch.float64).reshape(4, 6)
STACK = torch.linspace(-1.0, 1.0, 72, dtype=torch.float64).reshape(3, 4, 6)
SINGLE = torch.tensor([1.5, -0.5, 2.0, 1.0, 0.25, 3.0])


def _seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().double().eval()


def _network(*layers: Callable[[], nn.Module]) -> nn.Module:
    return _seeded(lambda: nn.Sequential(*(layer() for layer in layers)))


def _norm(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Module:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.copy_(torch.linspace(-1, 1, layer.num_features))
    layer.running_var.copy_(torch.linspace(0.5, 2, layer.num_features))
    return layer


def _written_into(x: Tensor) -> Tensor:
    y = x + ROW
    y += 1  # must not reach the tangent of x
    y *= x
    return y + x


FUNCTIONS: dict[str, Function] = {
    "sum": lambda x: x + ROW,
    "sum with a number": lambda x: 2 + x + 0.5,
    "sum of two moving ones": lambda x: x + x.sin(),
    "sum with a larger constant": lambda x: x + STACK,
    "sum with alpha": lambda x: torch.add(x, ROW, alpha=3),
    "difference": lambda x: x.sin() - ROW,
    "difference from a number": lambda x: 1 - x.square(),
    "difference from a constant": lambda x: ROW - x.square(),
    "difference from a larger constant": lambda x: torch.sub(STACK, x.sin()),
    "product": lambda x: ROW * x.cos() * 3,
    "product with a larger constant": lambda x: torch.mul(STACK, x),
    "product of two moving ones": lambda x: x * x.exp(),
    "quotient": lambda x: x.square() / ROW / 2,
    "quotient of a constant": lambda x: ROW / (x.square() + 1),
    "in place": _written_into,
    "linear": nn.Linear(6, 5).double().requires_grad_(False),
    "linear without bias": lambda x: F.linear(x.sin(), MATRIX),
    "linear by keyword": lambda x: F.linear(x, weight=MATRIX, bias=ROW[:4]),
    "linear with moving weights": lambda x: F.linear(x, x * 2, x[:, 0]),
    "linear with a moving bias": lambda x: F.linear(x, MATRIX, x[0, :4]),
    "of a constant": lambda x: F.linear(MATRIX, x[:2]) + x.sum(),
    "rows one by one": torch.func.vmap(lambda x: 2 * x.sin() + ROW),
    "gradient": torch.func.grad(lambda x: (3 * x.sin() * ROW + 1).square().sum()),
    "derivative": lambda x: jvp(lambda y: 2 * y.sin() * x + ROW, x, x.cos()),
    "batch norm": _norm(nn.BatchNorm1d(6).double().eval()),
    "batch norm without weights": _norm(nn.BatchNorm1d(6, affine=False).double().eval()),
    "batch norm of the batch": lambda x: F.batch_norm(x.sin(), None, None, training=True),
    "images": _network(
        lambda: nn.Unflatten(1, (6, 1, 1)),
        lambda: nn.ConvTranspose2d(6, 4, 3),
        lambda: _norm(nn.BatchNorm2d(4)),
        nn.SiLU,
        lambda: nn.Conv2d(4, 2, 2, padding=1, bias=False),
        nn.Flatten,
    ),
    "series": _network(lambda: nn.Unflatten(1, (2, 3)), lambda: nn.Conv1d(2, 3, 2), nn.Tanh, nn.Flatten),
    "perceptron": _network(lambda: nn.Linear(6, 16), nn.Tanh, lambda: nn.Linear(16, 16), nn.GELU),
}  # fmt: skip


@pytest.fixture(params=FUNCTIONS.values(), ids=list(FUNCTIONS))
def function(request: pytest.FixtureRequest) -> Function:
    return request.param


@pytest.fixture
def pair(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    z, v = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64)
    return z, v


def _plain(f: Function, z: Tensor, v: Tensor) -> Tensor:
    return torch.func.jvp(f, (z,), (v,))[1]


def test_is_the_derivative(function, pair) -> None:
    torch.testing.assert_close(jvp(function, *pair), _plain(function, *pair), rtol=1e-12, atol=1e-12)


def test_many_tangents_at_once(function, pair) -> None:
    z, v = pair
    tangents = torch.stack([v, v.flip(0), v.sin()])
    found = torch.func.vmap(lambda v: jvp(function, z, v), out_dims=1)(tangents)
    expected = torch.stack([_plain(function, z, v) for v in tangents], 1)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_second_derivatives(function, pair) -> None:
    z, v = pair
    expected = _plain(lambda x: _plain(function, x, v), z, v)
    for first, second in ((jvp, _plain), (jvp, jvp), (_plain, jvp)):
        found = second(lambda x, first=first: first(function, x, v), z, v)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    expected = torch.func.grad(lambda x: _plain(function, x, v).sin().sum())(z)
    found = torch.func.grad(lambda x: jvp(function, x, v).sin().sum())(z)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_parameters_get_their_gradient(pair) -> None:
    net = _network(
        lambda: nn.Linear(6, 8), nn.Tanh, lambda: _norm(nn.BatchNorm1d(8)), lambda: nn.Linear(8, 3)
    )
    found, expected = (
        torch.autograd.grad(
            first(net, *pair).square().sum(),
            list(net.parameters()),
            allow_unused=True,
            materialize_grads=True,
        )
        for first in (jvp, _plain)
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("constant", [ROW, SINGLE.double(), SINGLE[0].double()], ids=["row", "single", "one"])
@pytest.mark.parametrize("operation", [torch.add, torch.sub, torch.mul, torch.div])
def test_types_are_those_of_torch(operation, constant, pair) -> None:
    z, v = (x.float() for x in pair)
    for f in (lambda x: operation(x, constant), lambda x: operation(constant, x.square() + 1)):
        found, expected = jvp(f, z, v), _plain(f, z, v)
        assert found.dtype == expected.dtype == f(z).dtype
        torch.testing.assert_close(found, expected)


def _calls(work: Callable[[], object], *names: str) -> int:
    seen = profile()
    with seen:
        work()
    return sum(event.name in names for event in seen.function_events or ())


@pytest.mark.parametrize(
    ("layer", "shape", "names"),
    [
        (nn.Linear(5, 3), (2, 5), ("aten::addmm", "aten::mm")),
        (nn.Conv2d(2, 3, 2), (2, 2, 4, 4), ("aten::_convolution",)),
        (nn.ConvTranspose2d(2, 3, 2), (2, 2, 4, 4), ("aten::_convolution",)),
    ],
    ids=["linear", "conv2d", "conv_transpose2d"],
)
def test_a_constant_costs_no_operation(layer, shape, names) -> None:
    z, v = torch.randn(2, *shape)
    # one for the output, one for its tangent
    assert _calls(lambda: jvp(layer, z, v), *names) == 2 < _calls(lambda: _plain(layer, z, v), *names)
    assert _calls(lambda: jvp(layer, z, v), "aten::_efficientzerotensor") == 0
