"""Walks are drawn step by step, in the order of time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentgeo.plots import TIME, walk


def test_every_step_is_drawn_in_the_colour_of_its_time(axes):
    points = torch.randn(6, 3, 2).cumsum(0)
    steps, starts = walk(axes, points)
    drawn = np.stack(steps.get_segments()).reshape(5, 3, 2, 2)
    np.testing.assert_allclose(drawn[:, :, 0], points[:-1])
    np.testing.assert_allclose(drawn[:, :, 1], points[1:])
    np.testing.assert_allclose(
        np.asarray(steps.get_array()).reshape(5, 3), np.arange(5)[:, None] + 0.5 + np.zeros(3)
    )
    assert steps.get_clim() == (0, 5)
    np.testing.assert_allclose(starts.get_offsets(), points[0])
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left <= points[..., 0].min() < points[..., 0].max() <= right
    assert bottom <= points[..., 1].min() < points[..., 1].max() <= top


def test_one_walk_is_a_batch_of_one(axes):
    points = np.random.RandomState(0).randn(7, 2)
    one, many = walk(axes, points)[0], walk(axes, points[:, None])[0]
    np.testing.assert_array_equal(np.stack(one.get_segments()), np.stack(many.get_segments()))


def test_a_walk_ends_where_it_is_lost(axes):
    points = torch.zeros(5, 2, 2)
    points[3:, 1] = torch.nan
    assert len(walk(axes, points)[0].get_segments()) == 4 + 2


def test_no_step_is_as_pale_as_the_page():
    luminance = TIME(np.linspace(0, 1, 99))[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert luminance.max() < 0.75


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_walk_is_named(axes):
    with pytest.raises(ValueError, match="at least two in a walk"):
        walk(axes, np.zeros((1, 2)))
    with pytest.raises(ValueError, match="points: expected shape"):
        walk(axes, np.zeros((4, 3, 3)))
