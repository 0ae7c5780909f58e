"""Results of finished jobs on the disk while their experiment runs, so that one that was interrupted goes on."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import latentgeo

_OF = "of.txt"  # what the results in a folder are of


class KeptResults:
    """Results of jobs in a folder, for one study with one config: what a run of it has found, the next one takes.

    A study calls for its jobs in the same order each time, so that the number of the call and that of the job name
    a result. Those of another config or of other code are thrown away.

    Args:
        folder: it is made with the first result.
        settings: the config and whatever else results depend on, as text.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        self._folder, self._calls = folder, 0
        self._of = hashlib.sha256(f"{settings}\n{_sources()}".encode()).hexdigest()
        known = folder / _OF
        if not known.is_file() or known.read_text(encoding="utf-8") != self._of:
            self.discard()

    def next_call(self) -> KeptCall:
        """Those of the study's next call for jobs."""
        self._calls += 1
        return KeptCall(self, self._calls)

    def file(self, call: int, number: int) -> Path:
        """Where the result of a job is kept."""
        return self._folder / f"{call}-{number}.npz"

    def begin(self) -> None:
        """Makes the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / _OF).write_text(self._of, encoding="utf-8")

    def discard(self) -> None:
        """Throws all of them away."""
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class KeptCall:
    """The results of one call for jobs."""

    kept: KeptResults
    call: int

    def take(self, number: int) -> list[Any]:
        """The result of a job, alone in a list; an empty one, if there is none that can be read."""
        try:
            # NumPy leaves a damaged file open
            with self.kept.file(self.call, number).open("rb") as stream:
                arrays = np.load(stream, allow_pickle=False)
                return [_value(json.loads(str(arrays[_name(-1)])), arrays)]
        except (OSError, EOFError, ValueError, KeyError, AttributeError, zipfile.BadZipFile):
            return []

    def put(self, number: int, result: Any) -> None:
        """Keeps it, whole or not at all; what holds a model is not kept, as models are in the cache."""
        arrays: list[np.ndarray] = []
        try:
            tree = json.dumps(_tree(result, arrays))
        except _NotKeptError:
            return
        self.kept.begin()
        file = self.kept.file(self.call, number)
        part = file.with_suffix(f".{os.getpid()}")
        with part.open("wb") as stream:
            np.savez(stream, np.array(tree), *arrays)
        os.replace(part, file)


class _NotKeptError(TypeError):
    """A result is made of something else than numbers, texts, arrays, collections and dataclasses of them."""


def _tree(value: Any, arrays: list[np.ndarray]) -> Any:
    """The value for JSON, and its arrays; whatever JSON does not know by itself is [its kind, its parts ...]."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Tensor):
        arrays.append(value.detach().cpu().numpy())
        return ["tensor", len(arrays) - 1, str(value.device)]
    if isinstance(value, np.ndarray | np.generic) and value.dtype != object:
        arrays.append(np.asarray(value))
        return ["array" if isinstance(value, np.ndarray) else "scalar", len(arrays) - 1]
    if isinstance(value, Path):
        return ["path", str(value)]
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return [type(value).__name__, *(_tree(item, arrays) for item in value)]
    if isinstance(value, Mapping):
        return ["dict", *([_tree(key, arrays), _tree(item, arrays)] for key, item in value.items())]
    kind = type(value)
    if dataclasses.is_dataclass(kind) and "<locals>" not in kind.__qualname__:
        fields = {field.name: _tree(getattr(value, field.name), arrays) for field in dataclasses.fields(kind)}
        return ["object", kind.__module__, kind.__qualname__, fields]
    raise _NotKeptError(kind.__qualname__)


def _value(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What a tree was made of."""
    if not isinstance(tree, list):
        return tree
    kind, *parts = tree
    if kind == "tensor":
        return torch.from_numpy(arrays[_name(parts[0])]).to(parts[1])
    if kind in ("array", "scalar"):
        return arrays[_name(parts[0])][() if kind == "scalar" else ...]
    if kind == "path":
        return Path(parts[0])
    if kind == "dict":
        return {_value(key, arrays): _value(item, arrays) for key, item in parts}
    if kind == "object":
        module, name, fields = parts
        # of a module that is loaded already: a file does not decide what is imported
        made = attrgetter(name)(sys.modules[module])
        if not (isinstance(made, type) and dataclasses.is_dataclass(made)):
            raise ValueError(f"{name} is no dataclass")
        found = object.__new__(made)
        for field, item in fields.items():
            object.__setattr__(found, field, _value(item, arrays))
        return found
    items = (_value(item, arrays) for item in parts)
    return tuple(items) if kind == "tuple" else list(items)


def _name(number: int) -> str:
    """Of an array in the file, by NumPy's custom; the tree comes first."""
    return f"arr_{number + 1}"


@functools.cache
def _sources() -> str:
    """The code of the library as a checksum."""
    digest = hashlib.sha256()
    for file in sorted(Path(latentgeo.__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
