"""Tasks beside the page: generators that compute step by step in a thread, one step of one task at a time."""

from __future__ import annotations

import functools
import threading
import time
import warnings
from collections.abc import Callable, Iterator

from latentgeo.explorer.watched import Cancelled, Watch

# Forward mode keeps its levels in variables of the process, and so do recorded warnings: never two threads at once.
_TURN = threading.Lock()
_PAUSE = 1e-3  # seconds between two steps, in which another task may take its turn


class _Done:
    """What comes after the last step."""


_DONE = _Done()
Steps = Callable[[Watch], Iterator[Callable[[], None] | None]]


class Task:
    """A computation under way.

    Attributes:
        name: what it does, in a few words.
        watch: counts its points, and can call it off.
        started: when it was started, by ``time.perf_counter``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.watch = Watch()
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long ago it was started."""
        return time.perf_counter() - self.started

    def words(self) -> str:
        """How far it is."""
        return f"{self.name}, {self.seconds:.1f} s, {self.watch.points:,} points"


class Tasks:
    """The tasks of one page, at most one of each name: a new one calls off the older.

    Steps run in a thread of the task. What they yield, and what became of the task, is called by ``post``, which is
    to bring a call to the thread of the page; of a task that was called off nothing is called any more.

    Args:
        post: takes a function without arguments, from any thread.
        ended: called with the task and None, or the error that ended it.
    """

    def __init__(
        self, post: Callable[[Callable[[], None]], object], ended: Callable[[Task, Exception | None], None]
    ) -> None:
        self._post = post
        self._ended = ended
        self._running: dict[str, Task] = {}
        self._threads: list[threading.Thread] = []

    @property
    def running(self) -> tuple[Task, ...]:
        """The tasks that have not ended, oldest first."""
        return tuple(self._running.values())

    def is_running(self, name: str) -> bool:
        """Whether the task of this name has not ended."""
        return name in self._running

    def start(self, name: str, steps: Steps) -> Task:
        """Starts a task.

        Args:
            name: of the task; one of the same name is called off.
            steps: takes the watch of the task, and yields after each step what the page is to do, or None.
        """
        self.cancel(name)
        task = self._running[name] = Task(name)
        thread = threading.Thread(target=self._go, args=(task, steps), name=f"latentgeo {name}", daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()
        return task

    def cancel(self, *names: str) -> tuple[Task, ...]:
        """Calls off the tasks of these names, or all if none is given; returns those that were running."""
        chosen = [task for task in self.running if not names or task.name in names]
        for task in chosen:
            task.watch.cancel()
            del self._running[task.name]
        return tuple(chosen)

    def close(self) -> None:
        """Calls off all tasks, and waits until none of their threads is at work."""
        self.cancel()
        for thread in self._threads:
            thread.join()

    def _go(self, task: Task, steps: Steps) -> None:
        error: Exception | None = None
        try:
            iterator = steps(task.watch)
            while True:
                with _TURN:
                    task.watch.check()
                    show = next(iterator, _DONE)
                if isinstance(show, _Done):
                    break
                if show is not None:
                    self._post(functools.partial(self._if_running, task, show))
                time.sleep(_PAUSE)
        except Cancelled:
            return
        except Exception as caught:  # noqa: BLE001 - whatever a decoder raises is said on the page
            error = caught
        self._post(functools.partial(self._if_running, task, functools.partial(self._end, task, error)))

    def _if_running(self, task: Task, show: Callable[[], None]) -> None:
        if self._running.get(task.name) is task:
            show()

    def _end(self, task: Task, error: Exception | None) -> None:
        del self._running[task.name]
        self._ended(task, error)


class Remarks(warnings.catch_warnings):
    """Collects warnings as sentences while a step runs: ``with Remarks() as remarks: ...; remarks()``."""

    def __init__(self) -> None:
        super().__init__(record=True)

    def __enter__(self) -> Callable[[], tuple[str, ...]]:  # type: ignore[override]
        """Starts; the answer says what was warned of since, each sentence once."""
        caught = super().__enter__() or []
        warnings.simplefilter("always")
        return lambda: tuple(dict.fromkeys(str(warning.message) for warning in caught))
