"""Random walks: their generators by quadrature, Brownian motion by closed forms, walkers with nowhere to go."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import latentgeo as lg
import spaces
from geometries.surfaces import paraboloid
from latentgeo import ConvergenceWarning, EuclideanMetric, random_walk

WALKERS = 20_000
KINDS = pytest.mark.parametrize("kind", ["brownian", "inverse-metric", "euclidean"])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bowl(z: Tensor) -> Tensor:
    """Any function of two latents, with all its derivatives."""
    return (z[..., 0] - 0.3 * z[..., 1]).sin() + z[..., 0] * z[..., 1] + 0.5 * z[..., 1].square()


def expected_after_one_step(
    monkeypatch: pytest.MonkeyPatch, metric: lg.Metric, z: Tensor, step_size: float, kind: str
) -> Tensor:
    """E bowl(z₁) of the walk itself, its normal numbers replaced by the nodes of a Gauss-Hermite rule."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(16)
    grid = torch.from_numpy(np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2))
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randn", lambda *shape, **options: grid)
        arrivals = random_walk(metric, z.expand(len(grid), 2), 1, step_size, kind=kind)[1]
    weights = torch.from_numpy(np.outer(weights, weights).ravel())
    return weights @ bowl(arrivals) / weights.sum()


def half_laplacian(matrix: spaces.Space, z: Tensor) -> Tensor:
    """1/2 |G|^(-1/2) ∂_i(|G|^(1/2) Gⁱʲ ∂_j bowl), by automatic differentiation of the formula."""
    g = lambda x: matrix.matrix(x[None])[0]  # noqa: E731
    volume = lambda x: torch.linalg.det(g(x)).sqrt()  # noqa: E731
    flux = lambda x: volume(x) * torch.linalg.solve(g(x), torch.func.grad(bowl)(x))  # noqa: E731
    return torch.func.jacrev(flux)(z).trace() / volume(z) / 2


CURVED = pytest.mark.parametrize(
    "space",
    [spaces.SPHERE_ANGLES, spaces.HALF_PLANE, spaces.TORUS, spaces.NETWORKS[1], spaces.GAUSSIANS],
    ids=str,
)


@CURVED
def test_generator_of_brownian_motion_is_half_the_laplacian(space, monkeypatch):
    """And the error of a step falls with the fourth power of its size, so that the weak order is one in time."""
    z = space.points(1, seeded())[0]
    slope = half_laplacian(space, z)
    errors = []
    for step_size in (0.04, 0.02):
        mean = expected_after_one_step(monkeypatch, space.metric(), z, step_size, "brownian")
        errors.append(float((mean - bowl(z) - step_size**2 * slope).abs()))
    assert errors[1] < 0.02 * 0.02**2 * float(slope.abs())
    assert 3.5 < math.log2(errors[0] / errors[1]) < 4.5


@pytest.mark.parametrize("space", [spaces.SPHERE_ANGLES, spaces.TORUS, spaces.NETWORKS[1]], ids=str)
def test_inverse_metric_walk_lacks_the_drift(space, monkeypatch):
    """It fails what Brownian motion passes, by -1/2 Gʲᵏ Γⁱ_jk ∂_i f."""
    z, step_size = space.points(1, seeded())[0], 0.02
    inverse = torch.linalg.inv(space.matrix(z[None])[0])
    drift = -torch.einsum("jk,ijk->i", inverse, lg.christoffel_symbols(space.metric(), z)) / 2
    missing = drift @ torch.func.grad(bowl)(z)
    mean = expected_after_one_step(monkeypatch, space.metric(), z, step_size, "inverse-metric")
    gap = half_laplacian(space, z) - (mean - bowl(z)) / step_size**2
    torch.testing.assert_close(gap, missing, rtol=0.02, atol=1e-3)
    assert missing.abs() > 0.05


