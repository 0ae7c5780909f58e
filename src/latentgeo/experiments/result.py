"""What every experiment gives back, and how it is written down."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentgeo.experiments.criteria import Criterion


class UnusableData(Exception):
    """The data of an experiment are missing or corrupt; the message is the loader's sentence.

    A study raises it, and :func:`run` makes a result of it that is skipped.

    Example:
        >>> import tempfile
        >>> from latentgeo.experiments import Config, Experiment, Place, UnusableData, run
        >>> def study(config, place, record):
        ...     raise UnusableData("There are no dice.")
        >>> dice = Experiment(name="dice", summary="dice are fair", source="none", presets={}, study=study)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = run(dice, Config(), Place(cache=Path(folder)), out=Path(folder))
        >>> result.status, result.skipped
        ('skipped', 'There are no dice.')
    """


@dataclass(frozen=True)
class Figure:
    """A picture of a result.

    Attributes:
        file: name of the PNG in the result's folder.
        title: a few words.
        caption: what is to be seen, for a reader who sees it.
        alt: the same for one who does not.

    Example:
        >>> import tempfile
        >>> from matplotlib.figure import Figure as Drawing
        >>> from latentgeo.experiments import Record
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     record = Record(Path(folder))
        ...     record.figure(Drawing(), "dice.png", title="Dice", caption="Nothing yet.", alt="A white page.")
        >>> record.figures
        [Figure(file='dice.png', title='Dice', caption='Nothing yet.', alt='A white page.')]
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
        source: the document, and where in it.
        tables: names of the CSV files.
        skipped: why nothing was measured; empty, if something was.

    Example:
        :func:`run` gives one; this is made by hand.

        >>> from latentgeo.experiments import Criterion, Result
        >>> fair = Criterion("Dice are fair.", 2.9, ">", 3.0)
        >>> result = Result("dice", "Dice are fair", {}, seeds=(0,), numbers={"mean": 2.9}, criteria=(fair,))
        >>> result.passed, result.status
        (False, 'failed')
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
    source: str = ""
    tables: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """Whether every criterion was met; false, where nothing was measured."""
        return not self.skipped and all(criterion.passed for criterion in self.criteria)

    @property
    def status(self) -> str:
        """One word: passed, failed or skipped."""
        return "skipped" if self.skipped else "passed" if self.passed else "failed"

    def write_json(self, path: Path) -> None:
        """Writes all of it, NaN and infinity as null."""
        criteria = [
            {
                "claim": c.claim,
                "documented": c.documented,
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
            "source": self.source,
            "status": self.status,
            "skipped": self.skipped,
            "criteria": criteria,
            "numbers": self.numbers,
            "seeds": self.seeds,
            "settings": self.settings,
            "deviations": self.deviations,
            "remarks": self.remarks,
            "seconds": self.seconds,
            "environment": self.environment,
            "figures": [dataclasses.asdict(figure) for figure in self.figures],
            "tables": self.tables,
        }
        text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """The value as JSON knows it: NaN and infinity are null, and what it does not know is its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return str(value)
