"""Hyperplanes between classes: where they suffice, where they cannot, and what features may look like."""

from __future__ import annotations

import math

import pytest
import torch

from latentgeo.diagnostics import linear_separability


def blobs(distance, count=2000, seed=0):
    """Two round Gaussians, `distance` apart: the best accuracy is Φ(distance / 2)."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    return torch.randn(count, 3, generator=g) + distance * labels[:, None] * torch.tensor([1.0, 0, 0]), labels


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.0, 20.0])
def test_reaches_the_best_accuracy_of_gaussian_classes(distance):
    best = 0.5 * (1 + math.erf(distance / 2 / math.sqrt(2)))
    found = linear_separability(*blobs(distance), *blobs(distance, seed=1))
    assert found == pytest.approx(best, abs=4 * math.sqrt(best * (1 - best) / 2000) + 1e-9)


def test_no_hyperplane_parts_a_cross_but_a_product_does():
    x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    labels = (x.prod(1) > 0).long()
    assert linear_separability(x[:1000], labels[:1000], x[1000:], labels[1000:]) < 0.6
    more = torch.cat([x, x.prod(1, keepdim=True)], dim=1)
    assert linear_separability(more[:1000], labels[:1000], more[1000:], labels[1000:]) > 0.97


def test_units_and_constant_features_do_not_matter():
    (x, labels), (y, truth) = blobs(1.0), blobs(1.0, seed=1)
    expected = linear_separability(x, labels, y, truth)
    scale, shift = torch.tensor([1e-4, 1.0, 1e3]), torch.tensor([5.0, 0, -1e4])
    scaled = [torch.cat([f * scale + shift, torch.ones(len(f), 1)], 1).double() for f in (x, y)]
    assert linear_separability(scaled[0], labels, scaled[1], truth) == pytest.approx(expected, abs=2e-3)


def test_arrays_are_as_good_as_tensors_and_classes_need_no_order():
    (x, labels), (y, truth) = blobs(1.0), blobs(1.0, seed=1)
    expected = linear_separability(x, labels, y, truth)
    assert linear_separability(x.numpy(), labels.numpy(), y.numpy(), truth.numpy()) == expected
    assert linear_separability(x, 7 - 4 * labels, y, 7 - 4 * truth) == expected
    assert linear_separability(x, labels.bool(), y, truth.bool()) == expected


def test_features_may_be_in_half_precision():
    (x, labels), (y, truth) = blobs(2.0, 200), blobs(2.0, 200, seed=1)
    for dtype in (torch.half, torch.bfloat16):
        assert linear_separability(x.to(dtype), labels, y.to(dtype), truth) > 0.75
