"""The distance matrix by two worker processes is that of one process, whatever happens to the workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from distributed import Client
from torch import Tensor

import latentgeo as lg

TILE = 4  # points a side, so that there are ten tiles
SOLVER = lg.MinimizeEnergy(num_segments=16)


def nothing() -> None:
    """Beside the decoder."""


def metric(happens: Callable[[], None] = nothing) -> lg.Metric:
    """Of a bent surface, by a decoder in which something happens at each call on another process than this."""
    weights = torch.randn(2, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    here = os.getpid()

    def decoder(z: Tensor) -> Tensor:
        if os.getpid() != here:
            happens()
        return torch.tanh(z @ weights)

    return lg.pullback_metric(decoder)


def points(count: int = 16, seed: int = 1) -> Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrix(metric: lg.Metric, client: Client | None, **options: object) -> np.ndarray:
    return lg.distance_matrix(metric, points(), solver=SOLVER, client=client, tile_size=TILE, **options)


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return np.array(matrix(metric(), None))


def once(folder: Path, calls: int, act: Callable[[], None]) -> Callable[[], None]:
    """Acts at a call of the decoder in the middle of it all, in one of the workers and no second time."""
    count = iter(range(calls))

    def happens() -> None:
        if next(count, None) is None:
            try:
                (folder / "happened").touch(exist_ok=False)
            except FileExistsError:
                return
            act()

    return happens


def test_matrix_is_that_of_one_process(cluster: Client, expected: np.ndarray) -> None:
    """Bit for bit: tiles are functions of themselves alone."""
    np.testing.assert_array_equal(matrix(metric(), cluster), expected)


def test_rectangular_matrix_and_graphs_travel_too(cluster: Client) -> None:
    others, graph = points(5, seed=2), lg.GraphSearch(points(), num_neighbors=4)
    for solver in (SOLVER, graph):
        here, there = (
            lg.distance_matrix(metric(), points(), others, solver=solver, client=client, tile_size=TILE)
            for client in (None, cluster)
        )
        np.testing.assert_array_equal(there, here)


def test_worker_killed_in_the_middle_changes_nothing(
    cluster: Client, tmp_path: Path, expected: np.ndarray
) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    found = matrix(metric(once(tmp_path, 100, die)), cluster, out=tmp_path / "distances.npy")
    assert (tmp_path / "happened").exists()
    np.testing.assert_array_equal(found, expected)


def test_interrupted_run_goes_on_where_it_stopped(
    cluster: Client, tmp_path: Path, expected: np.ndarray
) -> None:
    """Finished tiles are not computed again, and the end is that of a run without an interruption."""
    path, calls = tmp_path / "distances.npy", tmp_path / "calls"

    def fail() -> None:
        raise RuntimeError("the decoder broke down")

    def count() -> None:
        with calls.open("ab") as file:
            file.write(b".")

    def break_down(at: int) -> Callable[[], None]:
        numbers = iter(range(at))
        return lambda: count() if next(numbers, None) is not None else fail()

    with pytest.raises(RuntimeError, match="the decoder broke down") as caught:
        matrix(metric(break_down(250)), cluster, out=path)
    assert "Tile" in caught.value.__notes__[0]
    calls.unlink()
    found = matrix(metric(count), cluster, out=path)
    np.testing.assert_array_equal(found, expected)
    rest = calls.stat().st_size
    calls.unlink()
    matrix(metric(count), cluster)
    assert rest < calls.stat().st_size
