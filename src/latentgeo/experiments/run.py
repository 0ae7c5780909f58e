"""Running one experiment: its folder, its result, and what is written of it."""

from __future__ import annotations

import dataclasses
import json
import time
import warnings
from pathlib import Path

import torch

from latentgeo import ConvergenceWarning
from latentgeo.experiments.environment import environment
from latentgeo.experiments.experiment import C, Experiment, Findings, Place
from latentgeo.experiments.kept import KeptResults
from latentgeo.experiments.page import page
from latentgeo.experiments.record import Record
from latentgeo.experiments.result import Result, UnusableData, plain


def run(experiment: Experiment[C], config: C, place: Place, *, out: Path) -> Result:
    """Runs an experiment; leaves ``config.json``, figures, tables, ``metrics.json``, ``index.html`` in a folder.

    Results of jobs lie in ``jobs`` until all is done, so that a run that was interrupted goes on after them.

    Args:
        experiment: what to run.
        config: its settings, one of ``experiment.presets`` or another.
        place: where it runs.
        out: the folder; it is made, and the files of an earlier run in it are replaced.

    Returns:
        The result that was written; one that is ``skipped``, where the data are missing or unusable.

    Raises:
        OSError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> from latentgeo.experiments import Config, Criterion, Experiment, Findings, Place, run
        >>> def study(config, place, record):
        ...     means = [3.4 + 0.1 * seed for seed in config.seeds]
        ...     return Findings(numbers={"means": means}, criteria=(Criterion("Fair.", min(means), ">", 3.0),))
        >>> dice = Experiment(name="dice", summary="dice are fair", source="none", presets={}, study=study)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = run(dice, Config(seeds=(0, 1)), Place(cache=Path(folder)), out=Path(folder, "dice"))
        ...     sorted(path.name for path in Path(folder, "dice").iterdir())
        ['config.json', 'index.html', 'metrics.json']
        >>> result.status, result.numbers
        ('passed', {'means': [3.4, 3.5]})
    """
    out.mkdir(parents=True, exist_ok=True)
    for stale in ("metrics.json", "index.html"):
        (out / stale).unlink(missing_ok=True)
    settings = dataclasses.asdict(config)
    text = json.dumps(plain(settings), indent=2, ensure_ascii=False)
    (out / "config.json").write_text(text + "\n", encoding="utf-8")
    record = Record(out, progress=place.progress)
    kept = KeptResults(out / "jobs", f"{experiment.name} {text} {place.data_dir} {place.device}")
    began = time.perf_counter()
    skipped = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            findings = experiment.study(config, dataclasses.replace(place, kept=kept), record)
        except UnusableData as error:
            # results are shown to others, whom this machine's folders do not concern
            skipped = str(error).replace(str(Path.home()), "~")
            findings = Findings(numbers={}, criteria=())
    seconds = time.perf_counter() - began - sum(record.seconds.values())
    remarks = list(findings.remarks)
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            remarks.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    result = Result(
        name=experiment.name,
        title=experiment.summary[0].upper() + experiment.summary[1:],
        source=experiment.source,
        settings=settings,
        seeds=config.seeds,
        numbers=findings.numbers,
        criteria=findings.criteria,
        figures=tuple(record.figures),
        tables=tuple(record.tables),
        seconds={**record.seconds, "other" if record.seconds else "all": seconds},
        environment=environment(torch.device(place.device)),
        deviations=findings.deviations,
        remarks=tuple(dict.fromkeys(remarks)),
        skipped=skipped,
    )
    words = experiment.introduction or experiment.source
    (out / "index.html").write_text(page(result, out, introduction=words), encoding="utf-8")
    result.write_json(out / "metrics.json")
    kept.discard()
    return result
