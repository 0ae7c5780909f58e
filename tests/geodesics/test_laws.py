"""The laws of geodesics and distances, over known geometries, solvers and dtypes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import latentgeo as lg
import laws
import reference
from spaces import (
    CATENOID,
    CLIFFORD_TORUS,
    GAUSSIAN,
    GAUSSIANS,
    HALF_PLANE,
    HELICOID,
    NETWORKS,
    PARABOLOID,
    PLANE,
    SPHERE,
    SPHERE_5,
    SPHERE_ANGLES,
    SPHERE_FUNCTION,
    TORUS,
    Space,
)
from strategies import network

TIMES = torch.linspace(0, 1, 9, dtype=torch.float64)
CURVED = (
    SPHERE_5,
    SPHERE_ANGLES,
    SPHERE_FUNCTION,
    HALF_PLANE,
    TORUS,
    PARABOLOID,
    PLANE,
    CATENOID,
    NETWORKS[2],
    GAUSSIAN,
)
curved = pytest.mark.parametrize("space", CURVED, ids=str)


def test_every_curve_converges(solved) -> None:
    assert [str(s) for s in solved.result.status if s is not lg.Status.CONVERGED] == []
    assert solved.result.converged.all()


def test_length_is_the_known_distance(solved) -> None:
    laws.assert_near(
        solved.result.length, solved.problem.distance, solved.length_rtol, scale=solved.problem.distance
    )
    laws.assert_near(
        solved.length, solved.problem.distance, solved.length_rtol, scale=solved.problem.distance
    )


def test_points_are_on_the_known_geodesic_at_constant_speed(solved) -> None:
    expected = solved.problem.at(TIMES)
    way = (solved.problem.end - solved.problem.start).norm(dim=1)[:, None, None]
    laws.assert_near(solved.result.at(TIMES.to(solved.start)), expected, solved.point_rtol, scale=way)


def test_curve_ends_exactly(solved) -> None:
    laws.curve_ends_exactly(solved.result, solved.start, solved.end)


def test_speed_is_constant(solved) -> None:
    laws.speed_is_constant(solved.result, solved.space.matrix, 1e-3)


def test_energy_is_at_least_half_the_squared_length(solved) -> None:
    laws.energy_is_at_least_half_the_squared_length(solved.result, solved.point_rtol)


def test_no_other_curve_is_shorter(solved, generator: torch.Generator) -> None:
    """Neither the straight line nor the geodesic with a bump; points of the half-plane stay in it."""
    t = torch.linspace(0, 1, 65, dtype=torch.float64)
    way = (solved.problem.end - solved.problem.start)[:, None]
    straight = solved.problem.start[:, None] + t[:, None] * way
    laws.length_is_at_most_that_of(solved.result, straight, solved.space.matrix, solved.length_rtol)
    known = solved.problem.at(t)
    for size in (0.02, 0.1):
        bump = torch.randn(way.shape, dtype=torch.float64, generator=generator)
        curve = known + size * way.norm(dim=2, keepdim=True) * (torch.pi * t).sin()[:, None] * bump
        laws.length_is_at_most_that_of(solved.result, curve, solved.space.matrix, solved.length_rtol)


def test_distance_is_a_metric(solved) -> None:
    third = solved.start.roll(1, 0)
    laws.distance_is_a_metric(solved.distance, solved.start, solved.end, third, 2 * solved.length_rtol)


@pytest.mark.parametrize("space", [PLANE, SPHERE, HALF_PLANE, NETWORKS[2]], ids=str)
def test_distance_to_itself_is_zero(solved) -> None:
    laws.distance_to_itself_is_zero(solved.metric, solved.start, solved.solver)


def test_norm_of_the_logarithm_is_the_distance(solved) -> None:
    laws.log_is_as_long_as_the_distance(solved.metric, solved.start, solved.log, solved.length)


def test_logarithm_is_the_known_velocity(solved) -> None:
    size = solved.problem.velocity.norm(dim=1, keepdim=True)
    laws.assert_near(solved.log, solved.problem.velocity, 2 * solved.point_rtol, scale=size)


@pytest.mark.parametrize("space", [SPHERE, HALF_PLANE, PARABOLOID, NETWORKS[1], GAUSSIAN], ids=str)
def test_exponential_undoes_the_logarithm(solved) -> None:
    laws.exp_undoes_log(solved.metric, solved.start, solved.end, solved.log, 2 * solved.point_rtol)


@curved
def test_length_does_not_depend_on_the_coordinates(solved) -> None:
    """The same curves in latent coordinates w with z = φ(w), whether or not the metric has an immersion."""
    metric = lg.pullback_metric(laws.warp, ambient=solved.metric)
    got = lg.distance(metric, laws.unwarp(solved.start), laws.unwarp(solved.end), solver=solved.solver)
    laws.assert_near(got, solved.problem.distance, 4 * solved.length_rtol, scale=solved.problem.distance)


@curved
def test_gradient_of_the_distance_is_the_unit_velocity(solved) -> None:
    laws.gradient_is_the_unit_velocity(
        solved.metric,
        solved.distance,
        solved.start,
        solved.end,
        solved.problem.velocity.to(solved.start),
        20 * solved.point_rtol,
    )


@pytest.mark.parametrize("space", [SPHERE_FUNCTION, TORUS, NETWORKS[1], GAUSSIAN], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64], ids=["float64"])
def test_gradient_of_the_distance_is_the_difference_quotient(solved) -> None:
    laws.gradient_is_the_difference_quotient(solved.distance, solved.start, solved.end, 1e-4)


@pytest.mark.parametrize("dtype", [torch.float64], ids=["float64"])
@pytest.mark.parametrize("space", [SPHERE_FUNCTION, PARABOLOID, NETWORKS[1]], ids=str)
def test_curve_does_not_depend_on_its_batch_mates(solved) -> None:
    """Alone, in reverse order and beside a curve that takes long: the same steps and the same points."""
    tolerance = 1e3 * torch.finfo(solved.start.dtype).eps
    reverse = lg.geodesic(solved.metric, solved.start.flip(0), solved.end.flip(0), solver=solved.solver)
    laws.assert_near(reverse.points.flip(0), solved.result.points, tolerance, "reversed batch")
    assert reverse.steps.tolist()[::-1] == solved.result.steps.tolist()
    for i in range(len(solved.start)):
        alone = lg.geodesic(solved.metric, solved.start[i], solved.end[i], solver=solved.solver)
        laws.assert_near(alone.points[0], solved.result.points[i], tolerance, "alone")
        laws.assert_near(alone.length[0], solved.result.length[i], tolerance, "alone")
        assert alone.steps[0] == solved.result.steps[i]


def test_isometric_surfaces_have_the_same_distances(solver: object) -> None:
    """The catenoid and the helicoid differ in space and agree in every length."""
    start, end = CATENOID.points(5, torch.Generator().manual_seed(1)), CATENOID.points(5, torch.Generator())
    first, second = (lg.distance(s.metric(), start, end, solver=solver) for s in (CATENOID, HELICOID))
    laws.assert_near(first, second, 1e-6)


SEGMENTS = torch.tensor([8, 16, 32, 64])


@pytest.mark.parametrize(
    "space", [SPHERE, SPHERE_FUNCTION, HALF_PLANE, TORUS, PARABOLOID, NETWORKS[1]], ids=str
)
@pytest.mark.parametrize(
    "make", [lambda t: lg.MinimizeEnergy(num_segments=t, tol=1e-10)], ids=["MinimizeEnergy"]
)
def test_order_of_convergence(space: Space, make: Callable) -> None:
    """Lengths and points of discrete geodesics are of fourth order in 1/T (a log-log slope over T = 8 .. 64)."""
    problem = space.problem(3, torch.Generator().manual_seed(4))
    expected = problem.at(TIMES)
    of_length, of_points = [], []
    for segments in SEGMENTS:
        result = lg.geodesic(space.metric(), problem.start, problem.end, solver=make(int(segments)))
        of_length.append((result.length - problem.distance).abs().max())
        of_points.append((result.at(TIMES) - expected).abs().max())
    # below these the tolerance of the solver, and that of the reference, is what is seen
    for errors, order, floor in ((of_length, 3.7, 2e-11), (of_points, 3.5, 1e-10)):
        seen = torch.stack(errors) > floor
        assert seen.sum() >= 2
        assert laws.order_of_convergence(torch.stack(errors)[seen], SEGMENTS[seen]) > order


def test_straight_lines_of_flat_coordinates_are_exact(solver: object) -> None:
    """Where latent coordinates are flat the discrete geodesic is the straight line, to rounding."""
    problem = CLIFFORD_TORUS.problem(3, torch.Generator().manual_seed(0))
    result = lg.geodesic(CLIFFORD_TORUS.metric(), problem.start, problem.end, solver=solver)
    laws.assert_near(result.at(TIMES), problem.at(TIMES), 1e-12)


def test_distance_is_differentiable_in_the_parameters(solver: object) -> None:
    """The envelope theorem once more: against distances solved anew for parameters that moved."""
    net = network(2, 4).requires_grad_()
    metric = lg.pullback_metric(net)
    start, end = torch.randn(2, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 2
    parameters = tuple(net.parameters())
    gradients = torch.autograd.grad(
        lg.distance(metric, start, end, solver=solver).sum(), parameters, allow_unused=True
    )
    generator, step, ends = torch.Generator().manual_seed(1), 1e-4, []
    directions = [torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in parameters]
    for offset in (step, -2 * step):
        with torch.no_grad():
            for p, direction in zip(parameters, directions, strict=True):
                p.add_(direction, alpha=offset)
        ends.append(lg.distance(metric, start, end, solver=solver).detach().sum())
    slope = torch.stack([(g * v).sum() for g, v in zip(gradients, directions, strict=True) if g is not None])
    laws.assert_near(slope.sum(), (ends[0] - ends[1]) / (2 * step), 1e-4, scale=slope.abs().max())


def test_second_derivatives_of_the_distance_are_refused() -> None:
    """They are not those of the envelope, whatever the gradient is differentiated by."""
    weight = torch.ones(2, dtype=torch.float64, requires_grad=True)
    metric = lg.pullback_metric(lambda z: torch.cat([weight * z, z.square()], 1))
    start, end = torch.zeros(2, 2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    start.requires_grad_()
    half = lg.distance(metric, start, end).square().sum() / 2
    for gradient in torch.autograd.grad(half, (start, weight), create_graph=True):
        for variable in (start, weight):
            with pytest.raises(RuntimeError, match="distance has first derivatives only"):
                torch.autograd.grad(gradient.sum(), variable, retain_graph=True)


@pytest.mark.parametrize("solver", [lg.MinimizeEnergy(num_segments=16), lg.Shooting(num_segments=6)], ids=str)
def test_curve_solved_on_more_segments_is_differentiated_on_these(solver: lg.Solver) -> None:
    """Waves, isometric to the plane by the arc length of their profile: thinned curves are stationary for nothing."""

    def slope(x: Tensor) -> Tensor:
        return (1 + (2.5 * (5 * x).cos()).square()).sqrt()

    waves = lg.pullback_metric(lambda z: torch.stack([z[:, 0], (5 * z[:, 0]).sin() / 2, z[:, 1]], 1))
    start = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    end = torch.tensor([[1.2, 1.5], [0.1, 0.1]], dtype=torch.float64)
    x = torch.lerp(start.detach()[:, :1], end[:, :1], torch.linspace(0, 1, 5001, dtype=torch.float64))
    way = torch.stack([torch.trapezoid(slope(x), x), (end - start.detach())[:, 1]], 1)
    frame = torch.stack([slope(x[:, 0]), torch.ones(2)], 1)
    assert lg.geodesic(waves, start, end, solver=solver).points.shape == (2, solver.num_segments + 1, 2)
    (gradient,) = torch.autograd.grad(lg.distance(waves, start, end, solver=solver).sum(), start)
    log, length = lg.logmap(waves, start, end, solver=solver), way.norm(dim=1, keepdim=True)
    laws.assert_near(gradient, -frame * way / length, 0.02)
    laws.assert_near(frame * log, way, 0.005, scale=length)


def test_reference_sees_what_is_wrong(generator: torch.Generator) -> None:
    """The laws can fail: a straight line on a sphere is neither as short nor at constant speed."""
    problem = SPHERE.problem(4, generator)
    t = torch.linspace(0, 1, 129, dtype=torch.float64)[:, None]
    straight = problem.start[:, None] * (1 - t) + problem.end[:, None] * t
    too_long = reference.polygon_length(SPHERE.matrix, straight)
    assert (too_long > problem.distance * (1 + 1e-5)).all()


@pytest.mark.parametrize("space", [SPHERE_FUNCTION, HALF_PLANE, GAUSSIANS], ids=str)
def test_logarithm_is_of_fourth_order_in_the_segments(space) -> None:
    """A spline through the points, by which it was found once, is of second to third order on these."""
    metric, problem = space.metric(), space.problem(32, torch.Generator().manual_seed(0))
    errors = []
    for segments in (4, 8):
        solver = lg.MinimizeEnergy(num_segments=segments, tol=1e-9)
        log = lg.logmap(metric, problem.start, problem.end, solver=solver)
        off = metric.norm(problem.start, log - problem.velocity) / problem.distance
        errors.append(float(off.median()))
    assert errors[1] < errors[0] / 2**3.5
