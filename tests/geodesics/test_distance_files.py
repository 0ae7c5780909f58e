"""Distances in arrays and files of the caller's: interrupted runs go on, and nothing is ever mixed up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from torch import Tensor

import latentgeo as lg
from latentgeo.geodesics import distance_store

TILE = 2  # of six points there are six: three groups with one another
FAST = lg.MinimizeEnergy(num_segments=8)


def sphere(z: Tensor) -> Tensor:
    square = z.square().sum(-1, keepdim=True)
    return torch.cat([2 * z, square - 1], -1) / (1 + square)


def points(seed: int = 0) -> Tensor:
    return torch.rand(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Counting:
    """The sphere, with a count of decoded rows, and something that happens before a row is decoded."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.rows, self.before = 0, before

    def __call__(self, z: Tensor) -> Tensor:
        self.before()
        self.rows += len(z)
        return sphere(z)


def solve(
    decoder: Callable[[Tensor], Tensor], out: object, x: Tensor | None = None, **options: object
) -> np.ndarray:
    x = points() if x is None else x
    return lg.distance_matrix(
        lg.pullback_metric(decoder), x, out=out, **{"tile_size": TILE, "solver": FAST, **options}
    )


def finished_tiles(path: Path) -> int:
    journal = path.with_name(path.name + ".journal")
    return sum('"job"' in line for line in journal.read_text().splitlines()) if journal.exists() else 0


