"""Freed memory on dask workers: kept for the next tensors while they compute, given back as dask wants it after.

Dask starts workers with ``MALLOC_TRIM_THRESHOLD_=65536``. With that set, glibc returns every block above 128 KiB to
the system when it is freed, and each large tensor is paid for anew, page by page: geodesics took 1.9 times the
processor time, four tenths of it in the kernel.
"""

from __future__ import annotations

import ctypes
import os

_TRIM, _MMAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3)
_VARIABLE = "MALLOC_TRIM_THRESHOLD_"
_KEPT = 128 * 2**20  # bytes free at the end of a heap, above which they are given back
_LARGEST = 32 * 2**20  # bytes of a block that is kept; glibc allows no more
_GLIBC = 128 * 2**10  # what glibc takes for that where the variable is set


def keep_freed_memory() -> None:
    """Lets this process use freed blocks again, where dask's setting forbids it."""
    _set(_KEPT, _LARGEST)


def give_freed_memory_back() -> None:
    """Makes this process as dask started it."""
    _set(int(os.environ.get(_VARIABLE, 0)), _GLIBC)


def _set(trim: int, largest: int) -> None:
    if _VARIABLE not in os.environ:
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library than glibc
        return
    mallopt(_TRIM, trim)
    mallopt(_MMAP, largest)
