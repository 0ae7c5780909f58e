"""The experiment on a file that only a user has: without it, and with a film of the same format."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from latentgeo.experiments import Place, run
from latentgeo.experiments.studies.frey_faces import EXPERIMENT

FRAMES, HEIGHT, WIDTH = 1965, 28, 20


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A bright disc that swings and grows: two degrees of freedom, of which frames near each other are alike."""
    t = np.arange(FRAMES)[:, None, None]
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    across, size = 10 + 5 * np.sin(t / 31), 4 + 1.5 * np.cos(t / 47)
    level = 1 / (1 + np.exp(np.hypot(y - 14, x - across) - size))
    columns = np.round(255 * level).astype(np.uint8).reshape(FRAMES, -1).T
    scipy.io.savemat(tmp_path / "frey_rawface.mat", {"ff": columns})
    return tmp_path


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LATENTGEO_DATA", str(tmp_path / "empty"))
    monkeypatch.setattr("latentgeo.data.files.user_cache", lambda: tmp_path / "cache")


def test_without_the_file_it_is_skipped_and_says_where_to_get_it(tmp_path: Path) -> None:
    result = run(EXPERIMENT, EXPERIMENT.presets["quick"], Place(cache=tmp_path), out=tmp_path / "out")
    assert result.status == "skipped"
    assert not result.passed
    assert "frey_rawface.mat" in result.skipped


def test_with_a_film_of_that_format_every_number_is_there(film: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(EXPERIMENT.presets["quick"], hidden=50, epochs=6)
    result = run(EXPERIMENT, config, Place(cache=tmp_path / "cache", data_dir=film), out=tmp_path / "out")
    assert result.status != "skipped"
    assert result.numbers["frames"] == {"training": 1600, "held out": 365}
    assert all(np.isfinite(criterion.measured) for criterion in result.criteria)
    assert [figure.file for figure in result.figures] == ["bounds.png", "plane.png"]
    (overfit,) = (c for c in result.criteria if "overfit" in c.claim)
    assert overfit.passed
