"""What a decoder makes of a latent point as one latent after the other is varied."""

import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import Any, SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from latentgeo.diagnostics.arguments import check_tensor
from latentgeo.diagnostics.protocol import refuse_training


def latent_traversal(
    decode: Callable[[Tensor], Any],
    z: Float[Tensor, "*batch d"],
    dims: Iterable[SupportsIndex],
    values: Float[Tensor, " v"] | Sequence[float],
) -> Float[Tensor, "..."]:
    """Decoded points around `z`: for each latent in `dims`, it alone is set to each of `values`.

    Args:
        decode: maps latents (N, d) to tensors (N, *event), or to a Distribution, whose mean is taken;
            such as `model.decode`. It is called once, on all points.
        z: the points to start from, (..., d).
        dims: the K latents to vary, from -d to d - 1.
        values: the V values each takes, in the units of the latents.

    Returns:
        (..., K, V, *event), a row for each latent and a column for each value.

    Raises:
        ValueError: no latents or values, a latent that is not there, non-finite values, or an output
            without a row for each point.
        TypeError: not floating tensors, or an output that is neither a tensor nor a distribution.

    References:
        Higgins et al., beta-VAE, 2017.

    Examples:
        >>> import torch
        >>> latent_traversal(lambda z: 10 * z, torch.tensor([1.0, 2.0]), [1], [0.0, 5.0])
        tensor([[[10.,  0.],
                 [10., 50.]]])
    """
    check_tensor("z", z, "(..., d)", least_dims=1)
    refuse_training("decode", decode)
    size = z.shape[-1]
    steps = torch.as_tensor(values, dtype=z.dtype, device=z.device)
    check_tensor("values", steps, "(V,)", least_dims=1)
    if steps.dim() != 1:
        raise ValueError(f"values: expected shape (V,), got {tuple(steps.shape)}")
    varied = torch.eye(size, dtype=torch.bool, device=z.device)[_indices(dims, size)]
    points = torch.where(varied[:, None], steps[:, None], z[..., None, None, :])
    output = decode(points.reshape(-1, size))
    if isinstance(output, Distribution):
        output = output.mean
    if not isinstance(output, Tensor):
        raise TypeError(
            f"decode: expected a tensor or a Distribution for its output, got {type(output).__name__}"
        )
    if output.shape[:1] != (points[..., 0].numel(),):
        raise ValueError(
            f"decode: expected {points[..., 0].numel()} rows, one for each point, got {tuple(output.shape)}"
        )
    return output.reshape(points.shape[:-1] + output.shape[1:])


def _indices(dims: object, size: int) -> list[int]:
    """The latents to vary, as integers of Python."""
    listed = dims.tolist() if isinstance(dims, Tensor) else dims
    found = list(listed) if isinstance(listed, Iterable) else []
    whole = all(isinstance(index, numbers.Integral) and not isinstance(index, bool) for index in found)
    if not found or not whole or not all(-size <= index < size for index in found):
        raise ValueError(
            f"dims: expected a sequence of integers from {-size} to {size - 1}, got {found or listed!r}"
        )
    return [int(index) for index in found]
