"""What a sample and a divergence of structured normals cost, as the dimension grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

from latentgeo.models import ChainNormal, GridNormal

_ROWS = 4  # of grids, however long they are
_REPEATS = 5
_LARGEST_DENSE = 256


@dataclass(frozen=True)
class Cost:
    """Of one family in one dimension: a batch of normals from their parameters, a sample of each, its density and its
    divergence from N(0, I).

    Attributes:
        family: its name.
        latents: k.
        written: numbers that all operations together wrote.
        seconds: the least of some repeats.
    """

    family: str
    latents: int
    written: int
    seconds: float


def costs(dimensions: Sequence[int], batch: int) -> list[Cost]:
    """The costs of every family in every dimension.

    Args:
        dimensions: k, multiples of 4.
        batch: how many normals at once.
    """
    found = []
    for name, family in _FAMILIES.items():
        for k in dimensions:
            if name == "dense" and k > _LARGEST_DENSE:
                continue
            with _Written() as written:
                _used(family(batch, k))
            seconds = []
            for _ in range(_REPEATS):
                began = time.perf_counter()
                _used(family(batch, k))
                seconds.append(time.perf_counter() - began)
            found.append(Cost(name, k, written.numbers, min(seconds)))
    return found


def exponent(dimensions: Sequence[int], values: Sequence[float]) -> float:
    """The slope of logarithms: the power of k with which a cost grows."""
    return float(np.polyfit(np.log(dimensions), np.log(values), 1)[0])


class _Written(TorchDispatchMode):
    """Counts the numbers that operations write, so that a cost is the same on every machine."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        for output in result if isinstance(result, tuple | list) else (result,):
            if isinstance(output, Tensor):
                self.numbers += output.numel()
        return result


def _used(normal: Distribution) -> None:
    """What training asks of a posterior."""
    z = normal.rsample()
    normal.log_prob(z)
    k = z.shape[-1]
    if isinstance(normal, MultivariateNormal):
        prior: Distribution = MultivariateNormal(torch.zeros(k), torch.eye(k), validate_args=False)
    else:
        prior = Independent(Normal(torch.zeros(k), torch.ones(k), validate_args=False), 1)
    kl_divergence(normal, prior)


def _diagonal(batch: int, k: int) -> Distribution:
    return Independent(Normal(torch.zeros(batch, k), torch.ones(batch, k), validate_args=False), 1)


def _chain(batch: int, k: int) -> Distribution:
    diagonal, beside = torch.ones(batch, k), torch.full((batch, k - 1), 0.1)
    return ChainNormal(torch.zeros(batch, k), diagonal, beside, validate_args=False)


def _grid(batch: int, k: int) -> Distribution:
    shape = (_ROWS, k // _ROWS)
    beside = torch.full((batch, GridNormal.num_parameters(shape)), 0.1)
    return GridNormal(torch.zeros(batch, k), torch.ones(batch, k), beside, shape=shape, validate_args=False)


def _dense(batch: int, k: int) -> Distribution:
    """The chain's, as the precision matrix that it is."""
    chain = ChainNormal(torch.zeros(k), torch.ones(k), torch.full((k - 1,), 0.1))
    precision = chain.precision_matrix.expand(batch, k, k)
    return MultivariateNormal(torch.zeros(batch, k), precision_matrix=precision, validate_args=False)


_FAMILIES: dict[str, Callable[[int, int], Distribution]] = {
    "diagonal": _diagonal,
    "chain": _chain,
    "grid": _grid,
    "dense": _dense,
}
