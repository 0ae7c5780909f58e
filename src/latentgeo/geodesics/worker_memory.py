"""Freed memory on dask workers: kept for the next tensors while they compute, given back as dask wants it after.

Dask starts workers with ``MALLOC_TRIM_THRESHOLD_=65536``. With that set, glibc returns every block above 128 KiB to
the system when it is freed, and each large tensor is paid for anew, page by page, by the kernel.
"""

from __future__ import annotations

import ctypes
import os

_TRIM, _MMAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3)
_VARIABLE = "MALLOC_TRIM_THRESHOLD_"
_KEPT = 128 * 2**20  # bytes free at the end of a thread's heap, above which they are given back
_LARGEST = 32 * 2**20  # bytes of a block that is kept; glibc allows no more
_DEFAULT = 128 * 2**10  # what glibc takes for that where the variable is set


def keep_freed_memory() -> None:
    """Lets this process use freed blocks again, where dask's setting forbids it."""
    if library := _glibc():
        library.mallopt(_TRIM, _KEPT)
        library.mallopt(_MMAP, _LARGEST)


def give_freed_memory_back() -> None:
    """Makes this process as dask started it: what is kept goes when other work frees some memory of its own."""
    if library := _glibc():
        library.mallopt(_TRIM, int(os.environ[_VARIABLE]))
        library.mallopt(_MMAP, _DEFAULT)


def _glibc() -> ctypes.CDLL | None:
    """The C library, if it is one to which dask's setting speaks."""
    if _VARIABLE not in os.environ:
        return None
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return library if hasattr(library, "mallopt") else None
