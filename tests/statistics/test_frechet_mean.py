"""Riemannian means: closed forms, the condition that defines them, weights, and what is said of bad data."""

import geoopt
import numpy as np
import pytest
import torch

import latentgeo as lg
import spaces
from latentgeo import ConvergenceWarning, EuclideanMetric, frechet_mean

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def points_on(space: spaces.Space, n: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return space.points(n, torch.Generator().manual_seed(0)).to(dtype)


@DTYPES
def test_flat_mean_is_the_weighted_average(dtype):
    x = torch.randn(20, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    w = torch.rand(20, dtype=dtype, generator=torch.Generator().manual_seed(1))
    found = frechet_mean(EuclideanMetric(3), x, weights=w)
    mean = (w[:, None] * x).sum(0) / w.sum()
    torch.testing.assert_close(found.point, mean, rtol=1e-4, atol=1e-5)
    variance = (w * (x - mean).square().sum(1)).sum() / w.sum()
    torch.testing.assert_close(found.variance, variance, rtol=1e-4, atol=0)
    assert found.converged
    assert found.point.dtype == found.variance.dtype == dtype


@pytest.mark.parametrize("space", [spaces.SPHERE, spaces.HALF_PLANE, spaces.SPHERE_5], ids=str)
@DTYPES
def test_logarithms_at_the_mean_sum_to_zero(space, dtype):
    """Also with weights; by the closed forms of the space, not by the library's logarithm."""
    x = points_on(space, 12, dtype)
    for weights in (torch.ones(12), torch.linspace(0, 1, 12)):
        found = frechet_mean(space.metric(dtype), x, weights=weights)
        assert found.converged
        point = found.point.double()
        logs = space.formulas.log(point.expand(12, -1), x.double())
        mean = (weights[:, None].double() * logs).sum(0) / weights.sum()
        spread = float(found.variance) ** 0.5
        norm = (mean @ space.matrix(point[None])[0] @ mean).sqrt()
        # logarithms of curves of 32 segments are right to about 1e-5
        assert norm < (3e-3 if dtype == torch.float32 else 3e-5) * spread
        squares = space.formulas.distance(point.expand(12, -1), x.double()).square()
        assert float(found.variance) == pytest.approx(
            float((weights * squares).sum() / weights.sum()), rel=1e-4
        )


def test_mean_of_two_points_is_the_middle_of_their_geodesic():
    metric, x = spaces.TORUS.metric(), points_on(spaces.TORUS, 2)
    middle = lg.geodesic(metric, x[0], x[1]).at(torch.tensor([0.5]))[0, 0]
    assert (frechet_mean(metric, x).point - middle).norm() < 1e-4


def test_weights_are_as_repetitions():
    metric, x = spaces.SPHERE.metric(), points_on(spaces.SPHERE, 5)
    times = torch.tensor([1, 3, 0, 2, 1])
    repeated = frechet_mean(metric, x.repeat_interleave(times, 0))
    weighted = frechet_mean(metric, x, weights=times)
    torch.testing.assert_close(repeated.point, weighted.point, rtol=0, atol=1e-5)
    torch.testing.assert_close(repeated.variance, weighted.variance, rtol=1e-5, atol=0)


def test_mean_does_not_depend_on_the_latent_coordinates():
    x = points_on(spaces.SPHERE, 8)
    bent = lg.pullback_metric(
        lambda w: spaces.stereographic(torch.stack([w[:, 0], w[:, 1] - w[:, 0] ** 3], 1))
    )
    charted = torch.stack([x[:, 0], x[:, 1] + x[:, 0] ** 3], 1)
    here, there = frechet_mean(spaces.SPHERE.metric(), x).point, frechet_mean(bent, charted).point
    torch.testing.assert_close(there, torch.stack([here[0], here[1] + here[0] ** 3]), rtol=0, atol=1e-5)


def test_on_a_manifold_with_closed_forms():
    """The Poincaré ball of geoopt, against the half-plane of the catalogue by an isometry of the two."""
    ball = geoopt.PoincareBall()
    x = points_on(spaces.HALF_PLANE, 9)
    w = torch.complex(x[:, 0], x[:, 1])
    disc = torch.view_as_real((w - 1j) / (w + 1j))
    found, plane = frechet_mean(ball, disc), frechet_mean(spaces.HALF_PLANE.metric(), x)
    image = torch.complex(*plane.point)
    image = torch.view_as_real((image - 1j) / (image + 1j))
    torch.testing.assert_close(found.point, image, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.variance, plane.variance, rtol=1e-5, atol=0)


def test_one_point_is_its_own_mean():
    found = frechet_mean(spaces.SPHERE.metric(), torch.tensor([[0.3, -0.2]], dtype=torch.float64))
    assert found.converged
    assert found.variance == 0
    assert found.point.tolist() == [0.3, -0.2]


@pytest.mark.parametrize("initial", [0, "array", "medoid"])
def test_mean_does_not_depend_on_the_start_where_it_is_unique(initial):
    x = points_on(spaces.SPHERE, 6, torch.float32)
    if initial != "medoid":
        initial = x[3].numpy() if initial == "array" else x[initial]
    metric = spaces.SPHERE.metric(torch.float32)
    found = frechet_mean(metric, x, weights=np.ones(6), initial=initial)
    torch.testing.assert_close(found.point, frechet_mean(metric, x).point, rtol=0, atol=1e-3)


def test_outliers_do_not_draw_the_medoid():
    """On a bent sheet the mean of coordinates is off the data, and so may be the point nearest to it."""
    x = torch.tensor([[-1.0, 1.0], [-0.9, 0.81], [-0.8, 0.64], [-0.7, 0.49], [3.0, 9.0]])
    sheet = lg.pullback_metric(lambda z: torch.stack([z[:, 0], 20 * (z[:, 1] - z[:, 0].square())], 1))
    with pytest.warns(ConvergenceWarning, match="max_steps=1"):
        found = frechet_mean(sheet, x, initial="medoid", weights=torch.tensor([1, 1, 1, 1, 0.0]), max_steps=1)
    assert found.variance < 0.02


def test_bar_is_shown_if_asked_for(capsys):
    frechet_mean(EuclideanMetric(2), torch.eye(2))
    assert capsys.readouterr().err == ""
    frechet_mean(EuclideanMetric(2), torch.eye(2), progress=True)
    assert "/100" in capsys.readouterr().err


def test_point_out_of_reach_is_said_and_spoils_nothing():
    def decoder(z):
        return torch.cat([z, torch.where(z[:, :1] > 5, torch.nan, 0 * z[:, :1])], 1)

    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [9.0, 0.0]])
    with pytest.warns(ConvergenceWarning, match="no finite distance"):
        found = frechet_mean(lg.pullback_metric(decoder), x, initial=x[0])
    assert not found.converged
    torch.testing.assert_close(found.point, torch.tensor([0.5, 0.0]), rtol=0, atol=1e-3)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_point_out_of_reach_in_the_middle_spoils_nothing(weight):
    hole = torch.tensor([0.1, 0.3])

    def plane_with_a_hole(z):
        near = (z - hole).norm(dim=1) < 0.01
        return torch.where(near[:, None, None], torch.nan, torch.eye(2).expand(len(z), 2, 2))

    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.5, 0.5], [0.1, 0.3]])
    with pytest.warns(ConvergenceWarning, match="no finite distance"):
        found = frechet_mean(
            lg.metric_from_function(plane_with_a_hole), x, weights=torch.tensor([1.0, 1, 1, 1, 1, weight])
        )
    assert found.converged == (weight == 0)
    torch.testing.assert_close(found.point, torch.tensor([0.1, 0.1]), rtol=0, atol=1e-3)