@pytest.fixture(params=["distances.npy", "distances.zarr"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


def stored(path: Path) -> np.ndarray:
    return np.load(path) if path.suffix == ".npy" else np.asarray(zarr.open_array(path, mode="r")[...])


# --- Arrays


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_array_is_filled_in_place_whatever_it_held(dtype: type) -> None:
    out = np.full((6, 6), 7.0, dtype=dtype)
    assert solve(sphere, out) is out
    np.testing.assert_allclose(out, solve(sphere, None), rtol=1e-6)


def test_memory_map_and_zarr_array_are_filled_in_place(tmp_path: Path) -> None:
    known = solve(sphere, None)
    mapped = np.memmap(tmp_path / "raw", dtype=np.float64, mode="w+", shape=(6, 6))
    assert solve(sphere, mapped) is mapped
    assert (np.fromfile(tmp_path / "raw").reshape(6, 6) == known).all()
    array = zarr.create_array(tmp_path / "store.zarr", shape=(6, 6), chunks=(5, 7), dtype="float64")
    assert solve(sphere, array) is array
    assert (np.asarray(array[...]) == known).all()
    read_only = zarr.open_array(tmp_path / "store.zarr", mode="r")
    with pytest.raises(ValueError, match="out must be writable"):
        solve(sphere, read_only)


# --- Files


@pytest.mark.parametrize("same", [True, False], ids=["X", "X and Y"])
def test_file_holds_the_distances(path: Path, same: bool) -> None:
    y = None if same else points(1)[:5]
    d = solve(sphere, path, Y=y)
    assert isinstance(d, np.ndarray)
    assert d.dtype == np.float64
    known = solve(sphere, None, Y=y)
    assert (d == known).all()
    assert (stored(path) == known).all()
    if path.suffix == ".zarr":
        assert json.loads((path / "zarr.json").read_text())["zarr_format"] == 3
    else:
        assert isinstance(d, np.memmap)
        assert not d.flags.writeable


def test_empty_matrix_has_a_file(path: Path) -> None:
    for _ in range(2):
        assert solve(sphere, path, x=points()[:0]).shape == (0, 0)


def test_interrupted_run_goes_on_where_it_stopped(path: Path) -> None:
    def interrupt() -> None:
        if finished_tiles(path) == 3:
            raise KeyboardInterrupt

    whole = Counting()
    known = solve(whole, path.with_name("whole" + path.suffix))
    again = Counting()
    solve(again, path.with_name("whole" + path.suffix))  # looks at the metric, solves nothing
    assert 0 < again.rows < whole.rows / 10

    before, after = Counting(interrupt), Counting()
    with pytest.raises(KeyboardInterrupt) as caught:
        solve(before, path)
    assert "the same call of distance_matrix goes on" in caught.value.__notes__[0]
    assert 0 < np.isnan(stored(path)).sum() < 6 * 5
    d = solve(after, path)
    assert (d == known).all()
    assert before.rows + after.rows == whole.rows + again.rows


def test_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "distances.npy"
    script = """
        import os, signal, sys
        import torch
        import latentgeo as lg
        torch.set_num_threads(1)
        journal = sys.argv[1] + ".journal"
        def decoder(z):
            if os.path.exists(journal) and open(journal).read().count('"job"') == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            square = z.square().sum(-1, keepdim=True)
            return torch.cat([2 * z, square - 1], -1) / (1 + square)
        x = torch.rand(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        lg.distance_matrix(lg.pullback_metric(decoder), x, tile_size=2, out=sys.argv[1],
            solver=lg.MinimizeEnergy(num_segments=8))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(path)], check=False, capture_output=True
    )
    assert run.returncode == -signal.SIGKILL, run.stderr.decode()
    journal = path.with_name(path.name + ".journal")
    with journal.open("a") as file:
        file.write('{"stage": 0, "jo')  # as a kill in the middle of a line would leave it
    whole, after = Counting(), Counting()
    known = solve(whole, path.with_name("whole" + path.suffix))
    assert (solve(after, path) == known).all()
    assert after.rows < whole.rows / 2
    assert [json.loads(line) for line in journal.read_text().splitlines()]


def test_kill_between_a_tile_and_its_line_does_not_lose_its_failures(tmp_path: Path) -> None:
    path = tmp_path / "distances.npy"
    hasty = lg.MinimizeEnergy(max_steps=1)
    with pytest.warns(lg.ConvergenceWarning, match="15 of 15 pairs"):
        known = np.array(solve(sphere, path, solver=hasty))
    journal = path.with_name(path.name + ".journal")
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:4]))
    with pytest.warns(lg.ConvergenceWarning, match="15 of 15 pairs"):
        assert (solve(sphere, path, solver=hasty) == known).all()
    with pytest.warns(lg.ConvergenceWarning, match="15 of 15 pairs"):  # a finished file says so again
        solve(sphere, path, solver=hasty)


def test_kill_before_the_first_tile_leaves_nothing_to_trust(path: Path) -> None:
    solve(sphere, path)
    known = stored(path)
    journal = path.with_name(path.name + ".journal")
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])
    if path.suffix == ".npy":
        path.write_bytes(path.read_bytes()[:200])
    assert (solve(sphere, path) == known).all()


def test_graph_has_files_too(path: Path) -> None:
    solver = lg.GraphSearch(points(), num_neighbors=5)
    first, again = Counting(), Counting()
    d = solve(first, path, solver=solver)
    assert (d == solve(sphere, None, solver=solver)).all()
    assert (solve(again, path, solver=solver) == d).all()
    assert 0 < again.rows < first.rows / 5


@pytest.mark.parametrize(
    ("options", "decoder", "words"),
    [
        ({"x": points() + 1e-9}, sphere, "another X"),
        ({"Y": points()}, sphere, "another Y"),
        ({"solver": lg.MinimizeEnergy(tol=1e-3)}, sphere, r"another solver .*segments=8.*tol=0.001"),
        ({"solver": lg.GraphSearch(points(), num_neighbors=5)}, sphere, "another solver"),
        ({"tile_size": 4}, sphere, "another tile_size .2, not 4."),
        ({}, lambda z: 1.001 * sphere(z), "another metric"),
        (
            {},
            lambda z: torch.where(torch.cdist(z, points()).amin(1, True) < 1e-9, 1, 1.001) * sphere(z),
            "another metric",
        ),
    ],
    ids=["X", "Y", "solver", "graph", "tile size", "metric", "metric between points"],
)
def test_other_distances_are_refused_and_kept(
    path: Path, options: dict, decoder: Callable[[Tensor], Tensor], words: str
) -> None:
    solve(sphere, path)
    before = stored(path)
    with pytest.raises(ValueError, match=words) as caught:
        solve(decoder, path, **options)
    assert "delete" in str(caught.value)
    assert (stored(path) == before).all()


def test_metric_that_differs_near_y_alone_is_another(path: Path) -> None:
    far = points(1)[:3] + 5
    solve(sphere, path, Y=far)
    with pytest.raises(ValueError, match="another metric"):
        solve(lambda z: torch.where(z[:, :1] > 5, 1.001, 1) * sphere(z), path, Y=far)


def test_file_of_another_version_is_refused_by_name(path: Path) -> None:
    solve(sphere, path)
    journal = path.with_name(path.name + ".journal")
    journal.write_text(journal.read_text().replace("latentgeo distances 2", "latentgeo distances 1"))
    with pytest.raises(ValueError, match=r"another version of latentgeo .'latentgeo distances 1'.*delete"):
        solve(sphere, path)


def test_tile_size_of_numpy_has_a_file(path: Path, unchecked: None) -> None:
    assert (solve(sphere, path, tile_size=np.int64(TILE)) == solve(sphere, None)).all()


def test_metric_that_differs_by_rounding_is_the_same(path: Path) -> None:
    solve(sphere, path)
    counting = Counting()
    solve(lambda z: counting(z) * (1 + 1e-12), path)
    assert counting.rows < 100


def test_file_of_someone_else_is_refused(path: Path) -> None:
    if path.suffix == ".npy":
        np.save(path, np.zeros((6, 6)))
    else:
        zarr.create_array(path, shape=(6, 6), dtype="float64")
    with pytest.raises(ValueError, match="was not begun by such a call"):
        solve(sphere, path)
    assert (stored(path) == 0).all()


def test_journal_without_its_file_begins_anew(path: Path) -> None:
    solve(sphere, path.with_name("other" + path.suffix), x=points(1))
    path.with_name("other" + path.suffix + ".journal").rename(path.with_name(path.name + ".journal"))
    assert (solve(sphere, path) == solve(sphere, None)).all()


def test_zarr_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImportError, match=r"pip install 'latentgeo\[distributed\]'"):
        distance_store.check_out(tmp_path / "distances.zarr", (3, 3))


def test_progress_counts_pairs_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        solve(sphere, tmp_path / "distances.npy", progress=True)
        shown = capsys.readouterr().err
        assert "15/15" in shown
    solve(sphere, None, progress=True)
    assert "converged=100.0%" in capsys.readouterr().err
