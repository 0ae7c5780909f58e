"""Metrics travel to other processes as their decoders do: by pickle where these do, lambdas by cloudpickle."""

from __future__ import annotations

import pickle

import geoopt
import pytest
import torch
from distributed.protocol.pickle import dumps, loads
from torch import nn

import latentgeo as lg


class Gaussian(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean, self.std = nn.Linear(2, 3), nn.Linear(2, 3)

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.mean(z), self.std(z).exp()


class Coins(nn.Linear):
    def forward(self, z: torch.Tensor) -> torch.distributions.Bernoulli:
        return torch.distributions.Bernoulli(logits=super().forward(z))


def identity(z: torch.Tensor) -> torch.Tensor:
    return torch.eye(2, dtype=z.dtype).expand(len(z), 2, 2)


torch.manual_seed(0)
PLANE = nn.Sequential(nn.Linear(2, 3), nn.Tanh()).eval()
METRICS = {
    "pullback": lg.pullback_metric(PLANE),
    "pullback, chunks": lg.pullback_metric(PLANE, chunk_size=2),
    "immersed ambient": lg.pullback_metric(PLANE, ambient=lg.pullback_metric(nn.Linear(3, 4))),
    "Euclidean ambient": lg.pullback_metric(PLANE, ambient=lg.EuclideanMetric(3)),
    "manifold ambient": lg.pullback_metric(PLANE, ambient=geoopt.Euclidean(ndim=1)),
    "expected": lg.expected_pullback_metric(Gaussian()),
    "fisher": lg.fisher_pullback_metric(Coins(2, 3)),
    "ensemble": lg.ensemble_pullback_metric([PLANE, nn.Linear(2, 3)]),
    "local PCA": lg.LocalPCAMetric(torch.randn(5, 2), bandwidth=1.0, rho=0.1),
    "function": lg.metric_from_function(identity),
}


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("name", METRICS)
def test_metric_is_the_same_after_pickling(name: str, used: bool) -> None:
    metric = METRICS[name]
    z = torch.randn(4, 2, generator=torch.Generator().manual_seed(1))
    if used:
        metric(z)
    copy = pickle.loads(pickle.dumps(metric))
    assert torch.equal(copy(z), metric(z))


def test_metric_of_a_lambda_travels_by_cloudpickle() -> None:
    weights = torch.randn(2, 3)
    metric = lg.pullback_metric(lambda z: torch.sin(z @ weights))
    z = torch.randn(4, 2)
    assert torch.equal(loads(dumps(metric))(z), metric(z))
