"""Independent jobs, here or on the workers of a cluster."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from tqdm.auto import tqdm

from latentgeo.experiments.experiment import Place
from latentgeo.geodesics.cluster import on_cluster

T = TypeVar("T")
R = TypeVar("R")


@contextlib.contextmanager
def connected(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """A client of the cluster at an address, or of one of so many processes started for it; or None.

    Raises:
        ImportError: ``distributed`` is not installed.
        OSError: nothing answers at the address.
    """
    if scheduler is None and workers is None:
        yield None
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ImportError("a cluster needs dask: pip install 'latentgeo[distributed]'") from error
    with contextlib.ExitStack() as stack:
        address: Any = scheduler
        if workers is not None:
            cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0")
            address = stack.enter_context(cluster)
        yield stack.enter_context(Client(address))


def run_jobs(
    function: Callable[[T], R],
    items: Iterable[T],
    place: Place,
    *,
    label: str = "jobs",
) -> list[R]:
    """The results of a function for every item, in the order of the items.

    A job that fails is tried once more, where it is, and reported by a warning; the second failure ends the run.
    Results that the place keeps from a run that was interrupted are taken as they are.

    Args:
        function: of one item, seeded by it; for a cluster it must be importable there.
        items: what the jobs differ in.
        place: where they run: on its client's cluster, or one after another in this process.
        label: of the bar.

    Returns:
        One result for each item, the same wherever they ran.
    """
    job = _Job(function, list(items))
    numbers = range(len(job.items))
    kept = None if place.kept is None else place.kept.next_call()
    results: dict[int, R] = {n: found[0] for n in numbers if kept is not None and (found := kept.take(n))}
    left = [n for n in numbers if n not in results]
    finished = (
        ((n, job(n)) for n in left)
        if place.client is None
        else on_cluster(place.client, job, left, retries=0)
    )
    hidden = not place.progress
    with tqdm(
        total=len(numbers), initial=len(results), desc=label, unit="job", disable=hidden, dynamic_ncols=True
    ) as bar:
        for n, (result, complaint) in finished:
            results[n] = result
            if kept is not None:
                kept.put(n, result)
            if complaint:
                warnings.warn(complaint, RuntimeWarning, stacklevel=2)
            bar.update()
    return [results[n] for n in numbers]


class _Job(Generic[T, R]):
    """The function of an item's number: results come back in any order, and items need not be hashable."""

    def __init__(self, function: Callable[[T], R], items: list[T]) -> None:
        self.function, self.items = function, items

    def __call__(self, number: int) -> tuple[R, str]:
        """The result, and what is to be said of a first try that failed."""
        item = self.items[number]
        try:
            return self.function(item), ""
        except Exception as error:  # noqa: BLE001 - whatever it is, the second time it is raised
            complaint = f"{item}: {type(error).__name__}: {error}; the second try succeeded"
            return self.function(item), complaint
