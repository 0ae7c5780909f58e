"""Metrics of the catalogue of likelihoods: their free numbers as smooth functions of a point of the plane."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

import latentgeo as lg
from metrics.likelihoods import LIKELIHOODS, Likelihood

DIM, OUTPUTS = 2, 4
NAMED = {str(likelihood): likelihood for likelihood in LIKELIHOODS}
SINGLE = [
    NAMED[name]
    for name in ("Bernoulli of logits", "Normal", "Gamma", "Dirichlet", "NegativeBinomial of logits")
]


class Numbers(nn.Module):
    """z -> the free numbers of some outputs of a family, all of them below one and a half."""

    def __init__(self, size: int, outputs: int = OUTPUTS, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight, self.bias = (
            nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
            for shape in ((DIM, outputs * size), (outputs * size,))
        )
        self.size = size

    def forward(self, z: Tensor) -> Tensor:
        x = z @ self.weight.to(z) + self.bias.to(z)
        return 1.5 * x.sin().unflatten(1, (-1, self.size))

    def of(self, output: int) -> Callable[[np.ndarray], np.ndarray]:
        """The numbers of one output at one point, in NumPy."""
        w, b = (p.detach().numpy() for p in (self.weight, self.bias))
        return lambda z: 1.5 * np.sin(z @ w + b).reshape(-1, self.size)[output]


def metric_of(likelihood: Likelihood, numbers: Numbers | None = None, **options: int) -> lg.Metric:
    numbers = Numbers(likelihood.size) if numbers is None else numbers
    return lg.fisher_pullback_metric(lambda z: likelihood.make(numbers(z)), **options)
