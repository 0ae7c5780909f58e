"""Metrics that are singular, not smooth, not resolved, or close to the rounding of float32."""

from __future__ import annotations

import warnings

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

import latentgeo as lg
import laws
import reference
from spaces import NETWORKS, SPHERE
from strategies import decoders, dtypes, tensors


def pairs(batch: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    problem = SPHERE.problem(batch, torch.Generator().manual_seed(0))
    return problem.start.to(dtype), problem.end.to(dtype)


def finite_or_flagged(result: lg.GeodesicResult) -> None:
    assert result.points.isfinite().all()
    assert result.length.isfinite().all()
    assert result.energy.isfinite().all()


@pytest.mark.parametrize("kind", ["immersion", "matrix"])
def test_latent_that_does_nothing_gives_finite_curves(kind: str, dtype: torch.dtype) -> None:
    """A dead latent unit: the metric is singular, the distance is that of the other latents."""
    net = NETWORKS[0].metric(dtype)

    def dead(z: Tensor) -> Tensor:
        return net.immersion(z[:, :1])

    metric = lg.pullback_metric(dead)
    if kind == "matrix":
        metric = lg.metric_from_function(metric)
    generator = torch.Generator().manual_seed(0)
    start, end = torch.rand(2, 4, 2, generator=generator, dtype=torch.float64).to(dtype)
    leaf = start.clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lg.ConvergenceWarning)  # it may say that it is not sure
        result = lg.geodesic(metric, start, end)
        (gradient,) = torch.autograd.grad(lg.distance(metric, leaf, end).sum(), leaf)
        assert lg.logmap(metric, start, end).isfinite().all()
    finite_or_flagged(result)
    laws.assert_near(result.length, lg.distance(net, start[:, :1], end[:, :1]), 1e-5)
    assert gradient.isfinite().all()


def test_decoder_that_ignores_all_latents_has_distance_zero(dtype: torch.dtype) -> None:
    metric = lg.pullback_metric(lambda z: 0 * z + 1)
    start, end = pairs(3, dtype)
    result = lg.geodesic(metric, start, end)
    finite_or_flagged(result)
    assert not result.length.any()
    assert lg.logmap(metric, start, end).isfinite().all()


def test_rectified_decoder_gives_finite_curves_that_are_converged_or_flagged(dtype: torch.dtype) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 8)).to(dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    start, end = torch.randn(2, 8, 2, generator=generator).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lg.ConvergenceWarning)
        result = lg.geodesic(lg.pullback_metric(net), start, end)
    finite_or_flagged(result)
    straight = torch.stack([start + s * (end - start) for s in torch.linspace(0, 1, 513, dtype=dtype)], 1)
    images = net(straight.flatten(0, 1)).unflatten(0, (8, -1)).detach()
    assert (result.length <= images.diff(dim=1).norm(dim=2).sum(1) * (1 + 1e-3)).all()


@pytest.mark.parametrize("reach", [1.0, 0.1, 0.01, 1e-3])
@pytest.mark.parametrize("space", [NETWORKS[0], NETWORKS[1], NETWORKS[3]], ids=str)
def test_short_pairs_converge_in_float32_too(space, reach: float) -> None:
    """Images of near points agree in their leading digits: what is lost is rounding, not convergence.

    A chord of length reach/32 between images of size 10 has a relative error of eps * 10 * 32 / reach.
    """
    generator = torch.Generator().manual_seed(0)
    start = space.points(16, generator)
    direction = torch.randn(start.shape, generator=generator, dtype=torch.float64)
    norm = reference.product(space.matrix(start), direction, direction).sqrt()
    end = start + reach * direction / norm[:, None]
    expected = lg.distance(space.metric(), start, end)
    result = lg.geodesic(space.metric(torch.float32), start.float(), end.float())
    assert result.converged.all()
    laws.assert_near(result.length, expected, torch.finfo(torch.float32).eps * (20 + 10 * 32 / reach))


@pytest.mark.parametrize("turns", [0.9, 3.0, 6.5, 20.0, 32.0, 64.0, 100.0])
def test_winding_curve_has_its_length_or_a_flag(turns: float, dtype: torch.dtype) -> None:
    """One latent winds round a circle: nothing can be shortened, and few segments see a polygon or nothing at all."""
    angle = 2 * torch.pi * turns
    metric = lg.pullback_metric(lambda z: torch.cat([(angle * z).cos(), (angle * z).sin()], 1))
    ends = torch.tensor([[0.0], [1.0]], dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lg.ConvergenceWarning)
        result = lg.geodesic(metric, ends[0], ends[1])
    if result.converged.all():
        laws.assert_near(result.length, torch.tensor([angle]), 1e-2, f"length of {turns} turns")


def test_chords_cannot_be_gamed_by_a_fold() -> None:
    """A wall in the middle that a coarse curve would jump: the refined length does not undercut the way round."""

    def decoder(z: Tensor) -> Tensor:
        return torch.cat([z, 3 * torch.exp(-((z[:, :1] / 0.02) ** 2))], 1)

    start = torch.tensor([[-1.0, 0.0]], dtype=torch.float64)
    end = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lg.ConvergenceWarning)
        result = lg.geodesic(lg.pullback_metric(decoder), start, end)
    assert (
        not result.converged.all() or float(result.length) > 7.0
    )  # over the wall and down again: 2 and twice 3


@hypothesis.settings(max_examples=15)
@hypothesis.given(st.data())
def test_any_decoder_gives_finite_curves_with_their_ends(data: st.DataObject) -> None:
    """Random smooth networks, some with a single hidden unit and so a singular metric."""
    dtype, dim, batch = data.draw(dtypes()), data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    metric = lg.pullback_metric(data.draw(decoders(dim, dtype)))
    start, end = (data.draw(tensors((batch, dim), dtype)) for _ in range(2))
    hypothesis.assume(not torch.equal(start, end))  # test_distance_to_itself_is_zero
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lg.ConvergenceWarning)
        result = lg.geodesic(metric, start, end)
    finite_or_flagged(result)
    laws.curve_ends_exactly(result, start, end)
    images = metric.immersion(torch.cat([start, end])).detach()
    chord = (images[:batch] - images[batch:]).norm(dim=1)
    slack = 32 * laws.rounding(dtype) * images.abs().max()
    assert (result.length >= chord * (1 - 1e-3) - slack).all()  # nothing is shorter than the ambient chord
