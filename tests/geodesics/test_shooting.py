"""What Shooting adds: quadratic convergence, the accuracy of an integrator, and curves that one shot cannot reach."""

from __future__ import annotations

import inspect
import itertools
import warnings

import pytest
import torch
from torch import Tensor

import latentgeo as lg
import laws
from latentgeo.geodesics import multiple_shooting
from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.gap_system import close_gaps
from latentgeo.geodesics.multiple_shooting import GeodesicFlow
from spaces import HALF_PLANE, NETWORKS, SPACES, SPHERE, TORUS, Space
from strategies import network


def pairs(batch: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    problem = SPHERE.problem(batch, torch.Generator().manual_seed(0))
    return problem.start.to(dtype), problem.end.to(dtype)


def solve(metric: lg.Metric, start: Tensor, end: Tensor, **options) -> lg.GeodesicResult:
    """Without the warning: these tests look at the statuses."""
    initial = options.pop("initial", None)
    return lg.Shooting(**options).solve(metric, start, end, initial=initial)


def flow_of(space: Space, rtol: float = 1e-8) -> GeodesicFlow:
    metric = space.metric()
    some = torch.zeros(1, space.dim, dtype=torch.float64) + 0.5
    return GeodesicFlow(metric, curve_energy(metric, some, some), rtol, rtol)


# --- The parts


@pytest.mark.parametrize("shots", [1, 2, 4, 16])
def test_closed_gaps_solve_the_linear_system(shots: int) -> None:
    """Against the dense matrix of the same equations."""
    generator = torch.Generator().manual_seed(0)
    b, d = 3, 2
    a = torch.randn(b, shots, 2 * d, 2 * d, dtype=torch.float64, generator=generator)
    gaps = torch.randn(b, shots, 2 * d, dtype=torch.float64, generator=generator)
    x = close_gaps(a, gaps)
    assert not x[:, [0, -1], :d].any()
    laws.assert_near(x[:, 1:], torch.einsum("bsij,bsj->bsi", a, x[:, :-1]) + gaps, 1e-10)


def test_closed_gaps_keep_what_grows_and_what_shrinks() -> None:
    """The product of the derivatives is 1e32 large: condensed to one shot, nothing would be left of the ends."""
    growth = torch.diag(torch.tensor([10.0, 0.1], dtype=torch.float64))
    turn = torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64) / 2**0.5
    a = (turn @ growth @ turn.mT).expand(1, 32, 2, 2)
    gaps = torch.randn(1, 32, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = close_gaps(a, gaps)
    assert x.abs().max() < 100
    laws.assert_near(x[:, 1:], torch.einsum("bsij,bsj->bsi", a, x[:, :-1]) + gaps, 1e-12)


def test_singular_gaps_are_nan_for_their_own_curve_only() -> None:
    a = torch.eye(4, dtype=torch.float64).repeat(3, 4, 1, 1)
    a[:, :, :2, 2:] = torch.eye(2) / 4
    a[1, :, :2, 2:] = 0  # a velocity that does not move
    a[2, 0, 0, 0] = torch.nan
    x = close_gaps(a, torch.ones(3, 4, 4, dtype=torch.float64))
    assert x[0].isfinite().all()
    assert not x[1:].isfinite().any(dim=2).all()


@pytest.mark.parametrize("space", [SPHERE, HALF_PLANE, NETWORKS[2]], ids=str)
def test_derivative_of_the_flow_is_that_of_the_exponential_map(space: Space) -> None:
    """By point and by velocity, against central differences of expmap."""
    problem = space.problem(2, torch.Generator().manual_seed(0))
    nodes = torch.cat([problem.start, problem.velocity], dim=1)
    arrival, derivative = flow_of(space).arrive_with_derivative(nodes[:, None])
    metric, d, step = space.metric(), space.dim, 1e-3

    def exponential(state: Tensor) -> Tensor:
        return lg.expmap(metric, state[:, :d], state[:, d:], rtol=1e-8)

    laws.assert_near(arrival[:, 0, :d], exponential(nodes), 1e-7)
    basis = step * torch.eye(2 * d, dtype=torch.float64)
    ahead, behind = exponential(torch.stack([nodes + e for e in (*basis, *-basis)]).flatten(0, 1)).chunk(2)
    expected = ((ahead - behind) / (2 * step)).unflatten(0, (2 * d, 2)).permute(1, 2, 0)
    laws.assert_near(derivative[:, 0, :d], expected, 1e-5)


# --- Convergence


@pytest.mark.parametrize("space", [SPHERE, TORUS, NETWORKS[1]], ids=str)
def test_newton_converges_quadratically(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a straight line each residual is a multiple of the square of the one before."""
    found: list[float] = []
    linearise = inspect.unwrap(multiple_shooting._linearise)

    def recorded(*arguments) -> tuple[Tensor, Tensor, Tensor]:
        answer = linearise(*arguments)
        found.append(float(answer[1]))
        return answer

    monkeypatch.setattr(multiple_shooting, "_linearise", recorded)
    problem = space.problem(1, torch.Generator().manual_seed(2))
    straight = torch.stack([problem.start, problem.end], dim=1)
    solve(space.metric(), problem.start, problem.end, tol=1e-8, initial=straight)
    fast = [(a, b) for a, b in itertools.pairwise(found) if a < 0.2]
    assert len(fast) >= 2
    assert all(b < 10 * a**2 for a, b in fast), found
    assert found[-1] < 1e-8


@pytest.mark.parametrize("space", [SPHERE, HALF_PLANE], ids=str)
def test_points_have_the_accuracy_of_the_integrator(space: Space) -> None:
    """With eight segments as with many: they are samples of the geodesic, not its discretization."""
    problem = space.problem(4, torch.Generator().manual_seed(0))
    times = torch.linspace(0, 1, 9, dtype=torch.float64)
    result = solve(space.metric(), problem.start, problem.end, num_segments=8, tol=1e-8)
    assert result.converged.all()
    laws.assert_near(result.points, problem.at(times), 1e-8)


@pytest.mark.parametrize("segments", [1, 2, 5, 33])
def test_any_number_of_segments(segments: int) -> None:
    problem = SPHERE.problem(3, torch.Generator().manual_seed(0))
    result = solve(SPHERE.metric(), problem.start, problem.end, num_segments=segments)
    times = torch.linspace(0, 1, segments + 1, dtype=torch.float64)
    laws.assert_near(result.points, problem.at(times), 1e-5)
    laws.curve_ends_exactly(result, problem.start, problem.end)


@pytest.mark.parametrize(("d", "gain"), [(2, 1.8), (6, 1.2)])
def test_agrees_with_the_minimizer_of_the_energy(d: int, gain: float, dtype: torch.dtype) -> None:
    metric = lg.pullback_metric(network(d, 40, width=50, gain=gain, seed=3).to(dtype))
    start, end = torch.randn(2, 5, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(
        dtype
    )
    found = solve(metric, start, end)
    expected = lg.geodesic(metric, start, end, solver=lg.MinimizeEnergy(num_segments=64))
    assert found.converged.all()
    laws.assert_near(found.length, expected.length, 1e-4)
    t = torch.linspace(0, 1, 9, dtype=dtype)
    laws.assert_near(found.at(t), expected.at(t), 3e-3)


def test_initial_curve_decides_which_geodesic_is_found() -> None:
    """The long way round a sphere, in its angles: no minimizer of the energy, yet a geodesic."""
    sphere = lg.pullback_metric(
        lambda z: torch.cat(
            [z[:, :1].sin() * torch.cat([z[:, 1:].cos(), z[:, 1:].sin()], 1), z[:, :1].cos()], 1
        )
    )
    ends = torch.tensor([[1.2, 0.0], [1.5, 1.0]], dtype=torch.float64)
    turned = ends + torch.tensor([[0.0, 0.0], [0.0, -2 * torch.pi]], dtype=torch.float64)
    line = torch.linspace(0, 1, 17, dtype=torch.float64)[:, None]
    long_way = turned[0] + line * (turned[1] - turned[0])
    bump = 0.8 * (torch.pi * line).sin() * torch.tensor([1.0, 0.0])
    found = solve(sphere, turned[:1], turned[1:], initial=(long_way + bump)[None])
    x, y = sphere.immersion(ends)
    assert found.converged.all()
    laws.assert_near(found.length, 2 * torch.pi - torch.arccos(x @ y)[None], 1e-5)


def test_one_shot_would_miss_what_many_find() -> None:
    """In the half-plane errors of a direction grow with sinh(length) / length, here two hundredfold."""
    metric, formulas = HALF_PLANE.metric(), HALF_PLANE.formulas
    start, end = torch.tensor([[0.0, 0.05]]).double(), torch.tensor([[3.0, 0.05]]).double()
    velocity = formulas.log(start, end)
    across = 1e-6 * velocity.flip(1) * torch.tensor([-1.0, 1.0])
    missed = formulas.exp(start, velocity + across) - end
    assert missed.norm() > 200 * across.norm()
    found = solve(metric, start, end, num_segments=64)
    assert found.converged.all()
    laws.assert_near(found.length, formulas.distance(start, end), 1e-4)
    laws.assert_near(found.points[:, 32], formulas.exp(start, velocity / 2), 1e-6)


# --- Failure


def test_curve_out_of_steps_is_flagged_and_no_worse_than_its_beginning() -> None:
    start, end = pairs(4)
    straight = torch.stack([start, end], dim=1)
    result = solve(SPHERE.metric(), start, end, initial=straight, max_steps=1)
    assert (result.status == lg.Status.MAX_STEPS).all()
    assert (result.steps == 1).all()
    line = lg.geodesic(lg.EuclideanMetric(2), start, end).points
    energy = curve_energy(SPHERE.metric(), start, end).energy(line)
    assert (result.energy <= energy * (1 + 1e-3)).all()
    laws.curve_ends_exactly(result, start, end)


@pytest.mark.parametrize("where", ["end", "way"])
def test_unreachable_points_flag_their_own_curves_only(where: str, dtype: torch.dtype) -> None:
    """A decoder that is not a number outside the unit disk, or in a strip across the way."""

    def decoder(z: Tensor) -> Tensor:
        if where == "end":
            return torch.cat([z, (1 - z.square().sum(1, keepdim=True)).sqrt()], 1)
        hidden = (z[:, :1] > 1) & (z[:, :1] < 2)
        return torch.where(hidden, torch.nan, torch.cat([z, (0.3 * z).sin()], 1))

    start = torch.tensor([[0.1, 0.2], [-0.4, 0.0], [0.3, -0.4]], dtype=dtype)
    end = torch.tensor([[0.5, -0.1], [3.0, 0.0], [-0.3, 0.2]], dtype=dtype)
    result = solve(lg.pullback_metric(decoder), start, end)
    assert list(result.status) == [lg.Status.CONVERGED, lg.Status.NON_FINITE, lg.Status.CONVERGED]
    good = torch.tensor([0, 2])
    alone = solve(lg.pullback_metric(decoder), start[good], end[good])
    laws.assert_near(result.points[good], alone.points, 1e3 * torch.finfo(dtype).eps)
    assert result.steps[good].tolist() == alone.steps.tolist()


def test_flow_that_leaves_the_manifold_keeps_the_beginning() -> None:
    """Newton from a bad curve near the rim of a cap whose metric ends there: flagged, with a finite curve."""
    metric = lg.pullback_metric(lambda z: torch.cat([z, (1 - z.square().sum(1, keepdim=True)).sqrt()], 1))
    start, end = torch.tensor([[-0.6, 0.6]]).double(), torch.tensor([[0.6, 0.6]]).double()
    t = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
    zigzag = start + t * (end - start) + 0.12 * (9 * torch.pi * t).sin() * torch.tensor([0.0, 1.0])
    zigzag[-1] = end
    result = solve(metric, start, end, initial=zigzag[None], max_steps=3)
    assert result.points.isfinite().all()
    assert result.length.isfinite().all()
    exact = 2 * torch.asin(torch.tensor(0.6, dtype=torch.float64))
    if result.converged.all():
        laws.assert_near(result.length, exact[None], 1e-4)


def test_latent_that_does_nothing_gives_finite_curves(dtype: torch.dtype) -> None:
    net = NETWORKS[0].metric(dtype)
    metric = lg.pullback_metric(lambda z: net.immersion(z[:, :1]))
    start, end = torch.rand(2, 4, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    result = solve(metric, start, end)
    assert result.points.isfinite().all()
    laws.assert_near(result.length, lg.distance(net, start[:, :1], end[:, :1]), 1e-5)


def test_no_curve_gives_no_result_and_points_stay() -> None:
    start, end = pairs(3)
    assert len(solve(SPHERE.metric(), start[:0], end[:0])) == 0
    still = solve(SPHERE.metric(), start, torch.cat([start[:1], end[1:]]))
    assert still.converged.all()
    assert still.length[0] == 0
    assert still.steps[0] == 0


def test_evaluations_count_the_points_the_decoder_saw() -> None:
    seen = [0]
    net = network(2, 5)

    def decoder(z: Tensor) -> Tensor:
        seen[0] += len(z)
        return net(z)

    metric = lg.pullback_metric(decoder)
    start, end = pairs(2)
    metric(start)  # the choice of how to differentiate is made
    seen[0] = 0
    assert solve(metric, start, end).evaluations == seen[0]


def test_chunks_bound_every_call_and_change_nothing() -> None:
    calls: list[int] = []
    net = network(2, 5)

    def decoder(z: Tensor) -> Tensor:
        calls.append(len(z))
        return net(z)

    start, end = pairs(1)
    expected = solve(lg.pullback_metric(net), start, end)
    got = solve(lg.pullback_metric(decoder, chunk_size=40), start, end)
    laws.assert_near(got.points, expected.points, 1e-9)
    assert max(calls) <= 40


def test_arguments_are_left_alone_and_modes_change_nothing() -> None:
    start, end = (x.requires_grad_() for x in pairs(2))
    kept = start.detach().clone(), end.detach().clone()
    expected = solve(SPHERE.metric(), start, end)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            got = solve(SPHERE.metric(), start, end)
            laws.assert_near(got.points.clone(), expected.points, 1e-12)
    assert torch.equal(start, kept[0])
    assert torch.equal(end, kept[1])


@pytest.mark.parametrize("space", [s for s in SPACES if s.dim == 2][:3], ids=str)
def test_short_pairs_converge_in_float32(space: Space) -> None:
    start = space.points(4, torch.Generator().manual_seed(0)).float()
    for reach in (1e-1, 1e-3):
        end = start + reach * torch.tensor([0.6, -0.8])
        result = solve(space.metric(torch.float32), start, end)
        assert result.converged.all()


# --- Options


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("option", ["num_segments", "max_steps"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "8", None, True], ids=repr)
def test_numbers_of_the_solver(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be a positive integer, got {value!r}"):
        lg.Shooting(**{option: value})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("option", ["tol", "rtol", "atol"])
@pytest.mark.parametrize("value", [0.0, -1e-3, float("nan"), float("inf"), "small", True], ids=repr)
def test_tolerances_of_the_solver(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be a positive number or None, got {value!r}"):
        lg.Shooting(**{option: value})


def test_a_looser_tolerance_costs_less_and_is_kept() -> None:
    problem = SPHERE.problem(3, torch.Generator().manual_seed(0))
    results = [solve(SPHERE.metric(), problem.start, problem.end, tol=tol) for tol in (1e-2, 1e-8)]
    assert results[0].evaluations < results[1].evaluations
    for result, bound in zip(results, (1e-2, 1e-8), strict=True):
        assert (result.residual <= bound).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lg.geodesic(SPHERE.metric(), problem.start, problem.end, solver=lg.Shooting(tol=1e-3))
