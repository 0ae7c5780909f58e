"""What every experiment gives back, and how it is written down."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentgeo.experiments.criteria import Criterion


class UnusableData(Exception):
    """The data of an experiment are missing or corrupt; the message is the loader's sentence."""


@dataclass(frozen=True)
class Figure:
    """A picture of a result.

    Attributes:
        file: name of the PNG in the result's folder.
        title: a few words.
        caption: what is to be seen, for a reader who sees it.
        alt: the same for one who does not.
    """

    file: str
    title: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Result:
    """The outcome of one run of an experiment.

    Attributes:
        name: of the experiment.
        title: a sentence for people.
        settings: the fields of its config.
        seeds: every seed that was used.
        numbers: what was measured, nested as the experiment likes; the same for the same settings.
        criteria: what it must show.
        figures: in the order of the page.
        seconds: by stage.
        environment: machine and versions.
        deviations: from the document that the experiment reproduces, a sentence each.
        remarks: warnings on the way, a sentence each.
    """

    name: str
    title: str
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    numbers: Mapping[str, Any]
    criteria: tuple[Criterion, ...]
    figures: tuple[Figure, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str | int] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every criterion was met."""
        return all(criterion.passed for criterion in self.criteria)

    def write_json(self, path: Path) -> None:
        """Writes all of it, NaN and infinity as null."""
        criteria = [
            {
                "claim": c.claim,
                "measured": c.measured,
                "relation": c.relation,
                "bound": c.bound,
                "passed": c.passed,
            }
            for c in self.criteria
        ]
        content = {
            "name": self.name,
            "title": self.title,
            "status": "passed" if self.passed else "failed",
            "criteria": criteria,
            "numbers": self.numbers,
            "seeds": self.seeds,
            "settings": self.settings,
            "deviations": self.deviations,
            "remarks": self.remarks,
            "seconds": self.seconds,
            "environment": self.environment,
            "figures": [figure.file for figure in self.figures],
        }
        text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """The value as JSON knows it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return str(value)
