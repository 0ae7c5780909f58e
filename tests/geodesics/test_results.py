"""What the functions give back: shapes, dtypes, statuses, warnings, and nothing of the caller's touched."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

import latentgeo as lg
import laws
from spaces import HALF_PLANE, NETWORKS, SPHERE, SPHERE_FUNCTION


def pairs(batch: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    problem = SPHERE.problem(batch, torch.Generator().manual_seed(0))
    return problem.start.to(dtype), problem.end.to(dtype)


@pytest.mark.parametrize("segments", [1, 2, 3, 5, 8, 31, 32, 48])
@pytest.mark.parametrize("space", [SPHERE, SPHERE_FUNCTION], ids=str)
def test_fields_have_the_promised_shapes_and_dtypes(space, segments: int, dtype: torch.dtype) -> None:
    start, end = pairs(3, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lg.ConvergenceWarning)  # few segments may not resolve the curve
        result = lg.geodesic(space.metric(dtype), start, end, solver=lg.MinimizeEnergy(num_segments=segments))
    assert len(result) == 3
    assert result.points.shape == (3, segments + 1, 2)
    for field in (result.length, result.energy, result.residual):
        assert field.shape == (3,)
        assert field.dtype == dtype
        assert field.isfinite().all()
    assert result.points.dtype == dtype
    assert result.converged.shape == (3,)
    assert result.converged.dtype == torch.bool
    assert isinstance(result.status, np.ndarray)
    assert result.status.shape == (3,)
    assert all(isinstance(s, lg.Status) for s in result.status)
    assert result.converged.tolist() == [s is lg.Status.CONVERGED for s in result.status]
    assert result.steps.shape == (3,)
    assert not result.steps.is_floating_point()
    assert isinstance(result.evaluations, int)
    times = torch.linspace(0, 1, 7, dtype=dtype)
    assert result.at(times).shape == (3, 7, 2)
    assert result.at(times).dtype == dtype
    fields = [getattr(result, field.name) for field in dataclasses.fields(result)]
    assert not any(value.requires_grad for value in fields if isinstance(value, Tensor))
    assert "3 curves" in repr(result)


SHAPES = [
    ((2,), (2,), 1),
    ((5, 2), (2,), 5),
    ((2,), (5, 2), 5),
    ((1, 2), (5, 2), 5),
    ((0, 2), (0, 2), 0),
    ((0, 2), (2,), 0),
]


@pytest.mark.parametrize(("of_start", "of_end", "batch"), SHAPES)
@pytest.mark.parametrize("space", [SPHERE, SPHERE_FUNCTION], ids=str)
def test_single_points_are_joined_to_every_other(space, of_start: tuple, of_end: tuple, batch: int) -> None:
    generator = torch.Generator().manual_seed(0)
    start, end = (torch.rand(shape, generator=generator, dtype=torch.float64) for shape in (of_start, of_end))
    metric = space.metric()
    result = lg.geodesic(metric, start, end)
    assert len(result) == batch
    assert result.points.shape == (batch, 33, 2)
    assert result.at(torch.tensor([0.5], dtype=torch.float64)).shape == (batch, 1, 2)
    expected = SPHERE.formulas.distance(start.expand(batch, 2), end.expand(batch, 2))
    laws.assert_near(result.length, expected, 1e-6)
    laws.assert_near(lg.distance(metric, start, end), expected, 1e-6)
    assert lg.logmap(metric, start, end).shape == torch.broadcast_shapes(of_start, of_end)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (2, 0)])
def test_leading_dimensions_of_exp_and_log_are_batch(shape: tuple) -> None:
    metric = SPHERE_FUNCTION.metric()
    generator = torch.Generator().manual_seed(0)
    z, v = (0.5 * torch.randn(*shape, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    arrived = lg.expmap(metric, z, v, rtol=1e-6)
    assert arrived.shape == (*shape, 2)
    times = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    path = lg.expmap(metric, z, v, t=times, rtol=1e-6)
    assert path.shape == (*shape, 3, 2)
    laws.assert_near(path[..., 0, :], z, laws.rounding(z.dtype))
    laws.assert_near(path[..., 2, :], arrived, 1e-9)
    assert lg.logmap(metric, z, arrived).shape == (*shape, 2)


def test_exponential_follows_the_known_geodesic(dtype: torch.dtype) -> None:
    """Also back in time, and past the time 1."""
    times = torch.tensor([-0.5, 0.0, 0.25, 1.0, 1.5], dtype=torch.float64)
    for space in (SPHERE_FUNCTION, HALF_PLANE):
        z, w = (
            space.points(3, torch.Generator().manual_seed(3)),
            space.points(3, torch.Generator().manual_seed(4)),
        )
        v = 0.5 * space.formulas.log(z, w)
        expected = torch.stack([space.formulas.exp(z, s * v) for s in times], 1)
        got = lg.expmap(space.metric(dtype), z.to(dtype), v.to(dtype), t=times.to(dtype))
        laws.assert_near(got, expected, 1e-7 if dtype == torch.float64 else 1e-4)


def test_exponential_is_differentiable_in_point_and_velocity() -> None:
    problem = SPHERE_FUNCTION.problem(1, torch.Generator().manual_seed(0))
    z, v = problem.start.requires_grad_(), problem.velocity.requires_grad_()
    metric = SPHERE_FUNCTION.metric()
    assert torch.autograd.gradcheck(lambda z, v: lg.expmap(metric, z, v, rtol=1e-7), (z, v), atol=1e-5)


@pytest.mark.parametrize(
    "solver", [lg.MinimizeEnergy(), lg.Georce(), lg.Shooting()], ids=lambda s: type(s).__name__
)
def test_curve_from_an_initial_one_has_the_ends_asked_for(solver: object) -> None:
    """Not those of the initial curve, which rounding may have moved."""
    start, end = pairs(3)
    initial = torch.stack([start * (1 + 1e-15), (start + end) / 2, end * (1 - 1e-15)], 1)
    laws.curve_ends_exactly(
        lg.geodesic(SPHERE.metric(), start, end, initial=initial, solver=solver), start, end
    )


def test_lost_curve_can_be_gone_on_from_beside_others() -> None:
    start, end = pairs(3)
    start[1, 0] = torch.nan
    with pytest.warns(lg.ConvergenceWarning, match="1 of 3"):
        result = lg.geodesic(SPHERE.metric(), start, end)
    with pytest.warns(lg.ConvergenceWarning, match="1 of 3"):
        again = lg.geodesic(SPHERE.metric(), start, end, initial=result.points)
    assert list(again.status) == list(result.status)


def test_arguments_are_left_alone() -> None:
    start, end = (x.requires_grad_() for x in pairs(3))
    initial = torch.stack([start + s * (end - start) for s in torch.linspace(0, 1, 9)], 1).detach()
    kept = [x.detach().clone() for x in (start, end, initial)]
    result = lg.geodesic(SPHERE.metric(), start, end, initial=initial)
    result.points[:] = 0  # what is the caller's now shares no memory with what was the caller's before
    lg.logmap(SPHERE.metric(), start, end)
    for x, k in zip((start, end, initial), kept, strict=True):
        assert torch.equal(x, k)
    assert start.grad is None


def test_gradient_modes_change_nothing() -> None:
    start, end = pairs(3)
    expected = lg.distance(SPHERE.metric(), start, end)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            laws.assert_near(lg.distance(SPHERE.metric(), start, end), expected, 1e-12)
            laws.assert_near(lg.geodesic(SPHERE.metric(), start, end).length, expected, 1e-12)
            lg.logmap(SPHERE.metric(), start, end)


def test_default_dtype_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    start, end = pairs(2)
    expected = lg.geodesic(SPHERE_FUNCTION.metric(), start, end)
    monkeypatch.setattr(torch, "get_default_dtype", torch.get_default_dtype)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        result = lg.geodesic(SPHERE_FUNCTION.metric(torch.float32), start.float(), end.float())
    finally:
        torch.set_default_dtype(before)
    assert result.points.dtype == torch.float32
    laws.assert_near(result.length, expected.length, 1e-5)


def test_global_random_state_is_untouched() -> None:
    before = torch.get_rng_state()
    lg.geodesic(NETWORKS[1].metric(), *pairs(2))
    assert torch.equal(before, torch.get_rng_state())