@pytest.mark.parametrize("kind", ["brownian", "inverse-metric"])
def test_eigenfunctions_on_the_sphere_decay(kind):
    """Coordinates of R⁶ are eigenfunctions of S⁵ with Δx = -5x: E cos angle = exp(-5t/2). Only with the drift."""
    start = torch.full((5,), 0.35, dtype=torch.float64)
    walks = random_walk(
        spaces.SPHERE_5.metric(), start.expand(WALKERS, 5), 20, 0.1, kind=kind, generator=seeded()
    )
    images = spaces.stereographic(walks[-1])
    cosine = images @ spaces.stereographic(start)
    gap = float(cosine.mean()) - math.exp(-2.5 * 0.2)
    error = 3 * float(cosine.std()) / WALKERS**0.5 + 0.005  # and the weak error of steps of 0.1
    assert (abs(gap) < error) == (kind == "brownian")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_height_in_the_half_plane_is_geometric_brownian_motion(dtype):
    """As d log y = dB - dt/2, log y is normal with mean -t/2 and variance t."""
    start = torch.tensor([0.0, 1.0], dtype=dtype).expand(WALKERS, 2)
    walks = random_walk(spaces.HALF_PLANE.metric(dtype), start, 64, 0.125, generator=seeded())
    assert walks.dtype == dtype
    height = walks[-1, :, 1].log().double()
    assert abs(float(height.mean()) + 0.5) < 3 / WALKERS**0.5 + 0.01
    assert abs(float(height.var()) - 1) < 3 * (2 / WALKERS) ** 0.5 + 0.02


def test_walk_does_not_depend_on_the_latent_coordinates():
    """Moments of the images agree, where those of the walk without drift do not."""

    def unbent(w: Tensor) -> Tensor:
        return torch.stack([w[..., 0], w[..., 1] - 2 * w[..., 0].square()], -1)

    z, w = torch.tensor([[0.4, -0.2], [0.4, 0.12]], dtype=torch.float64)
    metrics = spaces.PARABOLOID.metric(), lg.pullback_metric(lambda w: paraboloid(unbent(w)))
    means = {}
    for kind in ("brownian", "inverse-metric"):
        here, there = (
            random_walk(metric, start.expand(WALKERS, 2), 20, 0.1, kind=kind, generator=seeded(seed))[-1]
            for metric, start, seed in zip(metrics, (z, w), (1, 2), strict=True)
        )
        x, y = paraboloid(here), paraboloid(unbent(there))
        means[kind] = float((x.mean(0) - y.mean(0)).norm())
        spread = float((x.var(0) + y.var(0)).sum().sqrt()) / WALKERS**0.5
    assert means["brownian"] < 3 * spread + 0.005
    assert means["inverse-metric"] > 10 * spread


@pytest.mark.parametrize(("kind", "mean"), [("brownian", 0.25), ("inverse-metric", 0.0)])
def test_time_is_spent_where_the_volume_is(kind, mean):
    """On the torus sqrt|G| = 2 + cos v, so that E cos v = 1/4 in the end; without drift v stays uniform."""
    angles = 2 * math.pi * torch.rand(8000, 2, dtype=torch.float64, generator=seeded(3))
    walks = random_walk(spaces.TORUS.metric(), angles, 40, 0.45, kind=kind, generator=seeded(4))
    cosine = walks[-10:, :, 1].cos()
    assert abs(float(cosine.mean()) - mean) < 3 * 0.7 / 8000**0.5 + 0.01


def test_one_step_has_the_covariance_of_its_kind():
    space = spaces.NETWORKS[2]
    z = space.points(1, seeded())[0]
    inverse = torch.linalg.inv(space.matrix(z[None])[0])
    for kind, wanted in (("inverse-metric", inverse), ("euclidean", torch.eye(3, dtype=torch.float64))):
        steps = (
            random_walk(space.metric(), z.expand(100_000, 3), 1, 0.5, kind=kind, generator=seeded())[1] - z
        )
        torch.testing.assert_close(steps.T.cov(), 0.25 * wanted, rtol=0, atol=0.01 * float(wanted.trace()))


@KINDS
def test_any_leading_dimensions(kind):
    metric, start = spaces.SPHERE.metric(), 0.1 * torch.ones(2, 3, 2, dtype=torch.float64)
    walks = random_walk(metric, start, 5, 0.1, kind=kind, generator=seeded())
    assert walks.shape == (6, 2, 3, 2)
    assert torch.equal(walks[0], start)
    flat = random_walk(metric, start.reshape(6, 2), 5, 0.1, kind=kind, generator=seeded())
    assert torch.equal(walks.reshape(6, 6, 2), flat)
    assert random_walk(metric, start[0, 0], 4, 0.1, kind=kind).shape == (5, 2)
    assert random_walk(metric, start[:0], 4, 0.1, kind=kind).shape == (5, 0, 3, 2)
    assert torch.equal(random_walk(metric, start, 0, 0.1, kind=kind), start[None])


