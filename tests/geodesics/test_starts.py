"""Several starts: ways round that the straight line does not see."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import latentgeo as lg
import laws
from latentgeo.data import load_digits
from latentgeo.geodesics.minimize_energy import bows
from latentgeo.training import reference_model


def ridge(z: Tensor) -> Tensor:
    """A ridge that ends just above the straight line, from where every way down leads to its far end."""
    x, y = z[:, 0], z[:, 1]
    height = torch.exp(-4 * x**2 - (y / torch.where(y > 0, 0.3, 1.2)) ** 2)
    return (1 + 100 * height)[:, None, None] * torch.eye(2, dtype=z.dtype, device=z.device)


def wall_with_a_gap(z: Tensor) -> Tensor:
    """A wall of height 3 and width 0.2 across the way, that ends at z_2 = 0.3."""
    height = 3 * torch.sigmoid((0.3 - z[:, 1:]) / 0.05)
    return torch.cat([z, height * torch.exp(-((z[:, :1] / 0.1) ** 2))], 1)


def test_more_starts_find_the_shorter_way(dtype: torch.dtype) -> None:
    metric = lg.metric_from_function(ridge)
    start, end = torch.tensor([[-1.5, -0.1]], dtype=dtype), torch.tensor([[1.5, -0.1]], dtype=dtype)
    one = lg.geodesic(metric, start, end, solver=lg.MinimizeEnergy(num_starts=1))
    many = lg.geodesic(metric, start, end, solver=lg.MinimizeEnergy(num_starts=8))
    assert one.converged.all()
    assert many.converged.all()
    assert float(one.length) > 6.5
    assert float(many.length) < 4.0


def test_default_looks_for_a_way_round_what_its_segments_do_not_resolve(dtype: torch.dtype) -> None:
    metric = lg.pullback_metric(wall_with_a_gap)
    start, end = torch.tensor([[-1.0, -0.3]], dtype=dtype), torch.tensor([[1.0, -0.3]], dtype=dtype)
    result = lg.geodesic(metric, start, end)
    assert result.converged.all()
    with pytest.warns(lg.ConvergenceWarning, match="UNRESOLVED"):
        one = lg.geodesic(metric, start, end, solver=lg.MinimizeEnergy(num_starts=1))
    assert float(one.length) > 6.0  # over the wall
    assert 2.0 < float(result.length) < 3.0  # through the gap


def test_no_geodesic_is_longer_than_its_straight_line() -> None:
    """A trained RBF-VAE stretches its lines so unevenly that at an even latent pace their energy is no bound.

    The last pair's curve jumps over a fold on 16 segments, and only a measure of the line says that it is worse.
    """
    model, digits = reference_model("digits"), load_digits().of_classes((0, 1, 2))
    with torch.no_grad():
        z = model.encode(digits.images.flatten(1)).mean
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(0))
    start, end = torch.cat([z[order[14:18]], z[265:266]]), torch.cat([z[order[142:146]], z[425:426]])
    metric = lg.expected_pullback_metric(model.decode)
    result = lg.geodesic(metric, start, end)
    assert result.converged.all()
    t = torch.linspace(0, 1, 513)[:, None]
    with torch.no_grad():
        normal = model.decode(torch.lerp(start[:, None], end[:, None], t).flatten(0, 1))
        image = torch.cat([normal.mean, normal.stddev], 1).unflatten(0, (5, -1))
    assert (result.length <= image.diff(dim=1).norm(dim=2).sum(1) * (1 + 1e-3)).all()


def test_starts_are_the_same_for_every_pair_and_call() -> None:
    ends = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0, 1, 17, dtype=torch.float64)[:, None]
    line = torch.lerp(ends[0, :, None], ends[1, :, None], t)
    bent = bows(line, 3)
    laws.assert_near(bows(line[2:3], 3)[:, 0], bent[:, 2], 1e-14)
    assert torch.equal(bent[:, :, [0, -1]], line[None, :, [0, -1]].expand(3, -1, -1, -1))
    way = ends[1] - ends[0]
    laws.assert_near((bent - line) @ way[:, :, None], torch.zeros(3, 5, 17, 1), 1e-12, scale=way.norm() ** 2)
    height = (bent - line).norm(dim=3).amax(dim=2) / way.norm(dim=1)
    laws.assert_near(height, torch.tensor([0.5, 0.5, 1.0])[:, None].expand(3, 5), 1e-12)
    laws.assert_near(bent[0] + bent[1], 2 * line, 1e-14)


def test_result_does_not_depend_on_who_needs_several_starts() -> None:
    """A pair beside the wall and one across it: each gets what it gets alone."""
    metric = lg.pullback_metric(wall_with_a_gap)
    start = torch.tensor([[-1.0, -0.3], [0.5, 0.0]], dtype=torch.float64)
    end = torch.tensor([[1.0, -0.3], [1.0, 0.7]], dtype=torch.float64)
    both = lg.geodesic(metric, start, end)
    for i in range(2):
        alone = lg.geodesic(metric, start[i], end[i])
        laws.assert_near(alone.points[0], both.points[i], 1e-10)
        assert alone.steps[0] == both.steps[i]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("value", [0, -1, 2.0, True, "4"])
def test_wrong_number_of_starts_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="num_starts must be a positive integer"):
        lg.MinimizeEnergy(num_starts=value)
