"""Wrong calls: the error names the argument, what was expected and what came."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import latentgeo as lg
from strategies import network

pytestmark = pytest.mark.usefixtures("unchecked")

METRICS = {
    "Euclidean": lg.EuclideanMetric(3),
    "pull-back": lg.pullback_metric(network(3, 5)),
    "expected": lg.expected_pullback_metric(lambda z: (z, z.square() + 1)),
    "ambient": lg.pullback_metric(
        network(3, 3), ambient=lg.metric_from_function(lambda x: torch.diag_embed(x**2))
    ),
    "Fisher": lg.fisher_pullback_metric(lambda z: torch.distributions.Bernoulli(logits=z)),
    "Fisher, without immersion": lg.fisher_pullback_metric(lambda z: torch.distributions.Normal(z, z.exp())),
    "ensemble": lg.ensemble_pullback_metric([network(3, 5), network(3, 2)]),
    "local PCA": lg.LocalPCAMetric(torch.zeros(2, 3), bandwidth=1.0, rho=1.0),
    "function": lg.metric_from_function(lambda z: torch.diag_embed(z.square() + 1)),
}
GOOD = torch.zeros(4, 3, dtype=torch.float64)


@pytest.fixture(params=METRICS.values(), ids=METRICS)
def metric(request: pytest.FixtureRequest) -> lg.Metric:
    return request.param


@pytest.mark.parametrize(
    ("z", "error", "message"),
    [
        (np.zeros((4, 3)), TypeError, r"z must be a torch tensor.*got numpy\.ndarray"),
        ([[0.0, 0.0, 0.0]], TypeError, r"z must be a torch tensor.*got list"),
        (None, TypeError, r"z must be a torch tensor.*got NoneType"),
        (
            torch.zeros(4, 3, dtype=torch.long),
            TypeError,
            r"z must be of a floating-point dtype.*int64.*\(4, 3\)",
        ),
        (torch.zeros(4, 3, dtype=torch.cfloat), TypeError, r"z must be of a floating-point dtype.*complex64"),
        (torch.tensor(1.0), ValueError, r"z must have shape \(\.\.\., d\).*\(\)"),
        (torch.zeros(4, 0), ValueError, r"z must have shape \(\.\.\., d\).*\(4, 0\)"),
    ],
    ids=["numpy", "list", "None", "integers", "complex", "scalar", "no coordinates"],
)
def test_points_that_are_none(metric: lg.Metric, z: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        metric(z)
    with pytest.raises(error, match=message):
        metric.inner(z, GOOD, GOOD)


@pytest.mark.parametrize("position", ["u", "v"])
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (np.zeros((4, 3)), TypeError, r"{} must be a torch tensor.*got numpy\.ndarray"),
        (torch.zeros(4, 3, dtype=torch.long), TypeError, r"{} must be of a floating-point dtype.*int64"),
        (torch.zeros(4, 2).double(), ValueError, r"{} must have the 3 coordinates of z.*\(4, 2\)"),
        (
            torch.zeros(5, 3).double(),
            ValueError,
            r"{} must .*\(4, 3\).*\(5, 3\)",
        ),
        (
            torch.zeros(4, 3).float(),
            (TypeError, ValueError),
            r"{} must .*float64.*float32",
        ),
    ],
    ids=["numpy", "integers", "other dimension", "other batch", "other dtype"],
)
def test_tangents_that_do_not_fit(
    metric: lg.Metric, position: str, wrong: object, error: type, message: str
) -> None:
    tangents = {"u": GOOD, "v": GOOD.clone()} | {position: wrong}
    with pytest.raises(error, match=message.replace("{}", position)):
        metric.inner(GOOD, **tangents)


def test_points_of_another_dimension_than_the_metric() -> None:
    with pytest.raises(
        ValueError, match=r"z must have 3 coordinates, got a float32 tensor of shape \(4, 2\)"
    ):
        lg.EuclideanMetric(3)(torch.zeros(4, 2))


@pytest.mark.parametrize("dim", [0, -1, 2.0, "2", None, True])
def test_euclidean_dimension(dim: object) -> None:
    with pytest.raises(ValueError, match=rf"dim must be a positive integer, got {dim!r}"):
        lg.EuclideanMetric(dim)


@pytest.mark.parametrize("chunk_size", [0, -3, 2.5, "all", True])
@pytest.mark.parametrize("make", [lg.pullback_metric, lg.expected_pullback_metric])
def test_chunk_size(make: Callable, chunk_size: object) -> None:
    with pytest.raises(
        ValueError, match=rf"chunk_size must be a positive integer or None, got {chunk_size!r}"
    ):
        make(lambda z: z, chunk_size=chunk_size)


@pytest.mark.parametrize("make", [lg.pullback_metric, lg.expected_pullback_metric])
@pytest.mark.parametrize(
    "decoder", [None, 3, torch.eye(2), "decoder.pt"], ids=["None", "int", "tensor", "path"]
)
def test_decoder_that_cannot_be_called(make: Callable, decoder: object) -> None:
    with pytest.raises(TypeError, match=r"decoder must be a callable on batches \(N, d\), got"):
        make(decoder)


def test_function_that_cannot_be_called() -> None:
    with pytest.raises(TypeError, match=r"fn must be a callable \(N, d\) -> \(N, d, d\), got .*tensor"):
        lg.metric_from_function(torch.eye(2))


@pytest.mark.parametrize(
    ("returns", "error", "message"),
    [
        (lambda z: z.numpy(), TypeError, r"decoder must return a tensor \(N, \*event\), got numpy\.ndarray"),
        (
            lambda z: (z, z),
            TypeError,
            r"decoder must return a tensor.*got tuple: expected_pullback_metric takes",
        ),
        (lambda z: (z,), TypeError, r"decoder must return a tensor.*got tuple.*decoder\(z\)\[0\]"),
        (lambda z: {"x": z}, TypeError, r"decoder must return a tensor.*got dict.*decoder\(z\)\['x'\]"),
        (
            lambda z: SimpleNamespace(loss=None, sample=z),
            TypeError,
            r"decoder must return.*decoder\(z\)\.sample",
        ),
        (lambda z: None, TypeError, r"decoder must return a tensor \(N, \*event\), got NoneType"),
        (lambda z: z.sum(), ValueError, r"decoder must map a batch \(4, 3\) to \(4, \*event\).*\(\)"),
        (lambda z: z[:1], ValueError, r"decoder must map a batch \(4, 3\) to \(4, \*event\).*\(1, 3\)"),
        (lambda z: z.T, ValueError, r"decoder must map a batch \(4, 3\) to \(4, \*event\).*\(3, 4\)"),
        (lambda z: z.long(), TypeError, r"decoder must return floating-point values, got.*int64"),
        (
            lambda z: torch.distributions.Normal(z, 1.0),
            TypeError,
            r"got a Normal distribution.*expected_pullback_metric",
        ),
        (
            lambda z: torch.distributions.Bernoulli(logits=z),
            TypeError,
            r"got a Bernoulli distribution.*fisher_pullback_metric",
        ),
    ],
    ids=[
        "numpy",
        "pair",
        "tuple",
        "dict",
        "object",
        "None",
        "sum",
        "one row",
        "transposed",
        "integers",
        "Normal",
        "Bernoulli",
    ],
)
def test_decoder_that_returns_something_else(returns: Callable, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        lg.pullback_metric(returns).immersion(GOOD)


@pytest.mark.parametrize(
    "hides",
    [
        lambda z: z.detach().sin(),
        torch.no_grad()(lambda z: z.sin()),
        lambda z: torch.from_numpy(np.sin(z.detach().numpy())),
        torch.inference_mode()(lambda z: z.sin()),
        lambda z: torch.as_tensor(np.sin(z.numpy())),
        (lambda net: lambda z: net(z.detach()))(network(3, 5).requires_grad_()),
    ],
    ids=["detach", "no_grad", "numpy", "inference_mode", "numpy of a leaf", "detach before parameters"],
)
def test_decoder_that_hides_its_gradient(hides: Callable) -> None:
    with pytest.raises(
        ValueError, match="decoder must be differentiable by torch, but its output is detached"
    ):
        lg.pullback_metric(hides)(GOOD + 1)


def test_constant_decoder_is_no_error() -> None:
    """A decoder that ignores z has the zero metric; only one that hides its gradient is refused."""
    assert not lg.pullback_metric(lambda z: torch.ones(z.shape[0], 2))(GOOD).any()
    parameter = torch.ones(2, requires_grad=True)
    assert not lg.pullback_metric(lambda z: parameter.expand(z.shape[0], 2))(GOOD).any()


@pytest.mark.parametrize(
    "draws",
    [
        lambda z: z.sin() + 1e-3 * torch.randn(z.shape),
        lambda z: torch.distributions.Normal(z.sin(), 0.1).rsample(),
        lambda z: nn.functional.dropout(z + 1),
        lambda z: z + torch.from_numpy(np.random.default_rng().normal(size=z.shape)),
    ],
    ids=["noise", "samples", "dropout", "numpy"],
)
def test_decoder_that_draws_random_numbers(draws: Callable) -> None:
    with pytest.raises(
        ValueError, match=r"decoder must return the same .* draws random numbers: .* its mean"
    ):
        lg.pullback_metric(draws)(GOOD)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize(
    "mixes",
    [
        lambda z: z.sin() - z.sin().mean(0),
        lambda z: (z @ z.mT).softmax(1) @ z.sin(),
        lambda z: nn.functional.batch_norm(z + 1, None, None, training=True),
        lambda z: z / z.square().sum().sqrt(),
        lambda z: z.cumsum(0),
    ],
    ids=["mean", "attention", "batch norm", "norm", "cumsum"],
)
def test_decoder_whose_rows_influence_each_other(mixes: Callable, count: int) -> None:
    with pytest.raises(ValueError, match="decoder must map each point by itself, but its rows influence"):
        lg.pullback_metric(mixes)(GOOD[:count] + 1)


@pytest.mark.parametrize("z", [GOOD * torch.nan, torch.cat([GOOD[:1] * torch.nan, GOOD]), GOOD[:1]])
def test_points_that_tell_little_are_no_reason_to_refuse_a_decoder(z: Tensor) -> None:
    finite = z.isfinite().all(1)
    assert torch.equal(lg.pullback_metric(network(3, 5))(z).isfinite().all(2).all(1), finite)


def test_random_numbers_that_do_not_show_are_welcome() -> None:
    assert lg.pullback_metric(lambda z: z + 0 * torch.rand_like(z))(GOOD).any()


@pytest.mark.parametrize(
    ("fn", "came"),
    [
        (lambda z: z, r"\(4, 3\)"),
        (lambda z: torch.eye(3), r"\(3, 3\)"),
        (lambda z: torch.eye(2).expand(4, 2, 2), r"\(4, 2, 2\)"),
        (lambda z: np.eye(3), r"numpy\.ndarray"),
        (lambda z: torch.eye(3).long().expand(4, 3, 3), r"int64"),
    ],
    ids=["vectors", "one matrix", "small", "numpy", "integers"],
)
def test_function_that_returns_something_else(fn: Callable, came: str) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"fn must .*{came}"):
        lg.metric_from_function(fn)(GOOD)


def test_errors_of_the_decoder_pass_unchanged() -> None:
    class MyError(Exception):
        pass

    def decoder(z: Tensor) -> Tensor:
        raise MyError("from inside")

    metric = lg.pullback_metric(decoder)
    with pytest.raises(MyError, match="from inside"):
        metric(GOOD)
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes"):  # the decoder takes 2 latents, not 3
        lg.pullback_metric(network(2, 4))(GOOD)


# --- Training mode


def _dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))


def _batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.BatchNorm1d(4), nn.ReLU()))


class Model:
    """A third-party model that is no module."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def decode(self, z: Tensor) -> Tensor:
        return self.net(z)

    def __call__(self, z: Tensor) -> Tensor:
        return self.net(z)


