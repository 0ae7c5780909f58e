"""The page on many points and machines: its code runs as it stands, what it shows exists."""

import re
from pathlib import Path

import numpy as np
import pytest

import latentgeo as lg

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "many_points.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore::latentgeo.ConvergenceWarning")  # of a ReLU decoder, in the first block
def test_code_runs_on_a_local_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "__main__"}  # as a script
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    try:
        for block in blocks:
            exec(block, names)
    finally:
        for name in ("client", "cluster"):
            if name in names:
                names[name].close()
    here = lg.distance_matrix(names["metric"], names["z"])
    np.testing.assert_array_equal(names["distances"], here)
    assert (tmp_path / "distances.npy").exists()
    assert names["lengths"] == {height: names["length"](height) for height in (0.0, 0.5, 1.0)}


def test_other_code_is_python() -> None:
    for block in re.findall(r"```python notest\n(.*?)```", PAGE, re.DOTALL):
        compile(block, "many_points.md", "exec")


def test_files_named_exist() -> None:
    root = Path(__file__).resolve().parents[1]
    assert [name for name in re.findall(r"benchmarks/\w+\.py", PAGE) if not (root / name).exists()] == []
