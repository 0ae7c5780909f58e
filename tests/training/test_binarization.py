import math

import numpy as np
import pytest
import torch

from latentgeo.training import static_binarization


def test_grey_levels_are_the_probabilities_of_white(dtype):
    levels = torch.linspace(0, 1, 11, dtype=dtype).expand(40_000, 11)
    before = levels.clone()
    drawn = static_binarization(levels, generator=torch.Generator().manual_seed(0))
    assert drawn.dtype == dtype
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    error = (levels * (1 - levels) / len(levels)).sqrt()[0]
    assert bool(((drawn.mean(0) - levels[0]).abs() <= 4 * error).all())
    assert torch.equal(levels, before)


def test_the_generator_decides():
    images = torch.full((5, 1, 4, 4), 0.5)
    first, same, other = (
        static_binarization(images, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(static_binarization(first), first)


@pytest.mark.parametrize("level", [-0.1, 1.1, math.nan])
def test_levels_outside_are_refused(level):
    with pytest.raises(ValueError, match=r"images: expected grey levels in \[0, 1\]"):
        static_binarization(torch.tensor([0.5, level]))


@pytest.mark.parametrize("images", [torch.tensor([0, 1], dtype=torch.uint8), np.array([0.5])])
def test_what_is_no_floating_tensor_is_refused(images, unchecked):
    with pytest.raises(TypeError, match=r"images: expected a tensor of floating grey levels .* got"):
        static_binarization(images)
