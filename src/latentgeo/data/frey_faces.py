"""The Frey faces, from a file that the user brings."""

import zlib
from os import PathLike
from pathlib import Path

import numpy as np
import scipy.io
import torch
from jaxtyping import Float
from scipy.io.matlab import MatReadError
from torch import Tensor

from latentgeo.data.files import listed, places

_NAME = "frey_rawface.mat"
_VARIABLE = "ff"
_HEIGHT, _WIDTH, _FRAMES = 28, 20, 1965
# What SciPy's reader answers to damaged files, by where the damage is.
_DAMAGED = (
    MatReadError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    NotImplementedError,
    zlib.error,
)


def load_frey_faces(*, data_dir: str | PathLike[str] | None = None) -> Float[Tensor, "1965 1 28 20"]:
    """The Frey faces: 1,965 successive frames of a video of one face, with grey levels k/255 in [0, 1].

    They have no classes, so the answer is images alone, in the order of the film: frames near each other are alike,
    and held-out frames had better be whole stretches. The file `frey_rawface.mat` is the user's to bring, never
    downloaded; it is looked for in `data_dir`, in the directory the environment variable `LATENTGEO_DATA` names,
    and in the user's cache, in each also under `frey/`.

    Args:
        data_dir: the first place to look.

    Returns:
        Images (1965, 1, 28, 20).

    Raises:
        FileNotFoundError: the file is in none of the places.
        ValueError: it is corrupt, or another one.

    References:
        Roweis, Saul and Hinton, Global Coordination of Local Linear Models, 2002.
        Kingma and Welling, Auto-Encoding Variational Bayes, 2014, arXiv 1312.6114.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     black = np.zeros((560, 1965), dtype=np.uint8)
        ...     scipy.io.savemat(Path(directory, "frey_rawface.mat"), {"ff": black})
        ...     load_frey_faces(data_dir=directory).shape
        torch.Size([1965, 1, 28, 20])
    """
    folders = places(data_dir, "frey")
    path = next((folder / _NAME for folder in folders if (folder / _NAME).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"Frey faces: {_NAME} is not in {listed(folders)}. It is on Sam Roweis's pages at "
            "https://cs.nyu.edu/~roweis/data.html; put it into a directory and name that by data_dir or by "
            "the environment variable LATENTGEO_DATA."
        )
    frames = _columns(path).T.reshape(_FRAMES, 1, _HEIGHT, _WIDTH)
    return torch.from_numpy(frames.astype(np.float32)) / 255


def _columns(path: Path) -> np.ndarray:
    """The matrix (560, 1965) of bytes in the file: a frame a column, row by row."""
    try:
        found = scipy.io.loadmat(path, variable_names=[_VARIABLE])
    except _DAMAGED as error:
        raise ValueError(f"{path} is no complete MATLAB file: {error}") from error
    if _VARIABLE not in found:
        raise ValueError(f"{path} is another file: it has no variable {_VARIABLE!r}")
    columns = np.asarray(found[_VARIABLE])
    if columns.shape != (_HEIGHT * _WIDTH, _FRAMES) or columns.dtype != np.uint8:
        raise ValueError(
            f"{path} is another file: {_VARIABLE!r} is {columns.dtype} {columns.shape}, "
            f"expected uint8 {(_HEIGHT * _WIDTH, _FRAMES)}"
        )
    return columns
