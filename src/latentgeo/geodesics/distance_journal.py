"""What is finished of a long computation whose results are in a file, so that it can go on after an interruption."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_RTOL = 3e-4  # of numbers that say what was computed: rounding differs between machines


class Journal:
    """Lines of JSON: first what is computed, then one for each piece that is finished and safely stored.

    A line is written after what it speaks of, and only as a whole: one that a kill cut off is forgotten.

    Args:
        path: of the file; None to remember in memory only.
        about: what is computed, by keyword; must be what it was when the file was begun.
        results: the file with the results. Where it is missing, the journal begins anew.

    Raises:
        ValueError: the journal is about something else, or there are results without a journal.
    """

    def __init__(self, path: Path | None, about: dict[str, Any], results: Path | None = None) -> None:
        self._path = path
        self.lines: list[dict[str, Any]] = []
        if path is None or results is None:
            return
        if results.exists() and not path.exists():
            raise ValueError(
                f"out: {results} exists and was not begun by such a call, as {path.name} is not beside it; "
                "give another path, or delete it"
            )
        if results.exists():
            self._read(path, about, results)
        else:
            beside = path.with_name(f".{path.name}.{os.getpid()}")
            beside.write_text(json.dumps(about) + "\n", encoding="utf-8")
            beside.replace(path)

    def write(self, line: dict[str, Any]) -> None:
        """Adds a line, which is on the disk when this returns."""
        self.lines.append(line)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def _read(self, path: Path, about: dict[str, Any], results: Path) -> None:
        whole, _, rest = path.read_bytes().rpartition(b"\n")
        lines = [json.loads(line) for line in whole.splitlines()]
        if not lines:
            raise ValueError(f"out: {path} is empty; delete it and {results.name}")
        old, new = lines[0].get("format"), about.get("format")
        if old != new:
            raise ValueError(
                f"out: {results} was begun by another version of latentgeo ({old!r}, not {new!r}); go on with that, "
                f"give another path, or delete {results.name} and {path.name}"
            )
        differing = list(_differences(lines[0], about))
        if differing:
            raise ValueError(
                f"out: {results} was begun with {', '.join(differing)}; call with the same as then, "
                f"give another path, or delete {results.name} and {path.name}"
            )
        if rest:
            with path.open("r+b") as file:
                file.truncate(len(whole) + 1)
        self.lines = lines[1:]


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for key in {**before, **now}:
        if key not in before or key not in now or not _alike(before[key], now[key]):
            a, b = before.get(key), now.get(key)
            brief = all(isinstance(value, str | int) and len(str(value)) < 200 for value in (a, b))
            yield f"another {key}" + (f" ({a}, not {b})" if brief else "")


def _alike(a: Any, b: Any) -> bool:
    """Whether values are equal, numbers up to rounding."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=_RTOL)
    return type(a) is type(b) and a == b
