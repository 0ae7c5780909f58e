"""Jobs on two worker processes: all of them, each right, whatever becomes of workers, functions and loops.

The workers cannot import the tests, so that jobs are local functions, which travel by value.
"""

from __future__ import annotations

import ast
import itertools
import os
import platform
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import distributed
import pytest
import torch
from distributed import Client

import latentgeo as lg
from latentgeo.geodesics.cluster import on_cluster
from latentgeo.geodesics.worker_function import WorkerFunction

AHEAD = 4  # two items for each of the two threads


def slowly(seconds: float) -> Callable[[int], int]:
    def square(n: int) -> int:
        time.sleep(seconds)
        return n * n

    return square


def squares(count: int) -> list[tuple[int, int]]:
    return [(n, n * n) for n in range(count)]


def process_ids(client: Client) -> set[int]:
    return set(client.run(os.getpid).values())


def functions_held(client: Client) -> list[str]:
    held = client.run(lambda dask_worker: [n for n in dask_worker.plugins if n.startswith("latentgeo")])
    return list(itertools.chain(*held.values()))


def test_every_item_comes_back_with_its_result(cluster: Client) -> None:
    assert sorted(on_cluster(cluster, slowly(0), range(50))) == squares(50)


def test_equal_items_are_computed_each(cluster: Client) -> None:
    assert list(on_cluster(cluster, slowly(0), [3, 3, 3])) == [(3, 9)] * 3


def test_no_items_give_nothing(cluster: Client) -> None:
    assert list(on_cluster(cluster, slowly(0), [])) == []


def test_results_come_in_the_order_in_which_they_finish(cluster: Client) -> None:
    def sleep(seconds: float) -> None:
        time.sleep(seconds)

    assert [item for item, _ in on_cluster(cluster, sleep, [3.0, 0.0])] == [0.0, 3.0]


def test_both_workers_work(cluster: Client) -> None:
    def process(n: int) -> int:
        time.sleep(0.1)
        return os.getpid()

    assert {pid for _, pid in on_cluster(cluster, process, range(20))} == process_ids(cluster)


