"""The estimate of log C where it is hard: a component that its draws miss."""

from __future__ import annotations

import pytest
import torch

from latentgeo.statistics.normalizing_constant import normalizing_constant


def weights(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    log_weights = torch.randn(2, 64, generator=generator, dtype=torch.float64)
    log_control = log_weights + 0.5 * torch.randn(2, 64, generator=generator, dtype=torch.float64)
    return log_weights.to(dtype), log_control.to(dtype)


@pytest.mark.parametrize("far", [0.0, -50.0, -711.0, -5000.0])
def test_draws_far_from_a_component_leave_finite_slopes(far: float, dtype: torch.dtype) -> None:
    log_weights, log_control = (x.requires_grad_() for x in weights(dtype))
    constant = normalizing_constant(log_weights + far, log_control + far)
    assert constant.log_value.isfinite().all()
    slopes = torch.autograd.grad(
        constant.log_value.sum() + constant.effective.sum(), (log_weights, log_control)
    )
    assert all(bool(slope.isfinite().all()) for slope in slopes)


def test_constant_of_the_control_leaves_all_but_its_power() -> None:
    """The power λ in log C = log mean a - λ log mean b does not depend on the scale of b."""
    log_weights, log_control = weights(torch.float64)
    values = [normalizing_constant(log_weights, log_control + c).log_value for c in (0.0, -1.0, -2000.0)]
    share = values[1] - values[0]
    assert (share > 0).all()
    torch.testing.assert_close(values[2], values[0] + 2000 * share)
    shifted = normalizing_constant(log_weights - 900, log_control)
    torch.testing.assert_close(shifted.log_value, values[0] - 900)
