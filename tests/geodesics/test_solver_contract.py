"""What every solver owes, whatever the metric: a word on each curve, and nothing of its batch-mates."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

import latentgeo as lg
import laws
from spaces import NETWORKS, SPHERE

# with fewer nodes than by default, so that hopeless curves are given up sooner
SOLVERS = (lg.BoundaryValue(max_nodes=100), lg.Georce())


@pytest.fixture(params=SOLVERS, ids=lambda s: type(s).__name__)
def solver(request: pytest.FixtureRequest) -> lg.BoundaryValue | lg.Georce:
    return request.param


def pairs(batch: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    problem = SPHERE.problem(batch, torch.Generator().manual_seed(0))
    return problem.start.to(dtype), problem.end.to(dtype)


def cap(z: Tensor) -> Tensor:
    """The upper half of the sphere, not a number outside the unit disk."""
    return torch.cat([z, (1 - z.square().sum(1, keepdim=True)).sqrt()], 1)


@pytest.mark.parametrize("kind", ["immersion", "matrix"])
@pytest.mark.parametrize("end_only", [True, False], ids=["at an end", "on the way"])
def test_nan_region_flags_its_own_curves_only(solver, kind: str, end_only: bool, dtype: torch.dtype) -> None:
    def holed(z: Tensor) -> Tensor:
        return cap(0.1 * z) * torch.where((z[:, :1] > 1) & (z[:, :1] < 2), torch.nan, 1.0)

    metric = lg.pullback_metric(cap if end_only else holed)
    if kind == "matrix":
        metric = lg.metric_from_function(metric)
    start = torch.tensor([[0.1, 0.2], [-0.4, 0.0], [0.3, -0.4]], dtype=dtype)
    end = torch.tensor([[0.5, -0.1], [3.0, 0.0], [-0.3, 0.2]], dtype=dtype)
    with pytest.warns(lg.ConvergenceWarning, match="1 of 3 curves") as caught:
        result = lg.geodesic(metric, start, end, solver=solver)
    assert [w.category for w in caught].count(lg.ConvergenceWarning) == 1
    assert list(result.status) == [lg.Status.CONVERGED, lg.Status.NON_FINITE, lg.Status.CONVERGED]
    assert result.points.isfinite().all()
    good = torch.tensor([0, 2])
    alone = lg.geodesic(metric, start[good], end[good], solver=solver)
    laws.assert_near(result.points[good], alone.points, 1e3 * torch.finfo(dtype).eps)
    assert result.steps[good].tolist() == alone.steps.tolist()


@pytest.mark.parametrize("value", [torch.nan, torch.inf], ids=["NaN", "infinity"])
def test_points_that_are_not_finite_flag_their_own_curves_only(solver, value: float) -> None:
    start, end = pairs(4)
    start[1, 0], end[2, 1] = value, value
    with pytest.warns(lg.ConvergenceWarning, match="2 of 4 curves") as caught:
        result = lg.geodesic(SPHERE.metric(), start, end, solver=solver)
    assert [w.category for w in caught].count(lg.ConvergenceWarning) == 1
    lost, fine = lg.Status.NON_FINITE, lg.Status.CONVERGED
    assert list(result.status) == [fine, lost, lost, fine]
    assert result.length[[0, 3]].isfinite().all()


@pytest.mark.parametrize("mixed", [False, True], ids=["along an axis", "across axes"])
def test_latent_that_does_nothing_gives_a_finite_or_flagged_curve(
    solver, mixed: bool, dtype: torch.dtype
) -> None:
    net = NETWORKS[0].metric(dtype)
    direction = torch.tensor([[0.8], [0.6]] if mixed else [[1.0], [0.0]], dtype=dtype)
    metric = lg.pullback_metric(lambda z: net.immersion(z @ direction))
    generator = torch.Generator().manual_seed(0)
    start, end = torch.rand(2, 2, 2, generator=generator, dtype=torch.float64).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lg.ConvergenceWarning)
        result = lg.geodesic(metric, start, end, solver=solver)
    assert result.points.isfinite().all()
    assert result.length.isfinite().all()
    expected = lg.distance(net, start @ direction, end @ direction)
    fine = result.converged
    laws.assert_near(result.length[fine], expected[fine], 1e-5)
    assert (result.length >= expected * (1 - 1e-5)).all()
    assert mixed or fine.all()


def test_decoder_that_ignores_all_latents_has_distance_zero(solver, dtype: torch.dtype) -> None:
    start, end = pairs(3, dtype)
    result = lg.geodesic(lg.pullback_metric(lambda z: 0 * z + 1), start, end, solver=solver)
    assert result.converged.all()
    assert result.points.isfinite().all()
    assert not result.length.any()


def test_indefinite_metric_ends_in_a_flag(solver) -> None:
    """A user's mistake that no check finds beforehand: a matrix with a negative eigenvalue."""
    matrix = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))
    metric = lg.metric_from_function(lambda z: matrix * (1 + z[:, :1, None] ** 2))
    start, end = pairs(2)
    with pytest.warns(lg.ConvergenceWarning, match="2 of 2 curves"):
        lg.geodesic(metric, start, end, solver=solver)


