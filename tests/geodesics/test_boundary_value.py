"""BoundaryValue: SciPy's collocation is given the right equation, and what it says is passed on."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import latentgeo as lg
import laws
import reference
from latentgeo.geodesics.boundary_value import _GeodesicEquation
from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.rectified import PiecewiseLinearWarning
from spaces import GAUSSIAN, HALF_PLANE, NETWORKS, PARABOLOID, SPHERE, SPHERE_FUNCTION, TORUS, Space

TIMES = torch.linspace(0, 1, 9, dtype=torch.float64)


def equation_of(space: Space, dtype: torch.dtype) -> tuple[_GeodesicEquation, np.ndarray]:
    """The equation of one curve, and states near it."""
    pair = space.problem(1, torch.Generator().manual_seed(0))
    start, end = pair.start.to(dtype), pair.end.to(dtype)
    curve = pair.at(TIMES)[0].to(dtype)
    equation = _GeodesicEquation(space.metric(dtype), curve_energy(space.metric(dtype), start, end), curve)
    return equation, equation.state(curve)


@pytest.mark.parametrize("space", [SPHERE, HALF_PLANE, NETWORKS[1], NETWORKS[3], GAUSSIAN], ids=str)
def test_slope_is_the_geodesic_equation(space: Space) -> None:
    """The derivative of the state of a known geodesic, in units of its way, by central differences along it."""
    pair = space.problem(1, torch.Generator().manual_seed(0))
    h = 1e-4
    around = [pair.at(TIMES[1:-1] + s * h)[0] for s in (-1, 0, 1)]
    way = float((pair.at(TIMES)[0] - pair.start).norm(dim=1).max())
    z, v = (around[1] - pair.start) / way, (around[2] - around[0]) / (2 * h * way)
    a = (around[2] - 2 * around[1] + around[0]) / (h**2 * way)
    with torch.no_grad():
        equation, _ = equation_of(space, torch.float64)
        got = equation.slope(np.zeros(7), torch.cat([z, v], 1).T.numpy())
    laws.assert_near(torch.from_numpy(got), torch.cat([v, a], 1).T, 1e-4)


@pytest.mark.parametrize("space", [SPHERE, HALF_PLANE, NETWORKS[1], NETWORKS[3], GAUSSIAN], ids=str)
def test_jacobian_of_the_slope(space: Space, dtype: torch.dtype) -> None:
    """Against central differences of the slope in float64.

    Forward differences err by the root of the epsilon of the slope, whose rounding grows with the condition of the
    decoder's Jacobian: the root of that of G.
    """
    with torch.no_grad():
        equation, state = equation_of(space, dtype)
        exact, _ = equation_of(space, torch.float64)
        got = equation.slope_jacobian(TIMES.numpy(), state)
        columns = [
            (exact.slope(TIMES.numpy(), state + e) - exact.slope(TIMES.numpy(), state - e)) / 2e-5
            for e in 1e-5 * np.eye(len(state))[:, :, None]
        ]
    expected = np.stack(columns, axis=1)
    eigenvalues = torch.linalg.eigvalsh(space.metric(torch.float64)(exact.points(state)))
    condition = float((eigenvalues[:, -1] / eigenvalues[:, 0]).max())
    tolerance = 4 * (condition * torch.finfo(dtype).eps) ** 0.5
    laws.assert_near(torch.from_numpy(got), torch.from_numpy(expected), tolerance)


def test_jacobian_of_the_ends() -> None:
    with torch.no_grad():
        equation, state = equation_of(NETWORKS[2], torch.float64)
    first, last = state[:, 0] + 0.1, state[:, -1] - 0.2
    base = equation.miss(first, last)
    unit = np.eye(len(first))
    for which, got in enumerate(equation.miss_jacobian(first, last)):
        moved = [
            equation.miss(first + e, last) if which == 0 else equation.miss(first, last + e) for e in unit
        ]
        np.testing.assert_allclose(got, np.stack([m - base for m in moved], axis=1), atol=1e-14)


@pytest.mark.parametrize(
    "space", [SPHERE, SPHERE_FUNCTION, HALF_PLANE, TORUS, PARABOLOID, NETWORKS[1], GAUSSIAN], ids=str
)
def test_geodesics_of_known_spaces(space: Space, dtype: torch.dtype) -> None:
    """The laws that every solver owes, on fewer curves: it takes them one by one."""
    pairs, metric = space.problem(2, torch.Generator().manual_seed(0)), space.metric(dtype)
    start, end = pairs.start.to(dtype), pairs.end.to(dtype)
    result = lg.geodesic(metric, start, end, solver=lg.BoundaryValue())
    assert result.converged.all()
    rtol = 1e-6 if dtype == torch.float64 else 1e-4
    way = (pairs.end - pairs.start).norm(dim=1)[:, None, None]
    laws.assert_near(result.length, pairs.distance, rtol, scale=pairs.distance)
    laws.assert_near(result.at(TIMES.to(dtype)), pairs.at(TIMES), 1e3 * rtol, scale=way)
    laws.curve_ends_exactly(result, start, end)
    laws.speed_is_constant(result, space.matrix, 1e-3)


@pytest.mark.parametrize("space", [SPHERE, NETWORKS[2]], ids=str)
def test_error_follows_the_tolerance(space: Space) -> None:
    """The curve is within tol of the known geodesic, relative to the way, and so is what the residual says."""
    pairs = space.problem(2, torch.Generator().manual_seed(0))
    way = (pairs.end - pairs.start).norm(dim=1)[:, None, None]
    for tol in (1e-2, 1e-4, 1e-6):
        solver = lg.BoundaryValue(num_segments=64, tol=tol)
        result = lg.geodesic(space.metric(), pairs.start, pairs.end, solver=solver)
        assert (result.residual <= tol).all()
        laws.assert_near(result.at(TIMES), pairs.at(TIMES), tol, scale=way)


@pytest.mark.parametrize("unit", [1e-6, 1e4])
def test_units_of_the_latents_change_nothing(unit: float) -> None:
    """The same pairs in latents w = unit * z: the same meshes, the same residual, the same length."""
    pairs = NETWORKS[1].problem(2, torch.Generator().manual_seed(0))
    metric = lg.pullback_metric(lambda w: w / unit, ambient=NETWORKS[1].metric())
    found = [
        lg.geodesic(m, scale * pairs.start, scale * pairs.end, solver=lg.BoundaryValue())
        for m, scale in ((NETWORKS[1].metric(), 1.0), (metric, unit))
    ]
    assert found[0].steps.tolist() == found[1].steps.tolist()
    laws.assert_near(found[1].residual, found[0].residual, 1e-2)
    laws.assert_near(found[1].length, found[0].length, 1e-9)


@pytest.mark.parametrize("reach", [1.0, 1e-2, 1e-4])
def test_float32_converges_to_the_default_tolerance(reach: float) -> None:
    """Positions of near points agree in their leading digits; the equation in units of the way does not mind."""
    space, generator = NETWORKS[3], torch.Generator().manual_seed(0)
    start = space.points(3, generator)
    direction = torch.randn(start.shape, generator=generator, dtype=torch.float64)
    norm = reference.product(space.matrix(start), direction, direction).sqrt()
    end = start + reach * direction / norm[:, None]
    result = lg.geodesic(space.metric(torch.float32), start.float(), end.float(), solver=lg.BoundaryValue())
    assert result.converged.all()
    assert result.points.dtype == torch.float32


def test_search_is_local() -> None:
    """From a curve round the other side of the sphere it finds the long arc of the great circle."""
    angle = torch.tensor(2.0, dtype=torch.float64)
    t = torch.linspace(0, 1, 41, dtype=torch.float64)
    around = t * (angle - 2 * torch.pi)
    radius = 1 + 0.2 * (torch.pi * t).sin()
    initial = (radius * torch.stack([around.cos(), around.sin()])).T[None]
    start, end = initial[:, 0], torch.stack([angle.cos(), angle.sin()])[None]
    initial[:, -1] = end
    solver = lg.BoundaryValue()
    long = lg.geodesic(SPHERE.metric(), start, end, solver=solver, initial=initial)
    short = lg.geodesic(SPHERE.metric(), start, end, solver=solver)
    assert long.converged.all()
    assert short.converged.all()
    laws.assert_near(long.length, 2 * torch.pi - angle[None], 1e-5)
    laws.assert_near(short.length, angle[None], 1e-6)


def test_too_few_nodes_give_the_best_curve_and_a_flag() -> None:
    pairs = SPHERE.problem(3, torch.Generator().manual_seed(0))
    solver = lg.BoundaryValue(tol=1e-11, max_nodes=40)
    with pytest.warns(lg.ConvergenceWarning, match="3 of 3 curves"):
        result = lg.geodesic(SPHERE.metric(), pairs.start, pairs.end, solver=solver)
    assert (result.status == lg.Status.MAX_STEPS).all()
    assert (result.residual > 1e-11).all()
    laws.curve_ends_exactly(result, pairs.start, pairs.end)
    # SciPy's last curve is far better than the straight line, and it is what is returned
    laws.assert_near(result.length, pairs.distance, 1e-5)


def test_failed_curve_is_never_longer_than_its_start() -> None:
    """Beyond a half turn no geodesic is near the straight line: Newton's last curve may be anything."""
    generator = torch.Generator().manual_seed(3)
    start, end = 4 * torch.randn(2, 6, 2, dtype=torch.float64, generator=generator)
    solver = lg.BoundaryValue(max_nodes=60, tol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lg.ConvergenceWarning)
        result = lg.geodesic(SPHERE.metric(), start, end, solver=solver)
    line = torch.stack([start + s * (end - start) for s in torch.linspace(0, 1, 1025).double()], 1)
    straight = reference.polygon_length(SPHERE.matrix, line)
    failed = ~result.converged
    assert failed.any()
    assert (result.length[failed] <= straight[failed] * (1 + 1e-2)).all()  # as 32 segments measure the line


