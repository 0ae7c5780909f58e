"""The metric and its derivative are right through every common layer: torch gets a few second derivatives wrong.

torch 2.13 differentiates layer_norm in forward mode as if its mean and variance were constants, so a derivative
of J taken through it is silently wrong (github.com/pytorch/pytorch/issues/196700, 175754).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import latentgeo as lg
import laws
import reference
from latentgeo.metrics.elementary import ElementaryNorms

Layer = Callable[[Tensor], Tensor]


def _fixed(*shape: int) -> Tensor:
    return torch.arange(1.0, 1 + torch.Size(shape).numel(), dtype=torch.float64).reshape(shape).mul(1.7).sin()


def _module(layer: nn.Module) -> Layer:
    return layer.double().eval().requires_grad_(False)


LIFT = 1.5 * _fixed(3, 8)
LAYERS: dict[str, Layer] = {
    "LayerNorm": _module(nn.LayerNorm(8)),
    "layers after LayerNorm": lambda x: F.silu(F.layer_norm(x, (8,))) @ _fixed(8, 5),
    "convolution after InstanceNorm": lambda x: F.conv1d(
        F.instance_norm(x.view(-1, 2, 4).sin()), _fixed(3, 2, 3)
    ),
    "layer_norm of two dimensions": lambda x: F.layer_norm(x.view(-1, 2, 4), (2, 4)),
    "GroupNorm": _module(nn.GroupNorm(2, 8)),
    "InstanceNorm": lambda x: F.instance_norm(x.view(-1, 2, 4)),
    "BatchNorm": _module(nn.BatchNorm1d(8)),
    "RMSNorm": _module(nn.RMSNorm(8)),
    "LocalResponseNorm": lambda x: F.local_response_norm(x[:, :, None], 3),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(1),
    "logsumexp": lambda x: x.logsumexp(1),
    "GELU": F.gelu,
    "GELU of tanh": lambda x: F.gelu(x, approximate="tanh"),
    "SiLU": F.silu,
    "Mish": F.mish,
    "ELU": F.elu,
    "CELU": F.celu,
    "Softplus": F.softplus,
    "LogSigmoid": F.logsigmoid,
    "GLU": F.glu,
    "normalize": F.normalize,
    "radial basis functions": lambda x: ((x[:, None] - _fixed(5, 8)).square().sum(2) / -20).exp(),
    "cosine_similarity": lambda x: F.cosine_similarity(x[:, None], _fixed(1, 5, 8), dim=2),
    "ConvTranspose": lambda x: F.conv_transpose2d(x.sin().view(-1, 2, 2, 2), _fixed(2, 1, 3, 3)),
    "bicubic upsampling": lambda x: F.interpolate(x.sin().view(-1, 2, 2, 2), scale_factor=2, mode="bicubic"),
    "PixelShuffle": lambda x: F.pixel_shuffle(x.sin().view(-1, 8, 1, 1), 2),
    "average pooling": lambda x: F.avg_pool1d(x.sin()[:, None], 2),
    "bilinear": lambda x: F.bilinear(x[:, :4], x[:, 4:], _fixed(3, 4, 4)),
    "dot-product attention": lambda x: F.scaled_dot_product_attention(*(3 * (x.view(-1, 2, 4),))),
    "cumsum": lambda x: x.sin().cumsum(1),
    "standard deviation": lambda x: x.std(1),
    "inverse": lambda x: torch.linalg.inv(x[:, :4].view(-1, 2, 2).tanh() + 3 * torch.eye(2)),
    "matrix_exp": lambda x: torch.matrix_exp(x[:, :4].view(-1, 2, 2) / 4),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_matrix_and_its_derivative_are_right_through(layer: Layer, generator: torch.Generator) -> None:
    def decoder(z: Tensor) -> Tensor:
        return layer(z @ LIFT)

    def slow(z: Tensor) -> Tensor:
        return reference.pullback(decoder, z)

    z = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    metric = lg.pullback_metric(decoder)
    laws.assert_near(metric(z), slow(z), laws.rounding(z.dtype))
    laws.matrix_is_differentiable(metric, slow, z)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_norms_written_out_do_not_overflow_in_half_precision(name: str) -> None:
    """Squares of 300 do not fit into float16."""
    x = (300 * _fixed(3, 8)).to(getattr(torch, name))
    for norm in (lambda x: F.layer_norm(x, (8,)), lambda x: F.instance_norm(x.view(-1, 2, 4))):
        expected = norm(x)
        with ElementaryNorms():
            written_out = norm(x)
        torch.testing.assert_close(written_out, expected)


def test_layer_without_second_derivative_gives_a_matrix_and_says_so(generator: torch.Generator) -> None:
    """torch.cdist is differentiable once: G is right, its derivative is refused, not made up."""
    centers = _fixed(5, 3)
    metric = lg.pullback_metric(lambda z: torch.cdist(z, centers))
    z = torch.randn(2, 3, generator=generator, dtype=torch.float64).requires_grad_()
    expected = reference.pullback(lambda p: torch.cdist(p, centers), z)
    laws.assert_near(metric(z), expected, laws.rounding(z.dtype))
    with pytest.raises((NotImplementedError, RuntimeError), match="cdist"):
        torch.autograd.grad(metric(z).sum(), z)
