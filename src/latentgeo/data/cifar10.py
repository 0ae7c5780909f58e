"""The CIFAR-10 colour images, from their original binary files."""

from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import pooch
import torch

from latentgeo.data.files import listed, places, uncompressed, user_cache
from latentgeo.data.images import LabelledImages

_FILES = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}
_ARCHIVE = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
_FOLDER = "cifar-10-batches-bin"  # in the archive

_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32  # bytes: a class, then the pixels


def load_cifar10(
    split: Literal["train", "test"] = "train", *, data_dir: str | PathLike[str] | None = None
) -> LabelledImages:
    """The CIFAR-10 images, 32 × 32 in three colours, with levels k/255 in [0, 1].

    The files `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, each also with `.gz`, are looked for in
    `data_dir`, in the directory the environment variable `LATENTGEO_DATA` names, and in the user's cache, in each
    also under `cifar10/` and `cifar-10-batches-bin/`, as the archive is unpacked. The first directory that has any
    file of the split is taken, and **of it what is there**: with some of the five batches, or with shorter ones, the
    answer is a part of the data, so look at its length. If there is none, the archive (162 MB) is downloaded to the
    cache and checked against its MD5. Files have no checksums of their own, and are checked for their layout.

    Args:
        split: `"train"`, 50,000 images in all, or `"test"`, 10,000.
        data_dir: the first place to look.

    Returns:
        Images (N, 3, 32, 32), and labels (N,): airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck.

    Raises:
        ValueError: an unknown split, or a file that is corrupt.
        FileNotFoundError: no file of the split is in any of the places, and the archive cannot be downloaded.

    References:
        Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     size = Path(directory, "test_batch.bin").write_bytes(bytes(2 * 3073))  # two black airplanes
        ...     load_cifar10("test", data_dir=directory).images.shape
        torch.Size([2, 3, 32, 32])
    """
    if split not in _FILES:
        raise ValueError(f"split: expected 'train' or 'test', got {split!r}")
    records = np.concatenate([_records(path) for path in _located(split, data_dir)])
    images = torch.from_numpy(records[:, 1:]).to(torch.float32).div_(255).reshape(-1, *_SHAPE)
    return LabelledImages(images, torch.from_numpy(records[:, 0]).to(torch.int64))


def _located(split: str, data_dir: str | PathLike[str] | None) -> list[Path]:
    """The files of the split that are there, in order, after downloading them if need be."""
    folders = places(data_dir, "cifar10", _FOLDER, f"cifar10/{_FOLDER}")
    found = _present(split, folders)
    if found:
        return found
    try:
        pooch.retrieve(
            _ARCHIVE,
            f"md5:{_ARCHIVE_MD5}",
            fname=Path(_ARCHIVE).name,
            path=user_cache() / "cifar10",
            processor=pooch.Untar(extract_dir="."),
        )
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"CIFAR-10: none of {', '.join(_FILES[split])} (or with .gz) is in {listed(folders)}, and the archive "
            f"could not be downloaded from {_ARCHIVE} ({type(error).__name__}). Put the files into one directory and "
            "name it by data_dir or by the environment variable LATENTGEO_DATA."
        ) from error
    return _present(split, folders)


def _present(split: str, folders: list[Path]) -> list[Path]:
    """The files of the split in the first of the folders that has any."""
    for folder in folders:
        candidates = ([folder / name, folder / f"{name}.gz"] for name in _FILES[split])
        found = [next((path for path in pair if path.is_file()), None) for pair in candidates]
        if any(found):
            return [path for path in found if path is not None]
    return []


def _records(path: Path) -> np.ndarray:
    """The records (N, 3073) of a file: the class, then red, green and blue, row by row."""
    content = uncompressed(path)
    if not content or len(content) % _RECORD:
        raise ValueError(
            f"{path} is corrupt: it holds {len(content)} bytes, expected a positive multiple of {_RECORD}"
        )
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, _RECORD)
    if records[:, 0].max() > 9:
        raise ValueError(f"{path} is corrupt: it has a class {records[:, 0].max()}, expected 0 to 9")
    return records
