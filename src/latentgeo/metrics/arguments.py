"""Checks of points, tangents and counts at the public boundary, and the words for what came instead."""

from __future__ import annotations

import numbers

import torch
from torch import Tensor


def describe(value: object) -> str:
    """What a value is, in a few words, for an error message."""
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def check_points(name: str, z: Tensor) -> None:
    """Refuses what is not a floating-point tensor (..., d)."""
    if not isinstance(z, Tensor):
        raise TypeError(f"{name} must be a torch tensor of shape (..., d), got {describe(z)}")
    if not z.is_floating_point():
        raise TypeError(f"{name} must be of a floating-point dtype, got {describe(z)}")
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ValueError(f"{name} must have shape (..., d) with d >= 1, got {describe(z)}")


def check_precision(name: str, x: Tensor) -> None:
    """Refuses what is not a tensor of single or double precision: there is no linear algebra of others."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {describe(x)}")
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} must be in float32 or float64, got {describe(x)}")


def check_tangent(z: Tensor, name: str, v: Tensor, *, foot: str = "z") -> None:
    """Refuses a tangent vector that does not fit its foot point, or another tangent there."""
    check_points(foot, z)
    check_points(name, v)
    if v.shape[-1] != z.shape[-1]:
        raise ValueError(f"{name} must have the {z.shape[-1]} coordinates of {foot}, got {describe(v)}")
    if v.dtype != z.dtype or v.device != z.device:
        raise ValueError(
            f"{name} must have the dtype and device of {foot}, {z.dtype} on {z.device}, "
            f"got {describe(v)} on {v.device}"
        )
    if any(a != b and 1 not in (a, b) for a, b in zip(z.shape[:-1][::-1], v.shape[:-1][::-1], strict=False)):
        raise ValueError(f"{name} must broadcast against {foot} of shape {tuple(z.shape)}, got {describe(v)}")


def check_count(name: str, value: object, *, words: str = "a positive integer") -> None:
    """Refuses what is not a positive integer, Python's or NumPy's."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be {words}, got {value!r}")


def check_chunk_size(chunk_size: int | None) -> None:
    """Refuses what is neither a positive integer nor None."""
    if chunk_size is not None:
        check_count("chunk_size", chunk_size, words="a positive integer or None")
