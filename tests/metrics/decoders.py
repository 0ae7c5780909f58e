"""Every kind of decoder the library says it takes, each with an eager twin that plain autograd differentiates."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from strategies import network

Decoder = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Kind:
    """A way to write a decoder.

    Attributes:
        name: what the tests call it.
        make: dtype -> (decoder, twin): the same function twice, the twin written for plain reverse mode.
        smooth: whether its Jacobian can be differentiated again.
        forward: whether every operator of it has forward mode.
        transforms: whether torch.func can run it: no custom function of the old style, no saved-tensor hooks, no
            control flow on values.
    """

    name: str
    make: Callable[[torch.dtype], tuple[Decoder, Decoder]]
    smooth: bool = True
    forward: bool = True
    transforms: bool = True

    def __str__(self) -> str:
        return self.name


DIM = 3
_KINDS: list[Kind] = []


def _kind(name: str, **traits: bool) -> Callable[[Callable], Callable]:
    def register(make: Callable) -> Callable:
        _KINDS.append(Kind(name, make, **traits))
        return make

    return register


def _net(dtype: torch.dtype) -> nn.Sequential:
    return network(DIM, 7).to(dtype)


def seeded(module: nn.Module) -> nn.Module:
    """The module with parameters and buffers drawn from one seed, in eval mode."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * (0.7 if p.ndim > 1 else 0.3))
        for name, b in module.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(0.3 * torch.randn(b.shape, generator=generator))
            elif name.endswith("running_var"):
                b.copy_(0.5 + torch.rand(b.shape, generator=generator))
    return module.eval()


def image_decoder() -> nn.Module:
    """(N, 3) -> (N, 2, 8, 8), with upsampling, group and batch normalization, and a dropout layer."""
    return seeded(
        nn.Sequential(
            nn.Linear(DIM, 16),
            nn.Unflatten(1, (4, 2, 2)),
            nn.ConvTranspose2d(4, 4, 2, stride=2),
            nn.BatchNorm2d(4),
            nn.GELU(),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.GroupNorm(2, 4),
            nn.Dropout(0.5),
            nn.Conv2d(4, 2, 3, padding=1),
            nn.Sigmoid(),
        )
    )


class Attention(nn.Module):
    """A decoder with a TransformerEncoderLayer, whose attention kernel has no forward mode."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Linear(DIM, 16)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(self.lift(z).unflatten(1, (2, 8)))


class Recurrent(nn.Module):
    """A decoder that unrolls a GRU for four steps."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(DIM, 6, batch_first=True)

    def forward(self, z: Tensor) -> Tensor:
        return self.cell(z[:, None].repeat(1, 4, 1))[0]


class ThirdParty:
    """A model that is no nn.Module and decodes by a method."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def decode(self, z: Tensor) -> Tensor:
        return self.net(z)

    def __call__(self, z: Tensor) -> Tensor:
        return self.net(z)


class Softsign(torch.autograd.Function):
    """x / (1 + |x|) with a hand-written backward and nothing else."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x / (1 + x.abs())

    @staticmethod
    def backward(ctx: object, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return g / (1 + x.abs()).square()


class SoftsignOnce(Softsign):
    """The same, whose backward cannot be differentiated again."""

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: object, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return g / (1 + x.abs()).square()


def in_place(net: nn.Module, z: Tensor) -> Tensor:
    """Writes into what it made, as generated code likes to."""
    x = net(z)
    out = x.new_zeros(x.shape[0], x.shape[1] + 1)
    out[:, :-1] = x
    out[:, -1] = x.sum(1)
    out += 1
    return out.sin_()


@_kind("module")
def _module(dtype):
    return _net(dtype), _net(dtype)


@_kind("module with unfrozen parameters")
def _unfrozen(dtype):
    return _net(dtype).requires_grad_(), _net(dtype)


@_kind("image decoder")
def _image(dtype):
    return image_decoder().to(dtype), image_decoder().to(dtype)


@_kind("lambda")
def _lambda(dtype):
    net = _net(dtype)
    return lambda z: 2 * net(z), lambda z: 2 * net(z)


@_kind("bound method of a module")
def _module_method(dtype):
    return _net(dtype).forward, _net(dtype)


@_kind("bound method of an object")
def _method(dtype):
    return ThirdParty(_net(dtype)).decode, _net(dtype)


@_kind("callable object")
def _object(dtype):
    return ThirdParty(_net(dtype)), _net(dtype)


@_kind("partial")
def _partial(dtype):
    return functools.partial(torch.nn.Module.__call__, _net(dtype)), _net(dtype)


@_kind("one number a point")
def _scalar(dtype):
    net = _net(dtype)
    return lambda z: net(z).sum(1), lambda z: net(z).sum(1)


@_kind("code that looks at its values", transforms=False)
def _looks(dtype):
    net = _net(dtype)

    def decode(z: Tensor) -> Tensor:
        n, _ = z.shape
        x = net(z)
        if not bool((x.abs() < 1e6).all()):
            raise FloatingPointError(n)
        return x

    return decode, net


@_kind("scripted module", forward=False, transforms=False)
def _scripted(dtype):
    return torch.jit.script(_net(dtype)), _net(dtype)


@_kind("traced module", forward=False, transforms=False)
def _traced(dtype):
    return torch.jit.trace(_net(dtype), torch.zeros(2, DIM, dtype=dtype)), _net(dtype)


@_kind("lambda around a scripted module", forward=False, transforms=False)
def _scripted_lambda(dtype):
    scripted = torch.jit.script(_net(dtype))
    return lambda z: scripted(z), _net(dtype)


@_kind("compiled module")
def _compiled(dtype):
    return torch.compile(_net(dtype), backend="eager"), _net(dtype)


@_kind("compiled function")
def _compiled_function(dtype):
    net = _net(dtype)
    return torch.compile(lambda z: net(z), backend="eager"), net


@_kind("lambda around a compiled module")
def _compiled_lambda(dtype):
    compiled = torch.compile(_net(dtype), backend="eager")
    return lambda z: compiled(z), _net(dtype)


@_kind("attention", forward=False)
def _attention(dtype):
    return seeded(Attention()).to(dtype), seeded(Attention()).to(dtype)


@_kind("recurrent network", smooth=False, forward=False, transforms=False)
def _recurrent(dtype):
    return seeded(Recurrent()).to(dtype), seeded(Recurrent()).to(dtype)


@_kind("in-place code", forward=False)
def _in_place(dtype):
    net = _net(dtype)
    return lambda z: in_place(net, z), lambda z: in_place(net, z)


@_kind("checkpoint", forward=False, transforms=False)
def _checkpoint(dtype):
    net = _net(dtype)
    return lambda z: checkpoint(net, z, use_reentrant=False), net


@_kind("custom function without forward mode", forward=False, transforms=False)
def _custom(dtype):
    net = _net(dtype)
    return lambda z: Softsign.apply(net(z)), lambda z: nn.functional.softsign(net(z))


@_kind("custom function that differentiates once", smooth=False, forward=False, transforms=False)
def _once(dtype):
    net = _net(dtype)
    return lambda z: SoftsignOnce.apply(net(z)), lambda z: nn.functional.softsign(net(z))


KINDS = tuple(_KINDS)
