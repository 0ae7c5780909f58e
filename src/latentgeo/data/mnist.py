"""The MNIST handwritten digits, from their four original idx files."""

import hashlib
import math
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pooch
import torch

from latentgeo.data.files import listed, places, uncompressed, user_cache
from latentgeo.data.images import LabelledImages

_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"


class _IdxFile(NamedTuple):
    """One of the four: its name, and the MD5 of its content and of its original gzip stream."""

    name: str
    content: str
    stream: str


_FILES = {
    "train": (
        _IdxFile(
            "train-images-idx3-ubyte.gz",
            "6bbc9ace898e44ae57da46a324031adb",
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        ),
        _IdxFile(
            "train-labels-idx1-ubyte.gz",
            "a25bea736e30d166cdddb491f175f624",
            "d53e105ee54ea40749a09fcbcd1e9432",
        ),
    ),
    "test": (
        _IdxFile(
            "t10k-images-idx3-ubyte.gz",
            "2646ac647ad5339dbf082846283269ea",
            "9fb629c4189551a2d022fa330f9573f3",
        ),
        _IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            "27ae3e4e09519cfbb04c329615203637",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
}


def load_mnist(
    split: Literal["train", "test"] = "train", *, data_dir: str | PathLike[str] | None = None
) -> LabelledImages:
    """The MNIST digits, 28 × 28, with grey levels k/255 in [0, 1].

    The files are looked for in `data_dir`, in the directory the environment variable `LATENTGEO_DATA`
    names, and in the user's cache, in each also under `mnist/`. What is in none of them is downloaded to the
    cache. The uncompressed content is checked against its MD5 always.

    Args:
        split: `"train"`, 60,000 digits, or `"test"`, 10,000.
        data_dir: the first place to look.

    Returns:
        Images (N, 1, 28, 28) and labels (N,).

    Raises:
        ValueError: an unknown split, or a file that is corrupt.
        FileNotFoundError: a file is in none of the places and cannot be downloaded.

    References:
        LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998.

    Examples:
        >>> load_mnist("test").images.shape  # doctest: +SKIP
        torch.Size([10000, 1, 28, 28])

        Another file of that name is not taken for one of the four:

        >>> import gzip, tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     file = Path(directory, "t10k-images-idx3-ubyte.gz")
        ...     size = file.write_bytes(gzip.compress(b"something else"))
        ...     load_mnist("test", data_dir=directory)
        Traceback (most recent call last):
        ValueError: ...t10k-images-idx3-ubyte.gz is corrupt: its uncompressed MD5 is ..., expected ...
    """
    if split not in _FILES:
        raise ValueError(f"split: expected 'train' or 'test', got {split!r}")
    images, labels = (_read_idx(_locate(file, data_dir), file.content) for file in _FILES[split])
    pixels = torch.from_numpy(images).to(torch.float32).unsqueeze(1) / 255
    return LabelledImages(pixels, torch.from_numpy(labels).to(torch.int64))


def _locate(file: _IdxFile, data_dir: str | PathLike[str] | None) -> Path:
    """Where the file is, after downloading it if need be."""
    folders = places(data_dir, "mnist")
    for folder in folders:
        if (folder / file.name).is_file():
            return folder / file.name
    try:
        path = pooch.retrieve(
            _MIRROR + file.name, f"md5:{file.stream}", fname=file.name, path=user_cache() / "mnist"
        )
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"MNIST: {file.name} is not in {listed(folders)}, and could not be downloaded from {_MIRROR} "
            f"({type(error).__name__}). Put the four files {', '.join(_names())} into one directory and "
            "name it by data_dir or by the environment variable LATENTGEO_DATA."
        ) from error
    return Path(path)


def _names() -> list[str]:
    return [file.name for pair in _FILES.values() for file in pair]


def _read_idx(path: Path, checksum: str) -> np.ndarray:
    """The array in a gzipped idx file of bytes: a magic number, the dimensions, the values."""
    content = uncompressed(path)
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != checksum:
        raise ValueError(f"{path} is corrupt: its uncompressed MD5 is {found}, expected {checksum}")
    dimensions = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=dimensions, offset=4).astype(int)
    values = np.frombuffer(content, dtype=np.uint8, count=math.prod(shape), offset=4 + 4 * dimensions)
    return values.reshape(shape).copy()
