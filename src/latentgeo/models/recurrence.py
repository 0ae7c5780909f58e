"""First-order linear recurrences in logarithmic depth: the back substitution behind the structured normals."""

from collections.abc import Callable

import torch
from torch import Tensor

Product = Callable[[Tensor, Tensor], Tensor]

# Up to here one step after the other takes fewer operations than halving.
_SHORT = 16


def solve_recurrence(
    factors: Tensor, offsets: Tensor, *, compose: Product = torch.mul, apply: Product | None = None
) -> Tensor:
    """Solve xₙ = dₙ, xᵢ = Cᵢ xᵢ₊₁ + dᵢ along the first dimension, by cyclic reduction.

    Every second unknown is eliminated, xᵢ = (Cᵢ Cᵢ₊₁) xᵢ₊₂ + (Cᵢ dᵢ₊₁ + dᵢ), the recurrence of half the
    length is solved, and the eliminated ones follow: O(log n) batched operations, and work linear in n. Nothing is
    divided, and the terms Cᵢ ... Cⱼ₋₁ dⱼ that make xᵢ are those of the step-by-step substitution, in another
    order. Where |C| > 1 for long they grow exponentially; that is the recurrence, not its solution here.

    Args:
        factors: C, (n-1, ...).
        offsets: d, (n, ...) with n at least one.
        compose: the product of two factors, for many at a time.
        apply: the action of a factor on an unknown, linear in the unknown; the same as `compose` by default.

    Returns:
        x, (n, ...).

    References:
        Hockney, A Fast Direct Solution of Poisson's Equation Using Fourier Analysis, 1965.
        Blelloch, Prefix Sums and Their Applications, 1990.

    Examples:
        >>> import torch
        >>> solve_recurrence(torch.full((3,), 0.5), torch.tensor([0.0, 0.0, 0.0, 8.0]))
        tensor([1., 2., 4., 8.])
    """
    if apply is None:
        apply = compose
    n = len(offsets)
    if n <= _SHORT:
        x = [offsets[-1]]
        for factor, offset in zip(reversed(factors.unbind()), reversed(offsets[:-1].unbind()), strict=True):
            x.append(apply(factor, x[-1]) + offset)
        return torch.stack(x[::-1])
    # kept: the last but one, and every second before it; of an odd number the first is left to the end
    odd = n % 2
    factor, next_factor = factors[odd::2], factors[odd + 1 :: 2]
    offset, next_offset = offsets[odd::2], offsets[odd + 1 :: 2]
    kept = solve_recurrence(
        compose(factor[:-1], next_factor),
        apply(factor, next_offset) + offset,
        compose=compose,
        apply=apply,
    )
    eliminated = torch.cat([apply(next_factor, kept[1:]) + next_offset[:-1], next_offset[-1:]])
    x = torch.stack([kept, eliminated], 1).flatten(0, 1)
    if odd:
        x = torch.cat([apply(factors[:1], x[:1]) + offsets[:1], x])
    return x
