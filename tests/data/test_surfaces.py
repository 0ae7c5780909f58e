import pytest
import torch

from latentgeo.data import surface_with_hole


def test_the_latents_leave_the_hole_empty_and_cover_the_annulus_evenly():
    surface = surface_with_hole(4000, generator=torch.Generator().manual_seed(0))
    radius = surface.latents.norm(dim=1)
    assert 0.5 <= float(radius.min()) <= float(radius.max()) <= 1.0
    # Half of the annulus's area lies within radius sqrt(5/8).
    assert float((radius < 0.625**0.5).float().mean()) == pytest.approx(0.5, abs=0.03)


def test_without_noise_the_first_two_coordinates_are_the_latents():
    surface = surface_with_hole(10, noise=0.0, generator=torch.Generator().manual_seed(0))
    assert torch.equal(surface.points[:, :2], surface.latents)


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="num_points"):
        surface_with_hole(0)
    with pytest.raises(ValueError, match="noise"):
        surface_with_hole(5, noise=-1.0)
