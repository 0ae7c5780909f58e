"""Files of data sets: the places where they are looked for, and how they are read."""

import gzip
import os
import zlib
from os import PathLike
from pathlib import Path

import pooch


def user_cache() -> Path:
    """The directory into which data are downloaded."""
    return Path(pooch.os_cache("latentgeo"))


def places(data_dir: str | PathLike[str] | None, *below: str) -> list[Path]:
    """Directories in which a data set may lie, the first to be looked at first.

    They are `data_dir`, the directory that the environment variable `LATENTGEO_DATA` names, and the user's cache,
    each itself and then `below` it.
    """
    roots = [Path(root) for root in (data_dir, os.environ.get("LATENTGEO_DATA")) if root]
    return [folder for root in (*roots, user_cache()) for folder in (root, *(root / name for name in below))]


def listed(folders: list[Path]) -> str:
    """The directories, for a sentence."""
    return ", ".join(map(str, folders))


def uncompressed(path: Path) -> bytes:
    """The content of a file, decompressed where its name ends in .gz.

    Raises:
        ValueError: it is no complete gzip file.
    """
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is no complete gzip file: {error}") from error
