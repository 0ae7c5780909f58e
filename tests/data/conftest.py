"""Where the tests' data are: canonical files in LATENTGEO_DATA or beside the repository, never the network."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pooch
import pytest


@pytest.fixture(scope="session")
def provided() -> Callable[[str, str], Path]:
    """The directory of a data set that holds a file; the test is skipped where there is none."""
    shared = Path(__file__).parents[3] / "shared" / "data"
    roots = [Path(root) for root in (os.environ.get("LATENTGEO_DATA"), shared) if root]

    def directory(dataset: str, file: str) -> Path:
        for folder in (place for root in roots for place in (root, root / dataset)):
            if (folder / file).is_file():
                return folder
        pytest.skip(f"needs {file} in LATENTGEO_DATA or ../shared/data")

    return directory


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No network, no variable; an empty user cache, which it answers."""

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no network in the tests")

    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(pooch, "retrieve", refuse)
    monkeypatch.setattr(pooch, "os_cache", lambda _: cache)
    monkeypatch.delenv("LATENTGEO_DATA", raising=False)
    return cache