@pytest.mark.parametrize("segments", [1, 2, 3, 7])
def test_any_number_of_segments(solver, segments: int) -> None:
    start, end = pairs(3)
    short = start + 0.2 * (end - start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lg.ConvergenceWarning)
        result = lg.geodesic(SPHERE.metric(), start, short, solver=type(solver)(num_segments=segments))
    assert result.points.shape == (3, segments + 1, 2)
    laws.curve_ends_exactly(result, start, short)
    laws.assert_near(result.length, SPHERE.formulas.distance(start, short), 3e-2)


def test_empty_batch(solver) -> None:
    result = lg.geodesic(SPHERE.metric(), *pairs(0), solver=solver)
    assert len(result) == 0
    assert result.points.shape == (0, 33, 2)
    assert result.residual.shape == result.steps.shape == (0,)


def test_views_are_read_and_never_written(solver) -> None:
    """Every second coordinate of a larger tensor: the same curves as from a copy, and the tensor is as it was."""
    start, end = pairs(3)
    wide = torch.stack([start, end]).repeat_interleave(2, dim=2)
    kept = wide.clone()
    initial = torch.stack([start, (start + end) / 2, end], 1).transpose(0, 1).contiguous().transpose(0, 1)
    before = initial.clone()
    result = lg.geodesic(SPHERE.metric(), wide[0, :, ::2], wide[1, :, ::2], solver=solver, initial=initial)
    assert torch.equal(wide, kept)
    assert torch.equal(initial, before)
    same = lg.geodesic(SPHERE.metric(), start, end, solver=solver, initial=before)
    assert torch.equal(result.points, same.points)


def test_inference_mode_changes_nothing(solver) -> None:
    start, end = pairs(2)
    expected = lg.geodesic(SPHERE.metric(), start, end, solver=solver)
    with torch.inference_mode():
        result = lg.geodesic(SPHERE.metric(), start.clone(), end.clone(), solver=solver)
    assert torch.equal(result.points, expected.points)
    assert not result.points.requires_grad


def test_going_on_from_the_result_is_quicker(solver) -> None:
    start, end = pairs(3)
    whole = lg.geodesic(SPHERE.metric(), start, end, solver=solver)
    again = lg.geodesic(SPHERE.metric(), start, end, solver=solver, initial=whole.points)
    assert again.converged.all()
    assert (again.steps <= whole.steps).all()
    assert again.evaluations < whole.evaluations
    laws.assert_near(again.length, whole.length, 1e-8)


def test_evaluations_count_the_points_the_metric_saw(solver) -> None:
    """For a metric without immersion; differentiating it looks at some points more than once."""
    seen = [0]

    def matrix(z: Tensor) -> Tensor:
        seen[0] += len(z)
        return torch.eye(2, dtype=z.dtype) * (1 + z.square().sum(1))[:, None, None]

    start, end = pairs(3)
    result = lg.geodesic(lg.metric_from_function(matrix), start, end, solver=solver)
    assert seen[0] / 3.5 <= result.evaluations <= seen[0]


def test_options_are_keyword_only_and_frozen(solver) -> None:
    with pytest.raises(TypeError):
        type(solver)(32)
    with pytest.raises(AttributeError):
        solver.tol = 1.0


def test_out_of_steps_is_flagged_with_the_advice() -> None:
    start, end = pairs(3)
    with pytest.warns(lg.ConvergenceWarning, match="3 of 3 curves.*MAX_STEPS"):
        result = lg.geodesic(SPHERE.metric(), start, end, solver=lg.Georce(max_steps=2))
    assert (result.steps == 2).all()
    assert (result.status == lg.Status.MAX_STEPS).all()
    assert (result.length >= SPHERE.formulas.distance(start, end) * (1 - 1e-6)).all()