def _in_closure(net: nn.Module) -> Callable:
    def decode(z: Tensor) -> Tensor:
        return net(z)

    return decode


def _two_deep(net: nn.Module) -> Callable:
    decode = _in_closure(net)
    return lambda z: decode(z) + 1


def _decode_with(net: nn.Module, z: Tensor) -> Tensor:
    return net(z)


class Autoencoder(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.decoder = net

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)


WAYS = {
    "module": lambda net: net,
    "lambda": lambda net: lambda z: net(z),
    "closure": _in_closure,
    "closure of a closure": _two_deep,
    "method of a module": lambda net: Autoencoder(net).decode,
    "lambda around a method": lambda net: (lambda model: lambda z: model.decode(z))(Autoencoder(net)),
    "method of an object": lambda net: Model(net).decode,
    "callable object": Model,
    "lambda around an object": lambda net: (lambda model: lambda z: model.decode(z))(Model(net)),
    "partial": lambda net: functools.partial(_decode_with, net),
    "partial of a method": lambda net: functools.partial(Autoencoder(net).decode),
    "list of modules": lambda net: (lambda nets: lambda z: nets[0](z))([net]),
    "compiled": lambda net: torch.compile(net, backend="eager"),
    "scripted": torch.jit.script,
}
UNFIT = {
    "Dropout": _dropout,
    "BatchNorm": _batch_norm,
    "AlphaDropout": lambda: nn.Sequential(nn.Linear(3, 4), nn.AlphaDropout(0.5)),
    "Dropout2d": lambda: nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (1, 2, 2)), nn.Dropout2d(0.5)),
    "Transformer": lambda: nn.Sequential(
        nn.Linear(3, 8), nn.Unflatten(1, (2, 4)), nn.TransformerEncoderLayer(4, 1, 8, batch_first=True)
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_training_mode_is_refused_however_the_module_comes(way: Callable) -> None:
    with pytest.raises(ValueError, match=r"decoder holds a Dropout layer in training mode.*call \.eval\(\)"):
        lg.pullback_metric(way(_dropout()))(GOOD.float())


@pytest.mark.parametrize("make", UNFIT.values(), ids=UNFIT)
def test_training_mode_of_every_unfit_layer_is_refused(make: Callable) -> None:
    with pytest.raises(ValueError, match=r"training mode.*call \.eval\(\)"):
        lg.pullback_metric(make())
    assert lg.pullback_metric(make().eval())(GOOD.float()).shape == (4, 3, 3)


@pytest.mark.parametrize("way", ["module", "lambda", "method of a module", "callable object"])
def test_switching_to_training_after_the_metric_was_made_is_refused(way: str) -> None:
    net = _batch_norm().eval()
    metric = lg.pullback_metric(WAYS[way](net))
    z = GOOD.float()
    metric(z)
    net.train()
    kept = net[1][0].running_mean.clone()
    for evaluate in (lambda: metric(z), lambda: metric.inner(z, z, z), lambda: metric.immersion(z)):
        with pytest.raises(ValueError, match=r"BatchNorm1d layer in training mode.*\.eval\(\)"):
            evaluate()
    assert torch.equal(net[1][0].running_mean, kept)
    net.eval()
    metric(z)


def test_training_mode_without_unfit_layers_is_welcome() -> None:
    assert lg.pullback_metric(network(3, 4).train())(GOOD).shape == (4, 3, 3)
