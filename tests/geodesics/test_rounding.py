"""Curves that are short beside the rounding of their images: lengths, not rounding errors, are what is summed."""

import copy

import pytest
import torch

import latentgeo as lg


def bent(dtype: torch.dtype) -> torch.nn.Sequential:
    """A smooth decoder with outputs of the size of one, far above what short curves change of them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = torch.nn.Linear(2, 32), torch.nn.Softplus(), torch.nn.Linear(32, 100), torch.nn.Sigmoid()
    return torch.nn.Sequential(*layers).to(dtype).eval()


EXACT = lg.pullback_metric(bent(torch.float32).double())


def pairs(step: float) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    start, way = torch.randn(6, 2, generator=g), torch.randn(6, 2, generator=g)
    return start, start + step * way / way.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("solver", [lg.MinimizeEnergy(), lg.Georce()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize(("step", "error"), [(1e-2, 1e-4), (1e-3, 3e-4), (1e-4, 1e-2)])
def test_short_curves_are_as_long_as_the_metric_says(solver, step, error):
    """Chords summed gave 7% too much at 1e-3, and three times the length at 1e-4."""
    start, end = pairs(step)
    found = lg.geodesic(lg.pullback_metric(bent(torch.float32)), start, end, solver=solver)
    middle = (start.double() + end.double()) / 2
    exact = EXACT.norm(middle, end.double() - start.double())
    torch.testing.assert_close(found.length.double(), exact, rtol=error, atol=0)
    assert found.converged.all()


@pytest.mark.parametrize("ambient", [False, True])
def test_short_curves_in_curved_outputs(ambient):
    def weights(x: torch.Tensor) -> torch.Tensor:
        return torch.diag_embed(1 + x.square())

    start, end = pairs(1e-3)
    outputs = lg.metric_from_function(weights) if ambient else None
    metric = lg.pullback_metric(bent(torch.float32), ambient=outputs)
    exact = metric.norm((start + end) / 2, end - start)
    torch.testing.assert_close(lg.geodesic(metric, start, end).length, exact, rtol=1e-3, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("step", [2.0, 0.05])
def test_decoders_in_half_precision_give_lengths_to_their_precision(dtype, step):
    start, end = pairs(step)
    weights = bent(torch.float32).to(dtype)
    found = lg.geodesic(lg.pullback_metric(weights), start, end)
    exact = lg.distance(lg.pullback_metric(copy.deepcopy(weights).double()), start.double(), end.double())
    torch.testing.assert_close(found.length.double(), exact, rtol=2e-2, atol=0)
