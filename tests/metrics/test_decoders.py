"""A decoder is any batch callable: every kind of one gives the metric that slow plain autograd gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import latentgeo as lg
import laws
import reference
from metrics.decoders import DIM, KINDS, Decoder, Kind, Softsign, image_decoder
from strategies import network


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
def points(dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    return torch.randn(3, DIM, generator=generator, dtype=torch.float64).to(dtype)


@pytest.fixture
def tangents(dtype: torch.dtype) -> Tensor:
    return torch.randn(2, 3, DIM, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(dtype)


def slow(twin: Decoder, z: Tensor) -> Tensor:
    return reference.pullback(twin, z)


def test_matrix_is_right_at_every_call(kind: Kind, points: Tensor) -> None:
    """Four times, because TorchScript's specialised graphs come into play after the first calls."""
    decoder, twin = kind.make(points.dtype)
    metric = lg.pullback_metric(decoder)
    expected = slow(twin, points)
    for call in range(4):
        laws.assert_near(metric(points), expected, laws.rounding(points.dtype), f"G at call {call}")


def test_inner_is_right_at_every_call(kind: Kind, points: Tensor, tangents: Tensor) -> None:
    decoder, twin = kind.make(points.dtype)
    metric = lg.pullback_metric(decoder)
    u, v = tangents
    g = slow(twin, points)
    sizes = (reference.product(g, u, u) * reference.product(g, v, v)).sqrt()
    for _ in range(4):
        expected = reference.product(g, u, v)
        laws.assert_near(metric.inner(points, u, v), expected, laws.rounding(points.dtype), scale=sizes)
        expected = reference.product(g, u, u).sqrt()
        laws.assert_near(metric.norm(points, u), expected, laws.rounding(points.dtype))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.smooth], ids=str)
def test_matrix_is_differentiable_in_the_points(kind: Kind, generator: torch.Generator) -> None:
    decoder, twin = kind.make(torch.float64)
    z = torch.randn(2, DIM, generator=generator, dtype=torch.float64)
    laws.matrix_is_differentiable(lg.pullback_metric(decoder), lambda p: slow(twin, p), z)


def test_answer_has_no_graph_where_nothing_needs_one(kind: Kind, points: Tensor, tangents: Tensor) -> None:
    """The decoder's parameters are frozen and so are the points: the answer can go straight to NumPy."""
    decoder, _ = kind.make(points.dtype)
    for module in modules_behind(decoder):
        for parameter in module.parameters():
            parameter.requires_grad_(False)
    metric = lg.pullback_metric(decoder)
    assert not metric(points).requires_grad
    assert not metric.inner(points, *tangents).requires_grad


def test_no_grad_and_inference_mode_change_nothing(kind: Kind, points: Tensor, tangents: Tensor) -> None:
    decoder, twin = kind.make(points.dtype)
    expected = slow(twin, points)
    product = reference.product(expected, *tangents)
    for mode in (torch.no_grad, torch.inference_mode):
        metric = lg.pullback_metric(decoder)
        for _ in range(2):  # the first call chooses how to differentiate
            with mode():
                got, inner = metric(points), metric.inner(points, *tangents)
            assert not got.requires_grad
            laws.assert_near(got, expected, laws.rounding(points.dtype), f"G in {mode.__name__}")
            laws.assert_near(inner, product, laws.rounding(points.dtype), scale=expected.abs().max())


def test_points_made_in_inference_mode_are_welcome(generator: torch.Generator) -> None:
    with torch.inference_mode():
        z = torch.randn(3, DIM, generator=generator, dtype=torch.float64)
    net = network(DIM, 7)
    laws.assert_near(lg.pullback_metric(net)(z), slow(net, z.clone()), laws.rounding(z.dtype))


@pytest.mark.parametrize(("of_decoder", "of_points"), [("float32", "float64"), ("float64", "float32")])
@pytest.mark.parametrize("wrap", ["module", "method", "lambda", "callable object"])
def test_decoder_keeps_its_dtype_and_the_answer_follows_the_points(
    of_decoder: str, of_points: str, wrap: str, generator: torch.Generator
) -> None:
    inside, outside = getattr(torch, of_decoder), getattr(torch, of_points)
    net = network(DIM, 7).to(inside)
    decoder = {
        "module": net,
        "method": net.forward,
        "lambda": lambda z: net(z),
        "callable object": type("Model", (), {"net": net, "__call__": lambda self, z: self.net(z)})(),
    }[wrap]
    z = torch.randn(3, DIM, generator=generator, dtype=torch.float64).to(outside)
    got = lg.pullback_metric(decoder)(z)
    assert got.dtype == outside
    laws.assert_near(got, slow(net, z.to(inside)).to(outside), laws.rounding(torch.float32))
    assert all(p.dtype == inside for p in net.parameters())


def modules_behind(decoder: object) -> list[nn.Module]:
    """The modules a decoder of the catalogue holds."""
    found = [decoder, getattr(decoder, "__self__", None), *getattr(decoder, "args", ())]
    found += [cell.cell_contents for cell in getattr(decoder, "__closure__", None) or ()]
    found += [value for owner in list(found) for value in getattr(owner, "__dict__", {}).values()]
    return [m for m in found if isinstance(m, nn.Module)]


