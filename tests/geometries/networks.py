"""Decoders that are networks of random weights."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import torch
from torch import nn

import latentgeo as lg
import reference
from geometries.space import Space, in_ball, integrated
from strategies import GaussianDecoder, network


def _of_dtype(module: nn.Module, pull: Callable[[nn.Module], lg.Metric]):
    @functools.cache
    def build(dtype: torch.dtype, device: torch.device | str) -> lg.Metric:
        return pull(copy.deepcopy(module).to(device, dtype))

    return build


def _network_space(d: int, out: int) -> Space:
    net = network(d, out, seed=d)
    return integrated(
        f"network of {d} latents", d, in_ball(d, 1.0), 1.0, _of_dtype(net, lg.pullback_metric),
        reference.network_matrix(net), reference.network_acceleration(net),
    )  # fmt: skip


def _gaussian_space() -> Space:
    decoder = GaussianDecoder(2, 6)
    nets = decoder.mean, decoder.std
    return integrated(
        "Gaussian decoder", 2, in_ball(2, 1.0), 1.0, _of_dtype(decoder, lg.expected_pullback_metric),
        reference.network_matrix(*nets), reference.network_acceleration(*nets),
    )  # fmt: skip


NETWORKS = tuple(_network_space(d, out) for d, out in ((1, 4), (2, 5), (3, 12), (10, 20)))
GAUSSIAN = _gaussian_space()
