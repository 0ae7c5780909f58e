"""What the demo compares, where the answer is known: in a Euclidean latent space."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentgeo import EuclideanMetric, MinimizeEnergy, metric_from_function
from latentgeo.experiments.interpolation import join_classes, unevenness
from latentgeo.experiments.latent_clusters import euclidean_clusters, geodesic_clusters

LABELS = np.repeat([3, 4, 7], 10)


@pytest.fixture
def blobs(generator):
    """Ten points around each of three corners."""
    corners = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], dtype=torch.float64)
    noise = torch.randn(30, 2, generator=generator, dtype=torch.float64)
    return corners.repeat_interleave(10, 0) + noise


def test_pairs_take_turns_among_the_combinations_of_classes(blobs):
    joined = join_classes(EuclideanMetric(2), blobs, LABELS, 7, solver=MinimizeEnergy(), random_state=0)
    assert joined.classes == [(3, 4), (3, 7), (4, 7)] * 2 + [(3, 4)]
    for k, (first, last) in enumerate(joined.classes):
        for end, label in ((joined.lines[k, 0], first), (joined.lines[k, -1], last)):
            row = int((blobs - end).norm(dim=1).argmin())
            torch.testing.assert_close(blobs[row], end)
            assert LABELS[row] == label
    torch.testing.assert_close(joined.geodesics[:, [0, -1]], joined.lines[:, [0, -1]])


def test_straight_lines_are_as_long_as_geodesics_in_a_flat_space_and_longer_in_a_curved_one(blobs):
    def half_plane(z):
        return torch.eye(2, dtype=z.dtype) / (z[:, 1, None, None] + 20) ** 2

    flat = join_classes(EuclideanMetric(2), blobs, LABELS, 3, solver=MinimizeEnergy(), random_state=0)
    torch.testing.assert_close(flat.length_ratios, torch.ones(3, dtype=torch.float64))
    metric = metric_from_function(half_plane)
    curved = join_classes(metric, blobs, LABELS, 3, solver=MinimizeEnergy(), random_state=0)
    assert bool((curved.length_ratios <= 1 + 1e-6).all())
    assert float(curved.length_ratios.min()) < 0.9999


def test_even_steps_have_unevenness_one():
    even = torch.linspace(0, 1, 11)[:, None] * torch.tensor([3.0, 4.0])
    jump = even.clone()
    jump[5:] += torch.tensor([3.0, 4.0])
    torch.testing.assert_close(unevenness(torch.stack([even, jump])), torch.tensor([1.0, 5.5]))


def test_both_kinds_of_clusters_are_the_same_in_a_flat_space_and_numbered_like_the_classes(blobs):
    near = euclidean_clusters(blobs, LABELS, random_state=0)
    far = geodesic_clusters(
        EuclideanMetric(2), blobs, LABELS, solver=MinimizeEnergy(num_segments=16), random_state=0
    )
    np.testing.assert_array_equal(near.labels, np.repeat([0, 1, 2], 10))
    np.testing.assert_array_equal(far.labels, near.labels)
    np.testing.assert_allclose(far.centers, near.centers, atol=0.02)
    assert far.scores.f_measure == near.scores.f_measure == 1