def test_numbers_of_numpy_are_numbers(unchecked):
    start = torch.zeros(4, 2)
    walks = random_walk(EuclideanMetric(2), start, np.int64(3), np.float32(0.25), generator=seeded())
    assert torch.equal(walks, random_walk(EuclideanMetric(2), start, 3, 0.25, generator=seeded()))


def test_generator_decides_and_the_global_one_is_left_alone(capsys):
    metric, start = spaces.SPHERE.metric(torch.float32), torch.zeros(4, 2)
    state = torch.get_rng_state()
    first, second = (random_walk(metric, start, 8, 0.2, generator=seeded(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(5)
    assert torch.equal(random_walk(metric, start, 8, 0.2), first)
    assert capsys.readouterr().err == ""
    random_walk(metric, start, 8, 0.2, progress=True)
    assert "8/8" in capsys.readouterr().err


def test_no_graph_is_kept_and_inference_mode_will_do():
    start = torch.zeros(4, 2, requires_grad=True)
    assert not random_walk(spaces.SPHERE.metric(torch.float32), start, 3, 0.1).requires_grad
    with torch.inference_mode():
        walks = random_walk(
            spaces.SPHERE.metric(torch.float32), torch.zeros(4, 2), 3, 0.1, generator=seeded()
        )
    wanted = random_walk(spaces.SPHERE.metric(torch.float32), torch.zeros(4, 2), 3, 0.1, generator=seeded())
    assert torch.equal(walks, wanted)


def test_walker_led_to_where_there_is_no_metric_stays_and_spoils_nothing():
    def decoder(z: Tensor) -> Tensor:
        return torch.where(z[:, :1] > 0.5, torch.nan, z)

    start = torch.zeros(200, 2)
    with pytest.warns(ConvergenceWarning, match=r"of 200 walkers .* stay where they last were") as caught:
        walks = random_walk(lg.pullback_metric(decoder), start, 30, 0.2, generator=seeded())
    assert (walks[:, :, 0] <= 0.5).all()
    still = walks.diff(dim=0).eq(0).all(2)
    stopped = still.any(0)
    assert str(caught[0].message).startswith(f"{int(stopped.sum())} of 200")
    assert 0 < stopped.sum() < 200
    assert torch.equal(still.long().cumsum(0).clamp_max(1), still.long())  # who stops does not walk again


def test_singular_metric_leaves_walkers_where_they_are():
    flattening = lg.pullback_metric(lambda z: z[:, :1].expand(-1, 3))
    start = torch.randn(5, 2, generator=seeded())
    with pytest.warns(ConvergenceWarning, match="5 of 5 walkers"):
        walks = random_walk(flattening, start, 3, 0.1)
    assert torch.equal(walks, start.expand(4, 5, 2))
    assert random_walk(flattening, start, 3, 0.1, kind="euclidean").isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": torch.full((3, 2), torch.nan)}, "start must be finite"),
        ({"num_steps": -1}, "num_steps must be a non-negative integer, got -1"),
        ({"num_steps": 2.0}, "num_steps must be a non-negative integer"),
        ({"num_steps": True}, "num_steps must be a non-negative integer, got True"),
        ({"step_size": 0.0}, "step_size must be a positive number, got 0.0"),
        ({"step_size": math.inf}, "step_size must be a positive number"),
        ({"step_size": True}, "step_size must be a positive number, got True"),
        ({"kind": "levy"}, "kind must be one of 'brownian', 'inverse-metric', 'euclidean', got 'levy'"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(unchecked, arguments, message):
    given = {"start": torch.zeros(3, 2), "num_steps": 3, "step_size": 0.1, **arguments}
    with pytest.raises(ValueError, match=message):
        random_walk(EuclideanMetric(2), **given)


def test_wrong_types_are_named(unchecked):
    with pytest.raises(TypeError, match="metric must be a latentgeo Metric"):
        random_walk(lambda z: z, torch.zeros(3, 2), 3, 0.1)
    with pytest.raises(TypeError, match="start must be of a floating-point dtype"):
        random_walk(EuclideanMetric(2), torch.zeros(3, 2, dtype=torch.long), 3, 0.1)