def test_region_without_metric_beside_the_line_ends_in_a_status() -> None:
    """Geodesics of the half-plane rise above the line between their ends, here to where the metric is NaN."""

    def matrix(z: torch.Tensor) -> torch.Tensor:
        height = torch.where(z[:, 1] > 1.05, torch.nan, z[:, 1])
        return torch.eye(2, dtype=z.dtype) / height[:, None, None] ** 2

    ends = torch.tensor([[[-1.0, 1.0], [-0.1, 0.7]], [[1.0, 1.0], [0.1, 0.7]]], dtype=torch.float64)
    with pytest.warns(lg.ConvergenceWarning, match="1 of 2 curves") as caught:
        result = lg.geodesic(lg.metric_from_function(matrix), *ends, solver=lg.BoundaryValue())
    assert len(caught) == 1
    assert list(result.status) == [lg.Status.NON_FINITE, lg.Status.CONVERGED]
    assert result.points.isfinite().all()
    laws.assert_near(result.length[0], torch.tensor(2.0), 1e-9)  # the line it started from, at height 1


@pytest.mark.filterwarnings("ignore::latentgeo.geodesics.rectified.PiecewiseLinearWarning")
def test_decoder_that_is_nan_where_its_derivative_is_zero() -> None:
    """The equation sees a metric of zero there, and only the decoded points tell."""

    def decoder(z: torch.Tensor) -> torch.Tensor:
        return torch.where((z[:, :1] > 1) & (z[:, :1] < 2), torch.nan, z)

    ends = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[3.0, 0.0], [0.5, 0.0]]], dtype=torch.float64)
    with pytest.warns(lg.ConvergenceWarning, match="1 of 2 curves"):
        result = lg.geodesic(lg.pullback_metric(decoder), *ends, solver=lg.BoundaryValue())
    assert list(result.status) == [lg.Status.NON_FINITE, lg.Status.CONVERGED]


def test_rectified_decoder_is_warned_of() -> None:
    generator = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 8)).double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    start, end = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lg.geodesic(lg.pullback_metric(net), start, end, solver=lg.BoundaryValue())
    assert [w.category for w in caught].count(PiecewiseLinearWarning) == 1


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("option", ["num_segments", "max_nodes"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "8", None, True], ids=repr)
def test_numbers_of_the_solver(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be a positive integer, got {value!r}"):
        lg.BoundaryValue(**{option: value})


def test_nodes_have_to_suffice_for_the_first_mesh() -> None:
    with pytest.raises(ValueError, match=r"max_nodes must exceed num_segments=32.*got 32"):
        lg.BoundaryValue(max_nodes=32)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("value", [0.0, -1e-3, float("nan"), "small"], ids=repr)
def test_tolerance_of_the_solver(value: object) -> None:
    with pytest.raises(ValueError, match=rf"tol must be a positive number or None, got {value!r}"):
        lg.BoundaryValue(tol=value)