def snapshot(decoder: object) -> list[object]:
    """All that could be changed in the modules behind a decoder."""
    state: list[object] = []
    for root in modules_behind(decoder):
        for name, module in root.named_modules():
            hooks = [len(value) for key, value in sorted(vars(module).items()) if key.endswith("_hooks")]
            state.append((name, module.training, hooks, sorted(vars(module))))
        for name, tensor in [*root.named_parameters(), *root.named_buffers()]:
            version, storage = tensor._version, tensor.data_ptr()
            state.append((name, tensor.requires_grad, tensor.grad is None, tensor.dtype, version, storage))
            state.append(tensor.detach().clone().flatten().tolist())
    return state


def test_decoder_is_never_changed(kind: Kind, points: Tensor, tangents: Tensor) -> None:
    decoder, _ = kind.make(points.dtype)
    decoder(points)  # what a compiled or scripted module remembers of its first call is its own affair
    before = snapshot(decoder)
    metric = lg.pullback_metric(decoder)
    z = points.clone().requires_grad_()
    metric(z)
    metric.inner(z, *tangents)
    assert snapshot(decoder) == before


def test_snapshot_sees_changes() -> None:
    """The check above can fail."""
    for change in (
        lambda m: m.train(),
        lambda m: m.requires_grad_(False),
        lambda m: m[0].weight.data.mul_(2),
        lambda m: m[3].running_mean.add_(1),
        lambda m: m.register_forward_hook(lambda *_: None),
        lambda m: m.register_full_backward_hook(lambda *_: None),
        lambda m: m.half(),
    ):
        decoder = image_decoder()
        before = snapshot(decoder)
        change(decoder)
        assert snapshot(decoder) != before


def test_decoder_that_writes_into_its_input_leaves_the_points_alone(generator: torch.Generator) -> None:
    net = network(DIM, 7)
    z = torch.randn(3, DIM, generator=generator, dtype=torch.float64)
    kept = z.clone()
    v = torch.ones_like(z)
    metric = lg.pullback_metric(lambda p: net(p.mul_(2)))
    expected = 4 * slow(net, 2 * kept)
    for _ in range(2):
        laws.assert_near(metric(z), expected, laws.rounding(z.dtype))
        laws.assert_near(metric.norm(z, v), reference.product(expected, v, v).sqrt(), laws.rounding(z.dtype))
        assert metric.immersion is not None
        metric.immersion(z)
        assert torch.equal(z, kept)


def test_module_that_is_sent_where_it_is_already(points: Tensor) -> None:
    """PyTorch crashes the interpreter on it in forward mode."""
    net = network(DIM, 7).to(points)
    metric = lg.pullback_metric(lambda z: net.to(z.device, z.dtype).to(z)(z))
    laws.assert_near(metric(points), slow(net, points), laws.rounding(points.dtype))


def test_module_that_is_cast_at_every_call_is_refused(points: Tensor) -> None:
    net = network(DIM, 7)

    def decoder(z: Tensor) -> Tensor:
        net.double()(z.double())
        return net.float()(z.float())

    with pytest.raises(ValueError, match=r"decoder must not move or cast its module .* while it is called"):
        lg.pullback_metric(decoder)(points)


def test_looking_at_a_decoder_draws_no_random_numbers(points: Tensor) -> None:
    metric = lg.pullback_metric(network(DIM, 7).to(points))
    before = torch.get_rng_state()
    metric(points)
    assert torch.equal(torch.get_rng_state(), before)


def test_users_hooks_still_run() -> None:
    net, calls = network(DIM, 7), []
    net.register_forward_hook(lambda module, inputs, output: calls.append(1))
    lg.pullback_metric(net)(torch.zeros(2, DIM, dtype=torch.float64))
    assert calls


def test_metric_follows_parameters_that_are_trained_on() -> None:
    """The metric refers to the decoder, it does not copy it."""
    net = network(DIM, 7)
    z = torch.zeros(1, DIM, dtype=torch.float64)
    metric = lg.pullback_metric(net)
    before = metric(z)
    with torch.no_grad():
        net[-1].weight.mul_(2)
    laws.assert_near(metric(z), 4 * before, laws.rounding(z.dtype))


def test_reentrant_checkpoint_says_what_to_do(generator: torch.Generator) -> None:
    """Torch itself cannot take the gradient; its advice must come through."""
    net = network(DIM, 7)
    metric = lg.pullback_metric(lambda z: checkpoint(net, z, use_reentrant=True))
    with pytest.raises(RuntimeError, match="use_reentrant=False"):
        metric(torch.zeros(2, DIM, dtype=torch.float64))


def test_double_derivatives_of_a_custom_function(generator: torch.Generator) -> None:
    """The slow way round (no forward mode) still gives Hessians of the metric."""
    a = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    z = torch.randn(1, 2, generator=generator, dtype=torch.float64).requires_grad_()
    metric = lg.pullback_metric(lambda p: Softsign.apply(p @ a).sin())
    assert torch.autograd.gradcheck(metric, z)
    smooth = lg.pullback_metric(lambda p: (p @ a).tanh().sin())
    assert torch.autograd.gradgradcheck(smooth, z)
