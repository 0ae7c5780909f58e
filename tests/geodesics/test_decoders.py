"""Geodesics through every kind of decoder; what they cost in decoded points."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import latentgeo as lg
import laws
from metrics.decoders import KINDS, Kind
from spaces import SPHERE
from strategies import network


def pairs(batch: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    problem = SPHERE.problem(batch, torch.Generator().manual_seed(0))
    return problem.start.to(dtype), problem.end.to(dtype)


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)  # torch.compile's own
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_of_decoder_gives_the_same_distances(kind: Kind) -> None:
    decoder, twin = kind.make(torch.float64)
    generator = torch.Generator().manual_seed(0)
    start, end = 0.5 * torch.randn(2, 3, 3, generator=generator, dtype=torch.float64)
    leaf = start.clone().requires_grad_()
    got = lg.distance(lg.pullback_metric(decoder), leaf, end)
    expected = lg.distance(lg.pullback_metric(twin), start, end)
    laws.assert_near(got, expected, 1e-6)
    (gradient,) = torch.autograd.grad(got.sum(), leaf)
    assert gradient.isfinite().all()


NORMALIZE = {
    "LayerNorm": lambda x: torch.nn.functional.layer_norm(x, (12,)),
    "GroupNorm": lambda x: torch.nn.functional.group_norm(x, 3),
    "InstanceNorm": lambda x: torch.nn.functional.instance_norm(x.unflatten(1, (3, 4))),
}


@pytest.mark.parametrize("normalize", NORMALIZE.values(), ids=NORMALIZE)
def test_exponential_undoes_the_logarithm_through_normalization(normalize: Callable) -> None:
    """The exponential differentiates the metric, the logarithm does not: wrong second derivatives set them apart."""
    net = network(2, 12, gain=0.8)
    start, end = 0.2 * torch.randn(2, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    metric = lg.pullback_metric(lambda z: normalize(net(z)))
    log = lg.logmap(metric, start, end, solver=lg.MinimizeEnergy(num_segments=64))
    arrived = lg.expmap(metric, start, log, rtol=1e-6)
    laws.assert_near(arrived, end, 1e-3, "exp after log", scale=(end - start).abs().max())


def test_chunks_change_nothing_and_bound_every_call() -> None:
    calls: list[int] = []
    net = network(2, 5)

    def decoder(z: Tensor) -> Tensor:
        calls.append(z.shape[0])
        return net(z)

    start, end = pairs(6)
    expected = lg.distance(lg.pullback_metric(net), start, end)
    laws.assert_near(lg.distance(lg.pullback_metric(decoder, chunk_size=50), start, end), expected, 1e-9)
    assert max(calls) <= 50


def test_evaluations_count_the_points_the_decoder_saw() -> None:
    seen = [0]
    net = network(2, 5)

    def decoder(z: Tensor) -> Tensor:
        seen[0] += z.shape[0]
        return net(z)

    metric = lg.pullback_metric(decoder)
    start, end = pairs(6)
    metric(start)  # the choice of how to differentiate is made
    seen[0] = 0
    result = lg.geodesic(metric, start, end)
    assert result.evaluations == seen[0]


def test_converged_curves_leave_the_batch() -> None:
    """One hard pair does not make the easy ones be evaluated to its end."""
    easy = torch.zeros(31, 2, dtype=torch.float64)
    start = torch.cat([easy, torch.tensor([[0.9, 0.0]]).double()])
    end = torch.cat([easy + 1e-3, torch.tensor([[-0.9, 0.1]]).double()])
    metric = SPHERE.metric()
    together = lg.geodesic(metric, start, end)
    apart = [lg.geodesic(metric, start[i : i + 1], end[i : i + 1]).evaluations for i in (0, 31)]
    assert together.evaluations <= 1.1 * (31 * apart[0] + apart[1])