def test_items_are_taken_as_results_are_asked_for(cluster: Client) -> None:
    taken = itertools.count()
    numbers = iter(lambda: next(taken), -1)  # without end
    for received, _ in enumerate(itertools.islice(on_cluster(cluster, slowly(0.01), numbers), 30), 1):
        assert received <= taken.__reduce__()[1][0] <= received + AHEAD
        time.sleep(0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_numbers_are_those_in_process(cluster: Client, dtype: torch.dtype) -> None:
    """Bit for bit, the constants that a decoder makes in the default dtype included."""
    weights = torch.randn(2, 40, generator=torch.Generator().manual_seed(0), dtype=dtype)
    points = torch.randn(12, 2, generator=torch.Generator().manual_seed(1), dtype=dtype)
    metric = lg.pullback_metric(lambda z: torch.tanh(z @ weights) * torch.tensor([0.1]))

    def lengths(shift: int) -> torch.Tensor:
        return lg.distance(metric, points, points.roll(shift, 0)).detach()

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        found = dict(on_cluster(cluster, lengths, range(1, 5)))
        expected = {n: lengths(n) for n in range(1, 5)}
    finally:
        torch.set_default_dtype(before)
    for shift, here in expected.items():
        assert found[shift].dtype == dtype
        assert torch.equal(found[shift], here)


def test_workers_keep_their_default_dtype_and_threads(cluster: Client) -> None:
    def settings() -> tuple[str, int]:
        return str(torch.get_default_dtype()), torch.get_num_threads()

    before = cluster.run(settings)
    torch.set_default_dtype(torch.float64)
    try:
        inside = dict(on_cluster(cluster, lambda n: settings(), range(4)))
    finally:
        torch.set_default_dtype(torch.float32)
    assert set(inside.values()) == {("torch.float64", 1)}
    assert cluster.run(settings) == before


def test_workers_keep_freed_memory_while_they_compute(cluster: Client) -> None:
    """No page fault for each page of each tensor that is made and freed, of which dask's setting has one each."""

    def page_faults(pages: int) -> int:
        torch.ones(1024 * pages)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(100):
            torch.ones(1024 * pages)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    if cluster.submit(platform.libc_ver).result()[0] != "glibc":
        pytest.skip("only glibc is told")
    pages = 256  # of four KiB: a MiB in each tensor
    assert max(dict(on_cluster(cluster, page_faults, [pages, pages + 1])).values()) < 20 * pages


def killed_while_at_work(cluster: Client, victims: set[int], log: Path) -> list[tuple[int, int]]:
    """Squares of 0..29, with workers killed after the fifth; every unpickling of the function leaves a line."""

    class Square:
        def __call__(self, n: int) -> int:
            time.sleep(0.05)
            return n * n

        def __setstate__(self, state: dict) -> None:
            with log.open("a") as file:
                file.write(f"{os.getpid()}\n")

        def __getstate__(self) -> dict:
            return {"large": True}

    found = []
    for pair in on_cluster(cluster, Square(), range(30)):
        found.append(pair)
        if len(found) == 5:
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
    return sorted(found)


def test_function_is_sent_once_to_each_worker(cluster: Client, tmp_path: Path) -> None:
    assert killed_while_at_work(cluster, set(), tmp_path / "log") == squares(30)
    received = [int(line) for line in (tmp_path / "log").read_text().split()]
    assert sorted(received) == sorted(process_ids(cluster))


@pytest.mark.parametrize("number", [1, 2], ids=["one of two", "all"])
def test_nothing_is_lost_with_killed_workers(cluster: Client, tmp_path: Path, number: int) -> None:
    """Their items are done again; who replaces them gets the function, even where no other worker has it."""
    before = process_ids(cluster)
    victims = set(sorted(before)[:number])
    assert killed_while_at_work(cluster, victims, tmp_path / "log") == squares(30)
    cluster.wait_for_workers(2)
    received = [int(line) for line in (tmp_path / "log").read_text().split()]
    assert len(received) == len(set(received))
    assert before <= set(received) <= before | process_ids(cluster)


def fails_at_first(folder: Path) -> Callable[[int], int]:
    def square(n: int) -> int:
        mark = folder / str(n)
        if not mark.exists():
            mark.touch()
            raise ValueError(f"the first time of {n}")
        return n * n

    return square


def test_item_that_fails_is_tried_again(cluster: Client, tmp_path: Path) -> None:
    assert sorted(on_cluster(cluster, fails_at_first(tmp_path), range(6), retries=1)) == squares(6)


def test_item_that_fails_too_often_ends_the_iteration(cluster: Client, tmp_path: Path) -> None:
    """With the error itself, its way through the worker's code, and the item."""
    with pytest.raises(ValueError, match="the first time of 41") as caught:
        list(on_cluster(cluster, fails_at_first(tmp_path), [41], retries=0))
    assert "in square" in "".join(traceback.format_exception(caught.value))
    assert caught.value.__notes__ == ["It was raised on the cluster for item 41, 1 times."]
    assert functions_held(cluster) == []


def test_jobs_cancelled_by_another_are_an_error(cluster: Client) -> None:
    jobs = on_cluster(cluster, slowly(0.2), itertools.count())
    next(jobs)
    cluster.cancel([distributed.Future(key, cluster) for key in list(cluster.futures)])
    with pytest.raises(RuntimeError, match=r"item \d+ was cancelled"):
        list(jobs)


def interrupted(numbers: Iterator[int], last: int) -> Iterator[int]:
    for n in numbers:
        if n > last:
            raise KeyboardInterrupt
        yield n


@pytest.mark.parametrize("way", ["close", "KeyboardInterrupt"])
def test_end_of_the_loop_stops_what_is_outstanding(cluster: Client, tmp_path: Path, way: str) -> None:
    def mark(n: int) -> None:
        time.sleep(0.05)
        (tmp_path / str(n)).touch()

    def count() -> int:
        return len(list(tmp_path.iterdir()))

    if way == "close":
        jobs = on_cluster(cluster, mark, itertools.count())
        received = len(list(itertools.islice(jobs, 5)))
        jobs.close()
    else:
        received = 8
        with pytest.raises(KeyboardInterrupt):
            list(on_cluster(cluster, mark, interrupted(itertools.count(), received)))
    time.sleep(0.2)  # what was being computed is finished
    done = count()
    assert done <= received + AHEAD + 2
    time.sleep(0.5)
    assert count() == done
    assert functions_held(cluster) == []
    assert not cluster.futures


def test_jobs_of_two_callers_do_not_mix(cluster: Client) -> None:
    def times(factor: int) -> Callable[[int], int]:
        return lambda n: factor * n

    pairs = zip(
        on_cluster(cluster, times(2), range(10)), on_cluster(cluster, times(3), range(20)), strict=False
    )
    for (n, double), (m, triple) in pairs:
        assert (double, triple) == (2 * n, 3 * m)


def test_function_is_sent_again_where_a_worker_was_lost_meanwhile(
    cluster: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([True, True])
    register = cluster.register_plugin

    def flaky(plugin: WorkerFunction, name: str) -> None:
        if next(losses, False):
            raise distributed.comm.CommClosedError("a worker was lost")
        register(plugin, name=name)

    monkeypatch.setattr(cluster, "register_plugin", flaky)
    assert sorted(on_cluster(cluster, slowly(0), range(3))) == squares(3)


@pytest.mark.filterwarnings("ignore")
def test_function_that_cannot_be_pickled_is_named(cluster: Client, caplog: pytest.LogCaptureFixture) -> None:
    lock = threading.Lock()

    def locked(n: int) -> int:
        with lock:
            return n

    with pytest.raises(TypeError, match=r"function must be picklable.*locked.*lock"):
        on_cluster(cluster, locked, range(3))


def test_function_that_workers_cannot_load_is_an_error(cluster: Client) -> None:
    class Broken:
        def __call__(self, n: int) -> int:
            return n

        def __reduce__(self) -> tuple:
            return (__import__, ("a_package_of_the_client_only",))

    with pytest.raises(ModuleNotFoundError, match="a_package_of_the_client_only"):
        list(on_cluster(cluster, Broken(), range(3)))
    assert functions_held(cluster) == []


@pytest.mark.parametrize("wrong", [None, "tcp://127.0.0.1:8786", 4])
def test_what_is_no_client_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"client must be a distributed.Client.*latentgeo\[distributed\]"):
        on_cluster(wrong, abs, [1])


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'latentgeo\[distributed\]'"):
        on_cluster(object(), abs, [1])


def test_negative_retries_are_refused(cluster: Client) -> None:
    with pytest.raises(ValueError, match="retries must not be negative, got -1"):
        on_cluster(cluster, abs, [1], retries=-1)


def test_library_is_imported_without_dask() -> None:
    """One file names dask at its top, and no other names that file there."""

    def names_at_top(path: Path) -> set[str]:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        plain = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
        return plain | {node.module or "" for node in body if isinstance(node, ast.ImportFrom)}

    lazy = WorkerFunction.__module__
    root = Path(lg.__file__).parent
    found = {
        path.stem for path in root.rglob("*.py") for name in names_at_top(path) if dask(name) or name == lazy
    }
    assert found == {lazy.rpartition(".")[2]}


def dask(name: str) -> bool:
    return name.partition(".")[0] in {"dask", "distributed"}
