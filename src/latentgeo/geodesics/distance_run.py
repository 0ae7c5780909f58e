"""The course of a distance matrix: jobs worked off in process or on a cluster, each stored and written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from latentgeo.geodesics.cluster import on_cluster
from latentgeo.geodesics.distance_detours import Detours, shorter_chains
from latentgeo.geodesics.distance_graph import Rows
from latentgeo.geodesics.distance_journal import Journal
from latentgeo.geodesics.distance_pairs import Found
from latentgeo.geodesics.distance_store import Store
from latentgeo.geodesics.distance_tiles import Tile
from latentgeo.geodesics.result import Status, failures_of

Job = Tile | Detours | Rows
_ROUNDS = 3  # of detours: what one round shortens may shorten others


class Run:
    """Works off the jobs that the journal does not know.

    Args:
        store: where distances go.
        journal: which jobs are finished, and the pairs of each that did not converge; chains of detours, too.
        client: a ``distributed.Client``; None to work in process.
        bar: of pairs.
    """

    def __init__(self, store: Store, journal: Journal, client: Any, bar: tqdm) -> None:
        self._store, self._journal, self._client, self._bar = store, journal, client, bar
        self._done = self._failed = 0

    def work_off(self, stage: int, work: Callable[[Any], Found], jobs: Sequence[Job]) -> None:
        """Solves what is left of a stage, in process or on the cluster, and stores it as it is finished."""
        known = {line["job"] for line in self._journal.lines if line["stage"] == stage and "job" in line}
        left = [job for job in jobs if job.number not in known]
        self._bar.update(sum(map(len, jobs)) - sum(map(len, left)))
        if not left:
            return
        with closing(self._results(work, left)) as results:
            for job, found in results:
                better = self._store.put(found.rows, found.columns, found.lengths)
                words: dict[str, list[list[int]]] = {}
                for i, j, status in zip(
                    found.rows[better], found.columns[better], found.status[better], strict=True
                ):
                    if stage or status is not Status.CONVERGED:
                        words.setdefault(status.name, []).append([int(i), int(j)])
                self._journal.write({"stage": stage, "job": job.number, "status": words})
                self._done += len(job)
                self._failed += sum(
                    len(pairs) for name, pairs in words.items() if name != Status.CONVERGED.name
                )
                self._bar.update(len(job))
                self._bar.set_postfix(converged=f"{1 - self._failed / self._done:.1%}")

    def _results(
        self, work: Callable[[Any], Found], jobs: Sequence[Job]
    ) -> Generator[tuple[Job, Found], None, None]:
        if self._client is None:
            yield from ((job, work(job)) for job in jobs)
        else:
            yield from on_cluster(self._client, work, jobs)

    def take_detours(self, work: Callable[[Any], Found], at_once: int, symmetric: bool) -> None:
        """Solves again what the triangle inequality says is too long, until nothing is or nothing helps."""
        tried: set[tuple[int, ...]] = set()
        for stage in range(1, _ROUNDS + 1):
            written = [
                line["chains"] for line in self._journal.lines if line["stage"] == stage and "chains" in line
            ]
            if not written:
                found = shorter_chains(self._store.numpy(), symmetric=symmetric).tolist()
                written = [[chain for chain in found if tuple(chain) not in tried]]
                self._journal.write({"stage": stage, "chains": written[0]})
            chains = np.array(written[0], dtype=np.int64).reshape(-1, 4)
            if not len(chains):
                return
            tried.update(map(tuple, written[0]))
            parts = range(0, len(chains), at_once)
            self._bar.total += len(chains)
            self.work_off(stage, work, [Detours(n, chains[k : k + at_once]) for n, k in enumerate(parts)])

    def failures(self) -> Counter[Status]:
        """How many pairs ended how, those that converged left out."""
        last: dict[tuple[int, int], str] = {}
        for line in self._journal.lines:
            for name, pairs in line.get("status", {}).items():
                last.update(dict.fromkeys(map(tuple, pairs), name))
        return failures_of(Status[name] for name in last.values())
