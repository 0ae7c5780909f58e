"""How failure shows: a status for every curve, one warning for the batch, and nothing for its batch-mates."""

from __future__ import annotations

import inspect
import warnings

import pytest
import torch
from torch import Tensor

import latentgeo as lg
import latentgeo.geodesics.solve as solve_module
import laws
from spaces import SPHERE

SLOW_TO_CONVERGE = lg.MinimizeEnergy(max_steps=1)


def pairs(batch: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    problem = SPHERE.problem(batch, torch.Generator().manual_seed(0))
    return problem.start.to(dtype), problem.end.to(dtype)


def test_one_warning_for_the_batch_names_the_count_and_the_advice() -> None:
    start, end = pairs(5)
    for function in (lg.geodesic, lg.distance, lg.logmap):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function(SPHERE.metric(), start, end, solver=SLOW_TO_CONVERGE)
        assert [w.category for w in caught] == [lg.ConvergenceWarning]
        assert "5 of 5 curves" in str(caught[0].message)
        assert lg.Status.MAX_STEPS.value in str(caught[0].message)


@pytest.mark.parametrize("name", ["geodesic", "distance", "logmap"])
def test_warning_points_at_the_caller(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run-time type checks put frames of their own in between, so here both functions are without."""
    warn = inspect.unwrap(solve_module.warn_of_failures)
    monkeypatch.setattr(solve_module, "warn_of_failures", warn)
    with pytest.warns(lg.ConvergenceWarning) as caught:
        inspect.unwrap(getattr(lg, name))(SPHERE.metric(), *pairs(2), solver=SLOW_TO_CONVERGE)
    assert caught[0].filename == __file__


def test_curve_out_of_steps_is_the_best_found_and_flagged() -> None:
    start, end = pairs(4)
    with pytest.warns(lg.ConvergenceWarning):
        result = lg.geodesic(SPHERE.metric(), start, end, solver=SLOW_TO_CONVERGE)
    assert not result.converged.any()
    assert (result.status == lg.Status.MAX_STEPS).all()
    assert (result.steps <= 1).all()
    laws.curve_ends_exactly(result, start, end)
    exact = SPHERE.formulas.distance(start, end)
    straight = torch.stack([start + s * (end - start) for s in torch.linspace(0, 1, 33)], 1)
    with pytest.warns(lg.ConvergenceWarning):
        from_line = lg.geodesic(SPHERE.metric(), start, end, solver=SLOW_TO_CONVERGE, initial=straight)
    assert (result.length >= exact * (1 - 1e-6)).all()
    assert (from_line.energy >= exact.square() / 2 * (1 - 1e-6)).all()


def test_going_on_from_the_result_converges() -> None:
    """The advice of MAX_STEPS works: fewer steps are left than from the straight line."""
    start, end = pairs(4)
    solver = lg.MinimizeEnergy()
    whole = lg.geodesic(SPHERE.metric(), start, end, solver=solver)
    again = lg.geodesic(SPHERE.metric(), start, end, solver=solver, initial=whole.points)
    assert again.converged.all()
    assert (again.steps <= 2).all()
    laws.assert_near(again.length, whole.length, 1e-9)


@pytest.mark.parametrize("status", list(lg.Status), ids=lambda s: s.name)
def test_status_is_a_sentence_with_advice(status: lg.Status) -> None:
    assert status.value[0].isupper()
    assert status.value.endswith(".")
    if status is not lg.Status.CONVERGED:
        assert any(word in status.value for word in ("raise", "use", "look", "give", "try", "add", "more"))


@pytest.mark.parametrize("end_only", [True, False], ids=["at an end", "on the way"])
def test_nan_region_flags_its_own_curves_only(end_only: bool, dtype: torch.dtype) -> None:
    """A decoder that is not a number outside the unit ball; the other curves are what they are alone."""

    def decoder(z: Tensor) -> Tensor:
        return torch.cat([z, (1 - z.square().sum(1, keepdim=True)).sqrt()], 1)

    metric = lg.pullback_metric(decoder)
    start = torch.tensor([[0.1, 0.2], [-0.4, 0.0], [0.3, -0.4]], dtype=dtype)
    end = torch.tensor([[0.5, -0.1], [3.0, 0.0], [-0.3, 0.2]], dtype=dtype)
    if not end_only:
        decoder_inside = decoder
        metric = lg.pullback_metric(
            lambda z: torch.where((z[:, :1] > 1) & (z[:, :1] < 2), torch.nan, decoder_inside(0.1 * z))
        )
    with pytest.warns(lg.ConvergenceWarning, match="1 of 3 curves") as caught:
        result = lg.geodesic(metric, start, end)
    assert len(caught) == 1
    assert list(result.status) == [lg.Status.CONVERGED, lg.Status.NON_FINITE, lg.Status.CONVERGED]
    good = torch.tensor([0, 2])
    alone = lg.geodesic(metric, start[good], end[good])
    laws.assert_near(result.points[good], alone.points, 1e3 * torch.finfo(dtype).eps)
    laws.assert_near(result.length[good], alone.length, 1e3 * torch.finfo(dtype).eps)
    assert result.steps[good].tolist() == alone.steps.tolist()


@pytest.mark.parametrize("where", ["start", "end"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf], ids=["NaN", "infinity"])
def test_points_that_are_not_finite_flag_their_own_curves_only(where: str, value: float) -> None:
    start, end = pairs(3)
    {"start": start, "end": end}[where][1, 0] = value
    with pytest.warns(lg.ConvergenceWarning, match="1 of 3 curves"):
        result = lg.geodesic(SPHERE.metric(), start, end)
    assert list(result.status) == [lg.Status.CONVERGED, lg.Status.NON_FINITE, lg.Status.CONVERGED]
    assert result.length[[0, 2]].isfinite().all()


def rooted(weights: Tensor) -> lg.Metric:
    """The graph of a root, which ends at z1 = -1, with a weight for each coordinate."""
    return lg.pullback_metric(lambda z: weights * torch.cat([z, (z[:, :1] + 1).sqrt()], 1))


def test_lost_pair_takes_no_part_in_the_gradients_of_its_mates() -> None:
    """Of the weights and the end that they share."""
    shared, end = torch.tensor([1.0, 1.0]).double(), torch.tensor([[0.0, 0.0], [-3.0, 0.0]]).double()
    gradients = []
    for rows in (slice(None), slice(1)):
        inputs = torch.ones(3, dtype=torch.float64, requires_grad=True), shared.clone().requires_grad_()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", lg.ConvergenceWarning)
            lengths = lg.distance(rooted(inputs[0]), inputs[1], end[rows])
        assert lengths.isfinite().tolist() == [True, False][rows]
        gradients.append(torch.autograd.grad(lengths[0], inputs))
    for beside, alone in zip(*gradients, strict=True):
        laws.assert_near(beside, alone, 1e-12)


def test_lost_geodesic_takes_no_part_in_the_gradients_of_its_mates() -> None:
    """Lost at its start, or at the wall on its way."""
    z = torch.tensor([[0.5, 0.0], [-3.0, 0.0], [-0.9, 0.0]]).double()
    v = torch.tensor([[0.3, 0.1], [0.1, 0.1], [-30.0, 0.0]]).double()
    weights = torch.ones(3, dtype=torch.float64, requires_grad=True)
    with pytest.warns(lg.ConvergenceWarning, match="2 of 3 geodesics"):
        arrived = lg.expmap(rooted(weights), z, v, rtol=1e-5, num_steps=8)
    (beside,) = torch.autograd.grad(arrived[0].sum(), weights)
    (alone,) = torch.autograd.grad(lg.expmap(rooted(weights), z[:1], v[:1], rtol=1e-5).sum(), weights)
    laws.assert_near(beside, alone, 1e-12)


def test_rejected_step_takes_no_part_in_the_gradient_of_its_own_row() -> None:
    """Down the half-plane y = exp(v t): the first step that is tried leads below the boundary."""
    half_plane = lg.metric_from_function(
        lambda z: torch.exp(-2 * z[:, 1].log())[:, None, None] * torch.eye(2, dtype=z.dtype)
    )
    z, v = torch.tensor([0.0, 1.0]).double(), torch.tensor([0.0, -40.0]).double().requires_grad_()
    arrived = lg.expmap(half_plane, z, v, t=torch.tensor([0.1]).double())[0, 1]
    (slope,) = torch.autograd.grad(arrived, v)
    laws.assert_near(slope[1], 0.1 * torch.tensor(-4.0).double().exp(), 1e-5)


def test_exponential_out_of_the_manifold_is_nan_for_its_own_row_only() -> None:
    """The cap z3 = sqrt(1 - |z|²) ends at the unit circle: a geodesic that leaves it is lost, its neighbours not."""
    metric = lg.pullback_metric(lambda z: torch.cat([z, (1 - z.square().sum(1, keepdim=True)).sqrt()], 1))
    z = torch.zeros(2, 2, dtype=torch.float64)
    v = torch.tensor([[0.5, 0.0], [3.0, 0.0]], dtype=torch.float64)
    with pytest.warns(lg.ConvergenceWarning, match="1 of 2 geodesics"):
        arrived = lg.expmap(metric, z, v, rtol=1e-4, num_steps=60)
    laws.assert_near(arrived[0], torch.tensor([0.5, 0.0]).double().sin(), 1e-4)
    assert arrived[1].isnan().all()


def test_no_decoder_is_asked_for_no_points() -> None:
    """Where every pair is lost."""

    def decoder(z: Tensor) -> Tensor:
        assert len(z)
        return (z[:, :1] + 1).sqrt() + z

    z = torch.tensor([[-3.0, 0.0]], dtype=torch.float64, requires_grad=True)
    for function in (lg.distance, lg.expmap):
        with pytest.warns(lg.ConvergenceWarning, match="1 of 1"):
            assert function(lg.pullback_metric(decoder), z, z.detach() + 1).isnan().all()
