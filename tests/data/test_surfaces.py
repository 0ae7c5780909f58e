import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

import strategies
from latentgeo.data import surface_with_hole, swiss_roll, two_moons

SURFACES = [surface_with_hole, two_moons, swiss_roll]


@pytest.mark.parametrize("make", SURFACES)
@given(st.integers(1, 50), st.sampled_from([0.0, 0.3]), strategies.seeds())
def test_every_surface_has_points_where_its_latents_say(make, count, noise, generator):
    """The same draws without noise are the surface; noise adds its standard deviation and nothing else."""
    state = generator.get_state()
    surface = make(count, noise=noise, generator=generator)
    exact = make(count, noise=0.0, generator=torch.Generator().set_state(state))
    assert surface.latents.shape == (count, 2)
    assert surface.points.shape == (count, 3)
    assert torch.equal(surface.latents, exact.latents)
    assert float((surface.points - exact.points).abs().max()) <= 8 * noise


@pytest.mark.parametrize("make", SURFACES)
def test_draws_come_from_the_generator_alone(make):
    before = torch.get_rng_state()
    first, second = (make(20, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.points, second.points)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("make", SURFACES)
def test_noise_is_normal_in_all_three_coordinates(make):
    noisy, exact = (
        make(4000, noise=noise, generator=torch.Generator().manual_seed(0)).points for noise in (0.2, 0.0)
    )
    residual = (noisy - exact) / 0.2
    torch.testing.assert_close(residual.mean(0), torch.zeros(3), rtol=0.0, atol=0.06)
    torch.testing.assert_close(residual.T.cov(), torch.eye(3), rtol=0.0, atol=0.08)


def test_the_latents_leave_the_hole_empty_and_cover_the_annulus_evenly():
    surface = surface_with_hole(4000, generator=torch.Generator().manual_seed(0))
    radius = surface.latents.norm(dim=1)
    assert 0.5 <= float(radius.min()) <= float(radius.max()) <= 1.0
    # Half of the annulus's area lies within radius sqrt(5/8).
    assert float((radius < 0.625**0.5).float().mean()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("make", [surface_with_hole, two_moons])
def test_without_noise_the_points_are_the_lifted_latents(make):
    surface = make(10, noise=0.0, generator=torch.Generator().manual_seed(0))
    u, v = surface.latents.T
    height = (torch.pi / 2 * u).sin() * (torch.pi / 2 * v).cos() / 2
    torch.testing.assert_close(surface.points, torch.stack([u, v, height], dim=1))


def test_each_moon_is_evenly_covered_and_apart_from_the_other():
    moons = two_moons(4001, noise=0.0, generator=torch.Generator().manual_seed(0))
    assert torch.bincount(moons.labels).tolist() == [2001, 2000]
    upper, lower = (moons.latents[moons.labels == label] for label in (0, 1))
    for arc in (upper, torch.tensor([1.0, 0.5]) - lower):
        radius, angle = arc.norm(dim=1), torch.atan2(arc[:, 1], arc[:, 0])
        assert 0.9 - 1e-6 <= float(radius.min()) <= float(radius.max()) <= 1.1 + 1e-6
        assert 0.0 <= float(angle.min()) <= float(angle.max()) <= math.pi + 1e-6
        # Half of the area lies within radius sqrt((0.81 + 1.21) / 2), and on either side of the top.
        assert float((radius < 1.01**0.5).float().mean()) == pytest.approx(0.5, abs=0.04)
        assert float((angle < math.pi / 2).float().mean()) == pytest.approx(0.5, abs=0.04)
    assert float(torch.cdist(upper, lower).min()) > 0.25


def test_straight_lines_between_moons_are_shorter_than_along_them():
    """The ends of a moon lie nearer to the other moon than to each other."""
    moons = two_moons(2000, noise=0.0, generator=torch.Generator().manual_seed(0))
    upper, lower = (moons.latents[moons.labels == label] for label in (0, 1))
    left, right = upper[upper[:, 0].argmin()], upper[upper[:, 0].argmax()]
    for end in (left, right):
        assert float((lower - end).norm(dim=1).min()) < 0.7 * float((left - right).norm())


def test_the_rolls_latents_are_lengths_along_it():
    """The length of the spiral by quadrature of its speed √(1 + t²), with t the distance from the axis."""
    roll = swiss_roll(200, noise=0.0, generator=torch.Generator().manual_seed(0))
    x, y, z = roll.points.double().T
    t = torch.hypot(x, z)
    torch.testing.assert_close(
        torch.stack([t * t.cos(), t * t.sin()]), torch.stack([x, z]), rtol=0, atol=1e-4
    )
    start = 1.5 * math.pi
    lengths = [quad(lambda s: math.hypot(1.0, s), start, float(end))[0] for end in t]
    np.testing.assert_allclose(roll.latents[:, 0].numpy(), lengths, atol=1e-4)
    assert torch.equal(roll.latents[:, 1].double(), y)


def test_the_roll_is_evenly_covered():
    roll = swiss_roll(4000, generator=torch.Generator().manual_seed(0))
    full, _ = quad(lambda s: math.hypot(1.0, s), 1.5 * math.pi, 4.5 * math.pi)
    s, y = roll.latents.T
    assert float((s < full / 4).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert float((y < 21 / 4).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert 0.98 * full < float(s.max()) <= full
    assert 0.0 <= float(s.min()) < 0.02 * full


@pytest.mark.parametrize("make", SURFACES)
@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named(make):
    with pytest.raises(ValueError, match=r"num_points: .* got 0"):
        make(0)
    with pytest.raises(ValueError, match=r"noise: .* got -1\.0"):
        make(5, noise=-1.0)
