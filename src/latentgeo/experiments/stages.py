"""The stages of an experiment: a bar for whoever waits, and the seconds of each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from types import TracebackType

from tqdm.auto import tqdm


class Stages:
    """Times stages one after another and moves a progress bar.

    Args:
        total: how many stages there will be.
        progress: whether to show the bar.

    Attributes:
        seconds: of each stage that has ended.
    """

    def __init__(self, total: int, *, progress: bool) -> None:
        self.seconds: dict[str, float] = {}
        self._bar = tqdm(total=total, unit="stage", disable=not progress, dynamic_ncols=True)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """One stage, from entering to leaving."""
        self._bar.set_description(name)
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began
        self._bar.update()

    def __enter__(self) -> Stages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
