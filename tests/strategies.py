"""Hypothesis strategies (batch shapes, dtypes, points, positive definite matrices, decoders) and fixed networks."""

from __future__ import annotations

import itertools
import math

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

DTYPES = (torch.float32, torch.float64)

_SMOOTH = (nn.Tanh, nn.Softplus, nn.Sigmoid, nn.GELU)


def dtypes() -> st.SearchStrategy[torch.dtype]:
    """The floating-point types the library promises to follow."""
    return st.sampled_from(DTYPES)


def batch_shapes(max_dims: int = 3, max_side: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    """Any number of leading dimensions, none and empty ones included."""
    return st.lists(st.integers(0, max_side), max_size=max_dims).map(tuple)


def seeds() -> st.SearchStrategy[torch.Generator]:
    """Seeded generators."""
    return st.integers(0, 2**31 - 1).map(lambda seed: torch.Generator().manual_seed(seed))


def tensors(shape: tuple[int, ...], dtype: torch.dtype, scale: float = 1.0) -> st.SearchStrategy[Tensor]:
    """Normal numbers of a shape."""
    return seeds().map(lambda g: (scale * torch.randn(shape, dtype=torch.float64, generator=g)).to(dtype))


@st.composite
def spd_matrices(
    draw: st.DrawFn, dim: int, dtype: torch.dtype, *, batch: tuple[int, ...] = (), condition: float = 100.0
) -> Tensor:
    """Symmetric positive definite matrices (*batch, dim, dim) of a condition number at most `condition`."""
    generator = draw(seeds())
    frame = torch.linalg.qr(torch.randn(*batch, dim, dim, dtype=torch.float64, generator=generator)).Q
    spread = torch.rand(*batch, dim, dtype=torch.float64, generator=generator)
    matrix = (frame * (condition**spread)[..., None, :]) @ frame.mT
    return (0.5 * (matrix + matrix.mT)).to(dtype)


@st.composite
def decoders(draw: st.DrawFn, dim: int, dtype: torch.dtype) -> nn.Module:
    """Smooth random networks from dim latents to an event of one to three dimensions, in eval mode."""
    generator = draw(seeds())
    width, depth = draw(st.integers(1, 8)), draw(st.integers(0, 2))
    event = draw(st.sampled_from([(1,), (3,), (2, 3), (1, 2, 2)]))
    layers: list[nn.Module] = []
    sizes = [dim, *([width] * depth), torch.Size(event).numel()]
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        linear = nn.Linear(a, b)
        with torch.no_grad():
            linear.weight.normal_(0, 1.5 / a**0.5, generator=generator)
            linear.bias.normal_(0, 0.5, generator=generator)
        layers.append(linear)
        if i < depth:
            layers.append(draw(st.sampled_from(_SMOOTH))())
    return nn.Sequential(*layers, nn.Unflatten(1, event)).to(dtype).eval()


def network(d: int, out: int, *, width: int = 24, seed: int = 0, gain: float = 1.6) -> nn.Sequential:
    """A smooth random decoder in float64, curved on the scale of one latent unit."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(d, width), nn.Tanh(), nn.Linear(width, width), nn.Softplus(), nn.Linear(width, out)
    ).double()
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear):
                layer.weight.normal_(0, gain / math.sqrt(layer.in_features), generator=generator)
                layer.bias.normal_(0, 0.3, generator=generator)
    return net.eval().requires_grad_(False)


class GaussianDecoder(nn.Module):
    """z -> (mean, std), both smooth networks."""

    def __init__(self, d: int, out: int) -> None:
        super().__init__()
        self.mean = network(d, out, seed=11)
        self.std = nn.Sequential(*network(d, out, seed=12), nn.Softplus())

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(z), self.std(z)