def test_points_of_no_weight_do_not_loosen_the_tolerance():
    bowl = lg.pullback_metric(lambda z: torch.cat([z, z.square().sum(1, keepdim=True)], 1))
    x = 0.7 * torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    alone = frechet_mean(bowl, x)
    weights = torch.cat([torch.ones(8), torch.zeros(1)])
    found = frechet_mean(bowl, torch.cat([x, torch.tensor([[100.0, 0.0]])]), weights=weights)
    off = bowl.norm(alone.point, found.point - alone.point) / alone.variance.sqrt()
    assert off < 2e-3


def test_mean_that_the_distances_are_too_rough_for_is_said():
    """Shortest paths along edges have kinks, at which no step lowers the variance."""
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.warns(ConvergenceWarning, match="no shorter step lowers the variance"):
        found = frechet_mean(EuclideanMetric(2), x, solver=lg.GraphSearch(x, num_neighbors=5))
    assert not found.converged


@pytest.mark.parametrize("inside", [False, True])
def test_inference_mode_changes_nothing(inside):
    x = points_on(spaces.SPHERE, 6, torch.float32)
    metric = spaces.SPHERE.metric(torch.float32)
    with torch.inference_mode():
        found = frechet_mean(metric, x.clone() if inside else x)
    assert torch.equal(found.point, frechet_mean(metric, x).point)


def test_too_few_steps_are_said():
    x = points_on(spaces.HALF_PLANE, 9)
    with pytest.warns(ConvergenceWarning, match="max_steps=1"):
        found = frechet_mean(spaces.HALF_PLANE.metric(), x, max_steps=1, tol=1e-12)
    assert not found.converged
    assert found.steps == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": torch.zeros(3)}, r"points must have shape \(N, d\)"),
        ({"points": torch.zeros(0, 2)}, "at least one point"),
        ({"points": torch.full((3, 2), torch.nan)}, "points must be finite"),
        ({"weights": torch.ones(4)}, r"weights must have shape \(3,\)"),
        ({"weights": -torch.ones(3)}, "weights must be finite and non-negative"),
        ({"weights": torch.zeros(3)}, "not all zero"),
        ({"initial": torch.zeros(3)}, r"initial must have shape \(2,\)"),
        ({"initial": np.full(2, np.nan)}, "and be finite"),
        ({"initial": "middle"}, "initial must be 'medoid', a point, or None, got 'middle'"),
        ({"max_steps": 0}, "max_steps must be a positive integer, got 0"),
        ({"tol": float("nan")}, "tol must be a non-negative number or None, got nan"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(unchecked, arguments, message):
    given = {"points": torch.zeros(3, 2), **arguments}
    with pytest.raises(ValueError, match=message):
        frechet_mean(EuclideanMetric(2), given.pop("points"), **given)


def test_wrong_types_are_named(unchecked):
    with pytest.raises(TypeError, match="initial must be a NumPy array, a torch tensor"):
        frechet_mean(EuclideanMetric(2), torch.zeros(3, 2), initial=[0.0, 0.0])
    with pytest.raises(TypeError, match="Metric or a geoopt"):
        frechet_mean(torch.eye(2), torch.zeros(3, 2))
    with pytest.raises(TypeError, match="solver must be an object such as MinimizeEnergy"):
        frechet_mean(EuclideanMetric(2), torch.zeros(3, 2), solver="shooting")
    with pytest.raises(ValueError, match="solver must be None"):
        frechet_mean(geoopt.PoincareBall(), torch.zeros(3, 2), solver=lg.MinimizeEnergy())
    with pytest.raises(ValueError, match="points must hold points of PoincareBall"):
        frechet_mean(geoopt.PoincareBall(), torch.ones(3, 2))
