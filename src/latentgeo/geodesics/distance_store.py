"""Where a distance matrix is put as it is found: memory, an array of the caller's, a file."""

from __future__ import annotations

import math
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

_CHUNK = 128  # a side of the chunks of a zarr store; tiles are scattered over them


class Store:
    """An array (N, M), unknown (NaN) until its distances are put.

    Args:
        array: of NumPy or zarr, or whatever else has a shape, a dtype and items.
        symmetric: whether each distance is put twice, and the diagonal is zero.
        blank: whether what the array holds is to be forgotten.

    Raises:
        ValueError: the array cannot be written to.
    """

    def __init__(self, array: Any, *, symmetric: bool, blank: bool) -> None:
        self.array, self._symmetric = array, symmetric
        if blank and math.prod(array.shape):
            try:
                array[...] = np.nan
            except (ValueError, TypeError, OSError) as error:
                raise ValueError(f"out must be writable, but is not: {error}") from error
            if symmetric:
                everyone = np.arange(array.shape[0])
                array[everyone, everyone] = np.zeros(array.shape[0])

    def put(
        self, rows: Int[np.ndarray, " n"], columns: Int[np.ndarray, " n"], lengths: Float[np.ndarray, " n"]
    ) -> np.ndarray:
        """Stores distances where none is known, or no shorter one; returns where that was (n,)."""
        if not len(rows):
            return np.zeros(0, dtype=bool)
        lengths = lengths.astype(self.array.dtype)
        known = np.asarray(self.array[rows, columns])
        better = (lengths <= known) | np.isnan(known)
        rows, columns, lengths = rows[better], columns[better], lengths[better]
        if len(rows):
            self.array[rows, columns] = lengths
            if self._symmetric:
                self.array[columns, rows] = lengths
            if callable(flush := getattr(self.array, "flush", None)):
                flush()
        return better

    def numpy(self) -> Float[np.ndarray, "n m"]:
        """All of it in float64, of a file without a copy where that is possible."""
        return np.asarray(self.array[...], dtype=np.float64)


def check_out(out: object, shape: tuple[int, int]) -> Path | None:
    """The path that ``out`` is, if it is one; refuses what is no place for distances of this shape."""
    if out is None:
        return None
    if isinstance(out, str | PathLike):
        path = Path(fspath(out))
        if path.suffix not in (".npy", ".zarr"):
            raise ValueError(f"out must be a path that ends in .npy or .zarr, or an array, got {str(path)!r}")
        if not path.parent.is_dir():
            raise ValueError(f"out must be a path in an existing folder, but there is no {path.parent}")
        if path.suffix == ".zarr":
            _zarr()
        return path
    found, dtype = getattr(out, "shape", None), getattr(out, "dtype", None)
    if found is None or dtype is None or isinstance(out, Tensor) or not hasattr(out, "__setitem__"):
        raise TypeError(
            "out must be a writable NumPy or zarr array, or a path that ends in .npy or .zarr, "
            f"got {type(out).__module__}.{type(out).__qualname__}"
        )
    if tuple(found) != shape:
        raise ValueError(f"out must have shape {shape}, got {tuple(found)}")
    if str(dtype) not in ("float64", "float32"):
        raise ValueError(f"out must be of dtype float64 or float32, got {dtype}")
    return None


def open_file(path: Path, shape: tuple[int, int], *, fresh: bool) -> Any:
    """The array of a file, writable; a fresh one, or one that is there.

    Raises:
        ValueError: what is there is not of this shape.
    """
    if path.suffix == ".zarr":
        zarr = _zarr()
        if fresh:
            chunks = tuple(max(1, min(side, _CHUNK)) for side in shape)
            return zarr.create_array(
                path, shape=shape, dtype="float64", chunks=chunks, compressors=None, fill_value=np.nan,
                overwrite=True, zarr_format=3,
            )  # fmt: skip
        array = zarr.open_array(path, mode="r+")
    elif not math.prod(shape):  # no memory to map
        np.save(path, np.empty(shape))
        return np.load(path)
    elif fresh:
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=shape)
    else:
        array = np.lib.format.open_memmap(path, mode="r+")
    if tuple(array.shape) != shape or array.dtype != np.float64:
        raise ValueError(f"out: {path} holds {array.dtype} {tuple(array.shape)}, not float64 {shape}")
    return array


def finished(array: Any, path: Path) -> np.ndarray:
    """What the caller gets of a finished file: of .npy mapped memory to read, of zarr all of it in memory."""
    if path.suffix == ".zarr":
        return np.asarray(array[...])
    return np.load(path, mmap_mode="r") if array.size else array


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise ImportError(
            "out: a .zarr store needs zarr, which is not installed: pip install 'latentgeo[distributed]'"
        ) from error
    return zarr
