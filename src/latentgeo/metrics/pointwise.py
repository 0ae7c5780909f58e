"""Whether a callable has a pull-back metric at all: it must be a differentiable function of each point by itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentgeo.metrics.decoder import hidden_gradient
from latentgeo.metrics.directional import ripple

# Change of an output, relative to the largest, that is noise even if torch's generators stood still; kernels that
# sum in another order at each call stay far below it, in half precision too.
_NOISE = 0.05
_FEW = 3  # points to look at; of two, a dimension of 2 might be taken for a batch


def depends_on_points(function: Callable[[Tensor], Tensor], z: Tensor, name: str) -> bool:
    """Whether F: (N, d) -> (N, m) depends on z, of which a few points are looked at.

    Rows are independent where the pull-back Jᵀ w of a w that is zero outside one row is zero outside that row,
    without rounding, in every precision and whichever kernels a batch of some size takes.

    Raises:
        ValueError: F draws random numbers, a row of it depends on another point, or its graph is cut.
    """
    few = z.repeat(_FEW, 1)[:_FEW]
    before = _random_states()
    with torch.enable_grad():
        point = few.clone().requires_grad_()
        image = function(point)
        drew = any(not torch.equal(a, b) for a, b in zip(before, _random_states(), strict=False))
        again = function(point)
    change, size = (again - image).detach().abs(), image.detach().abs()
    if image.numel() and bool(change.max() > (0 if drew else _NOISE) * size.max()):
        raise ValueError(
            f"{name} must return the same for the same points, but draws random numbers: hand over its mean or its "
            "distribution (expected_pullback_metric, fisher_pullback_metric)"
        )
    pulled = [_pulled(output, point, row) for row, output in enumerate((image, again))]
    for row, gradient in enumerate(pulled):
        others = torch.arange(_FEW, device=z.device) != row
        if gradient is not None and bool((gradient[others].abs() > 0).any()):  # which NaN is not
            raise ValueError(
                f"{name} must map each point by itself, but its rows influence each other: look for means, norms, "
                "softmax or attention over the first dimension, that of the batch"
            )
    if any(gradient is not None for gradient in pulled):
        return True
    with torch.no_grad():
        moved = function(few + 0.1 * (1 + few.abs()))
    if not torch.equal(moved, image):
        raise hidden_gradient(name)
    return False


def _pulled(image: Tensor, point: Tensor, row: int) -> Tensor | None:
    """Jᵀ w (N, d) for a w that is zero outside one row; None where the graph does not reach the points."""
    if not image.requires_grad:
        return None
    w = torch.zeros_like(image)
    w[row] = ripple(w[row])
    return torch.autograd.grad(image, point, w, allow_unused=True)[0]


def _random_states() -> list[Tensor]:
    """The states of torch's generators."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else ())]
