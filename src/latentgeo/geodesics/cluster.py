"""Independent jobs on many machines: one large function, many small items, a dask cluster."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # items at a worker's thread: one that it computes, and one so that it need not wait for the next
_REFRESH = 1.0  # seconds after which the cluster is asked again how large it is
_SENDINGS = 5  # tries to reach all workers, as one may be lost just then
_INSTALL = "pip install 'latentgeo[distributed]'"


def on_cluster(
    client: Any, function: Callable[[T], R], items: Iterable[T], *, retries: int = 1
) -> Iterator[tuple[T, R]]:
    """Every item with ``function(item)``, computed on a dask cluster, in the order in which they finish.

    In process the same is ``((item, function(item)) for item in items)``. The function, which may hold a decoder and
    all the points, is pickled once and sent once to each worker, also to those that join later. Items and results
    travel singly; two items a thread are on their way at any time, and further ones are taken from ``items`` only as
    results are asked for, so that these may be endless. The items of a worker that is lost are computed again
    elsewhere; an item in whose presence four workers died (dask's ``distributed.scheduler.allowed-failures``) counts
    as failed. Each item is computed by a single torch thread, with the caller's default dtype, so that numbers are
    those of a single thread in process.

    When the caller's loop ends early, by ``break``, an error or Ctrl-C, what is queued is cancelled; what a worker is
    computing it finishes, for nobody. A caller that keeps the iterator in a variable closes it with
    ``contextlib.closing``.

    Args:
        client: a ``distributed.Client``, from ``LocalCluster().get_client()`` or the address of a scheduler. Its
            workers need latentgeo, and every package that the function takes names from.
        function: a callable of one argument. It is pickled by dask, lambdas and functions of ``__main__`` by value.
        items: what to call it with.
        retries: how often an item that raises is tried again before its error ends the iteration.

    Returns:
        An iterator over ``(item, result)``.

    Raises:
        ImportError: ``distributed`` is not installed.
        TypeError: ``client`` is not a synchronous ``distributed.Client``, or the function cannot be pickled.
        ValueError: ``retries`` is negative.
        RuntimeError: the jobs were cancelled from outside: the client closed, the scheduler lost or restarted.
        Exception: what the function raised, with the worker's traceback and a note that names the item.

    References:
        Rocklin 2015, "Dask: Parallel Computation with Blocked algorithms and Task Scheduling", Proc. 14th Python in
        Science Conference, doi:10.25080/Majora-7b98e3ed-013.

    Example:
        >>> from distributed import LocalCluster  # doctest: +SKIP
        >>> client = LocalCluster(n_workers=2, threads_per_worker=1).get_client()  # doctest: +SKIP
        >>> sorted(on_cluster(client, lambda n: n * n, range(4)))  # doctest: +SKIP
        [(0, 0), (1, 1), (2, 4), (3, 9)]
    """
    try:
        import distributed
    except ImportError as error:
        raise ImportError(f"client needs dask.distributed, which is not installed: {_INSTALL}") from error
    if not isinstance(client, distributed.Client):
        raise TypeError(
            "client must be a distributed.Client, such as Client('tcp://scheduler:8786') or "
            f"LocalCluster().get_client(), got {client!r}; {_INSTALL} brings it"
        )
    if client.asynchronous:
        raise TypeError(f"client must be a synchronous distributed.Client, got the asynchronous {client!r}")
    if retries < 0:
        raise ValueError(f"retries must not be negative, got {retries}")
    from latentgeo.geodesics.worker_function import WorkerFunction

    return _results(client, WorkerFunction(function), iter(items), retries)


def _results(client: Any, plugin: Any, items: Iterator[T], retries: int) -> Iterator[tuple[T, Any]]:
    """Sends the function, keeps the workers in work, and clears up however it ends."""
    from distributed import as_completed

    from latentgeo.geodesics.worker_function import call

    name = f"latentgeo-{uuid.uuid4().hex}"  # of its own for each call: another may end while this one goes on
    queued: dict[Any, T] = {}
    finished = as_completed(loop=client.loop, with_results=True, raise_errors=False)
    room = _Room(client)

    def submit() -> None:
        for item in islice(items, max(0, room.size() - len(queued))):
            future = client.submit(call, name, item, pure=False, retries=retries)
            queued[future] = item
            finished.add(future)

    try:
        _send(client, plugin, name)
        submit()
        for future, result in finished:
            item = queued.pop(future)
            if future.status != "finished":
                raise _error(future, item, retries)
            submit()  # before the caller has the result, so that the workers compute while the caller does
            yield item, result
    finally:
        if client.status == "running":
            client.cancel(list(queued))
            with contextlib.suppress(OSError, ValueError):  # a worker, or the plugin, has gone by itself
                client.unregister_worker_plugin(name)


class _Room:
    """How many items may be on their way: the cluster may grow and shrink."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.asked = -float("inf")
        self.threads = 0

    def size(self) -> int:
        if time.monotonic() - self.asked > _REFRESH:
            self.threads = sum(self.client.nthreads().values())
            self.asked = time.monotonic()
        return max(1, _AHEAD * self.threads)  # one waits at the scheduler for the first worker


def _send(client: Any, plugin: Any, name: str) -> None:
    """Hands the function to the scheduler, and by it to all workers."""
    for attempt in range(_SENDINGS):
        try:
            client.register_plugin(plugin, name=name)
            return
        except OSError:  # a worker was lost in the middle of it
            if attempt == _SENDINGS - 1:
                raise


def _error(future: Any, item: object, retries: int) -> BaseException:
    """What an item's end is raised as, with its traceback from the worker."""
    if future.status != "error":
        return RuntimeError(
            f"item {item!r} was {future.status}: the client was closed, or the scheduler lost or restarted"
        )
    error = future.exception().with_traceback(future.traceback())
    error.add_note(f"It was raised on the cluster for item {item!r}, {retries + 1} times.")
    return error
