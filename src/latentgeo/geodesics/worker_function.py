"""What stays on a dask worker while a list of jobs is worked off: the function they share.

The only file that imports ``distributed`` when it is imported; :mod:`latentgeo.geodesics.cluster` does so when asked.
"""

from __future__ import annotations

from typing import Any

import torch
from distributed import Worker, WorkerPlugin, get_worker
from distributed.protocol import pickle

from latentgeo.geodesics.worker_memory import give_freed_memory_back, keep_freed_memory


class WorkerFunction(WorkerPlugin):
    """A function that the scheduler hands to every worker, those that join later included, and each unpickles once.

    The scheduler keeps the bytes, so that no loss of workers loses the function.

    Args:
        function: a callable of one argument.

    Raises:
        TypeError: the function cannot be pickled.
    """

    function: Any

    def __init__(self, function: Any) -> None:
        self.default_dtype = torch.get_default_dtype()
        try:
            self.pickled = pickle.dumps(function)
        except Exception as error:  # whatever its parts raise
            raise TypeError(
                f"function must be picklable, to travel to the workers, got {function!r}: {error}"
            ) from error

    def setup(self, worker: Worker) -> None:
        """Unpickles the function, and creates tensors in the dtype in which the caller does."""
        self.function = pickle.loads(self.pickled)
        del self.pickled
        self.worker_dtype = torch.get_default_dtype()
        torch.set_default_dtype(self.default_dtype)
        keep_freed_memory()

    def teardown(self, worker: Worker) -> None:
        """Leaves the worker as it was."""
        torch.set_default_dtype(getattr(self, "worker_dtype", torch.get_default_dtype()))
        give_freed_memory_back()


def call(name: str, item: Any) -> Any:
    """On a worker: the function of this name at the item, with one torch thread, as dask counts threads as cores."""
    worker = get_worker()
    function = getattr(worker.plugins.get(name), "function", None)
    if function is None:
        raise RuntimeError(
            f"worker {worker.address} could not load the function; its log says why. "
            "Does it have the packages of the client, in their versions?"
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return function(item)
    finally:
        torch.set_num_threads(threads)
