"""What an experiment is: a name, what it computes in each preset, where it runs, and a study that finds something."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.kept import KeptResults
from latentgeo.experiments.record import Record

Preset = Literal["quick", "standard", "full"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """What an experiment computes. Each experiment adds its own settings.

    Attributes:
        data: "digits", 8 x 8 and embedded, or "mnist".
        seeds: of models and draws, one run of the study each, or however the study says.

    Example:
        >>> from dataclasses import dataclass
        >>> from latentgeo.experiments import Config
        >>> @dataclass(frozen=True, kw_only=True)
        ... class DiceConfig(Config):
        ...     throws: int = 100
        >>> DiceConfig(seeds=(0, 1))
        DiceConfig(data='digits', seeds=(0, 1), throws=100)
    """

    data: Literal["digits", "mnist"] = "digits"
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an experiment runs, which changes nothing of what it finds.

    Attributes:
        cache: folder of trained models, which experiments share.
        data_dir: where MNIST, CIFAR-10 and the Frey faces lie; see the loaders for None.
        device: where to compute.
        client: a ``dask.distributed.Client`` over whose workers jobs are spread; None runs them here.
        progress: whether to show bars.
        kept: results of finished jobs, where they are kept until the experiment has ended; :func:`run` says so.

    Example:
        >>> from pathlib import Path
        >>> from latentgeo.experiments import Place
        >>> place = Place(cache=Path("models"), progress=True)
        >>> place.device, place.alone.progress
        ('cpu', False)
    """

    cache: Path
    data_dir: Path | None = None
    device: str = "cpu"
    client: Any = None
    progress: bool = False
    kept: KeptResults | None = None

    @property
    def alone(self) -> Place:
        """The same for a job, which has no cluster, no bar and no jobs of its own."""
        return dataclasses.replace(self, client=None, progress=False, kept=None)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a study found.

    Attributes:
        numbers: what was measured, nested as the study likes; the same for the same config.
        criteria: what it had to show.
        deviations: from the document, a sentence each.
        remarks: what a reader should know, a sentence each.

    Example:
        >>> from latentgeo.experiments import Criterion, Findings
        >>> found = Findings(numbers={"mean": 3.4}, criteria=(Criterion("Dice are fair.", 3.4, ">", 3.0),))
        >>> [str(criterion) for criterion in found.criteria]
        ['met (3.4 > 3): Dice are fair.']
    """

    numbers: Mapping[str, Any]
    criteria: tuple[Criterion, ...]
    deviations: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())


C = TypeVar("C", bound=Config)


def starting_at(config: C, seed: int) -> C:
    """The config with as many seeds, from another number on."""
    return dataclasses.replace(config, seeds=tuple(range(seed, seed + len(config.seeds))))


@dataclass(frozen=True, kw_only=True)
class Experiment(Generic[C]):
    """A documented experiment.

    Attributes:
        name: for the command line.
        summary: a line.
        source: the document and its figure or table.
        presets: "quick" on the embedded digits or a subset, two minutes on two cores at most; "standard" on MNIST,
            about an hour; "full" with the documented settings.
        study: computes, leaves figures and tables in the record, and says what it found.
        introduction: for the head of the page, plain text.

    Example:
        >>> from latentgeo.experiments import EXPERIMENTS
        >>> demo = EXPERIMENTS[0]
        >>> demo.name, sorted(demo.presets), demo.presets["quick"].data
        ('demo', ['full', 'quick', 'standard'], 'digits')
    """

    name: str
    summary: str
    source: str
    presets: Mapping[Preset, C]
    study: Callable[[C, Place, Record], Findings]
    introduction: str = ""
