"""Georce: the sweep solves the control problem, and its curves are the geodesics of the energy of fourth order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import latentgeo as lg
import laws
from latentgeo.geodesics.block_tridiagonal import BlockTridiagonal
from latentgeo.geodesics.georce import solve_by_sums
from spaces import HALF_PLANE, NETWORKS, PARABOLOID, SPHERE, SPHERE_FUNCTION, TORUS, Space, stereographic

TIMES = torch.linspace(0, 1, 9, dtype=torch.float64)


def problem(segments: int, d: int, generator: torch.Generator, batch: int = 3) -> tuple[Tensor, Tensor]:
    """Metrics on segments, with condition numbers of about a hundred, and a gradient."""
    root = torch.randn(batch, segments, d, 2 * d, dtype=torch.float64, generator=generator)
    gradient = torch.randn(batch, segments - 1, d, dtype=torch.float64, generator=generator)
    return root @ root.mT, gradient


@pytest.mark.parametrize("segments", [2, 3, 8, 33])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_two_sums_solve_the_stiffness_system(segments: int, d: int, generator: torch.Generator) -> None:
    """K⁻¹ g by cumulative sums against the factorised block-tridiagonal matrix; the ridge is 1e-6 of the scale."""
    weights, gradient = problem(segments, d, generator)
    stiffness = BlockTridiagonal(segments * (weights[:, 1:] + weights[:, :-1]), -segments * weights[:, 1:-1])
    laws.assert_near(solve_by_sums(weights, gradient), stiffness.solve(gradient), 1e-3)
    shift = 1e-6 * weights.diagonal(dim1=-2, dim2=-1).mean(dim=(1, 2))[:, None, None, None]
    weights = weights + shift * torch.eye(d, dtype=torch.float64)
    stiffness = BlockTridiagonal(segments * (weights[:, 1:] + weights[:, :-1]), -segments * weights[:, 1:-1])
    laws.assert_near(
        solve_by_sums(weights - shift * torch.eye(d, dtype=torch.float64), gradient),
        stiffness.solve(gradient),
        1e-9,
    )


def test_sweep_solves_the_linear_quadratic_control_problem(generator: torch.Generator) -> None:
    """The minimum of T/2 Σ u_tᵀ W_t u_t + Σ_j ν_jᵀ z_j with Σ u_t = end - start, by dense linear algebra."""
    segments, d = 6, 2
    weights, costates = problem(segments, d, generator, batch=1)
    way = torch.randn(d, dtype=torch.float64, generator=generator)
    n = segments * d
    quadratic = torch.block_diag(*(segments * w for w in weights[0]))
    # u_t moves every later inner point: its derivative of the linear term is Σ_{j > t} ν_j
    later = costates[0].flip(0).cumsum(0).flip(0)
    linear = torch.cat([later, torch.zeros(1, d, dtype=torch.float64)]).flatten()
    constraint = torch.eye(d, dtype=torch.float64).repeat(1, segments)
    conditions = torch.zeros(n + d, n + d, dtype=torch.float64)
    conditions[:n, :n], conditions[n:, :n], conditions[:n, n:] = quadratic, constraint, constraint.T
    u = torch.linalg.solve(conditions, torch.cat([-linear, way]))[:n].reshape(segments, d)

    straight = torch.arange(1, segments, dtype=torch.float64)[:, None] / segments * way
    flux = segments * (weights[0] @ (way / segments)[:, None])[..., 0]
    gradient = costates + (flux[:-1] - flux[1:])[None]
    swept = straight - solve_by_sums(weights, gradient)[0]
    laws.assert_near(swept, u.cumsum(0)[:-1], 1e-4)


def test_singular_weights_give_finite_steps(dtype: torch.dtype) -> None:
    weights = torch.diag(torch.tensor([1.0, 0.0], dtype=dtype)).expand(1, 8, 2, 2)
    gradient = torch.ones(1, 7, 2, dtype=dtype)
    assert solve_by_sums(weights, gradient).isfinite().all()
    assert not solve_by_sums(0 * weights, 0 * gradient).any()
    indefinite = torch.diag(torch.tensor([1.0, -1.0], dtype=dtype)).expand(1, 8, 2, 2)
    assert solve_by_sums(indefinite, gradient).isnan().all()


@pytest.mark.parametrize("space", [SPHERE, SPHERE_FUNCTION, TORUS, NETWORKS[1]], ids=str)
def test_energy_falls_from_step_to_step(space: Space) -> None:
    """The energy of the curve after 0, 1, 2, ... steps, as measured, never rises."""
    pairs = space.problem(4, torch.Generator().manual_seed(0))
    line = torch.linspace(0, 1, 33, dtype=torch.float64)[:, None]
    curve = pairs.start[:, None] + line * (pairs.end - pairs.start)[:, None]
    # a step of at most one sweep may be rejected: then the curve stays, and its energy with it
    energies = []
    for _ in range(8):
        with pytest.warns(lg.ConvergenceWarning):
            result = lg.geodesic(
                space.metric(),
                pairs.start,
                pairs.end,
                solver=lg.Georce(max_steps=1, tol=1e-14),
                initial=curve,
            )
        curve = result.points
        energies.append(result.energy)
    falls = -torch.stack(energies).diff(dim=0) / energies[0]
    assert (falls >= -1e-7).all()  # what the measured energy differs from the discrete one
    assert (falls[0] > 1e-7).any()


@pytest.mark.parametrize("space", [SPHERE, SPHERE_FUNCTION, HALF_PLANE, TORUS, PARABOLOID], ids=str)
def test_order_of_convergence(space: Space) -> None:
    """Lengths and points are of fourth order in 1/T: a log-log slope over T = 8, 16, 32."""
    segments = torch.tensor([8, 16, 32])
    pairs = space.problem(3, torch.Generator().manual_seed(4))
    expected = pairs.at(TIMES)
    of_length, of_points = [], []
    for t in segments:
        solver = lg.Georce(num_segments=int(t), tol=1e-10, max_steps=1000)
        result = lg.geodesic(space.metric(), pairs.start, pairs.end, solver=solver)
        of_length.append((result.length - pairs.distance).abs().max())
        of_points.append((result.at(TIMES) - expected).abs().max())
    assert laws.order_of_convergence(torch.stack(of_length), segments) > 3.7
    assert laws.order_of_convergence(torch.stack(of_points), segments) > 3.5


@pytest.mark.parametrize("dim", [10, 30])
def test_bunched_points_do_not_pay(dim: int) -> None:
    """With the metric at left ends the recorded lengths fall below great circles, the further the higher d is."""
    metric = lg.metric_from_function(
        lambda z: (4 / (1 + z.square().sum(-1)).square())[:, None, None] * torch.eye(dim, dtype=z.dtype)
    )
    generator = torch.Generator().manual_seed(dim)
    start, end = torch.randn(2, 4, dim, dtype=torch.float64, generator=generator) / dim**0.5
    x, y = stereographic(start), stereographic(end)
    exact = 2 * torch.atan2((x - y).norm(dim=1), (x + y).norm(dim=1))
    result = lg.geodesic(metric, start, end, solver=lg.Georce())
    assert result.converged.all()
    laws.assert_near(result.length, exact, 1e-6)


@pytest.mark.parametrize("space", [*NETWORKS[1:], HALF_PLANE], ids=str)
def test_curve_is_that_of_minimized_energy(space: Space) -> None:
    """Another way to the same discrete geodesic, whether or not the metric has an immersion."""
    pairs = space.problem(4, torch.Generator().manual_seed(1))
    curves = [
        lg.geodesic(space.metric(), pairs.start, pairs.end, solver=solver)
        for solver in (lg.Georce(tol=1e-9, max_steps=1000), lg.MinimizeEnergy(tol=1e-9))
    ]
    assert curves[0].converged.all()
    laws.assert_near(curves[0].points, curves[1].points, 1e-6)
    laws.assert_near(curves[0].length, curves[1].length, 1e-9)


def test_long_arcs_take_more_steps_and_still_converge() -> None:
    """Towards the antipode the energy gets flat: sideways it bends by a share 1 - (θ/π)² of what the model does."""
    ends = torch.tensor([0.5, 0.8, 0.9], dtype=torch.float64) * torch.pi
    start = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(3, 2)
    end = torch.stack([ends.cos(), ends.sin()], 1)
    result = lg.geodesic(SPHERE.metric(), start, end, solver=lg.Georce(num_segments=64))
    assert result.converged.all()
    laws.assert_near(result.length, ends, 1e-6)
    assert result.steps[0] < result.steps[2] < 100


def test_rectified_decoder_is_shortened_by_distances_of_its_images() -> None:
    """JᵀJ of a ReLU decoder is constant between kinks: only an energy of decoded points sees it bend."""
    generator = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 8)).double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    start, end = torch.randn(2, 6, 2, generator=generator, dtype=torch.float64)
    line = torch.stack([start + s * (end - start) for s in torch.linspace(0, 1, 513).double()], 1)
    straight = net(line.flatten(0, 1)).unflatten(0, (6, -1)).detach().diff(dim=1).norm(dim=2).sum(1)
    solver = lg.Georce(tol=1e-2)
    result = solver.solve(lg.pullback_metric(net), start, end)
    assert (result.length <= straight * (1 + 1e-3)).all()
    assert (result.length < straight * 0.99).any()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("option", ["num_segments", "max_steps"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "8", None, True], ids=repr)
def test_numbers_of_the_solver(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be a positive integer, got {value!r}"):
        lg.Georce(**{option: value})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("value", [0.0, -1e-3, float("nan"), "small"], ids=repr)
def test_tolerance_of_the_solver(value: object) -> None:
    with pytest.raises(ValueError, match=rf"tol must be a positive number or None, got {value!r}"):
        lg.Georce(tol=value)
