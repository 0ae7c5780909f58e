"""Running experiments: what is written, what a command says, and where jobs run."""

from __future__ import annotations

import base64
import csv
import dataclasses
import gzip
import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from latentgeo import ConvergenceWarning, cli
from latentgeo.experiments import (
    EXPERIMENTS,
    Config,
    Criterion,
    Experiment,
    Findings,
    Place,
    Record,
    UnusableData,
    run,
)
from latentgeo.experiments.experiment import starting_at
from latentgeo.experiments.jobs import connected, run_jobs
from latentgeo.experiments.trained import Recipe, train, train_along, train_stochastic
from latentgeo.training.rbf_vae import RBFVAEConfig


@dataclass(frozen=True, kw_only=True)
class DiceConfig(Config):
    throws: int = 100


def throw(config: DiceConfig, place: Place, record: Record) -> Findings:
    """The mean of dice: a study that takes no time."""
    if config.data == "mnist":
        raise UnusableData("there are no dice")
    means = [float(np.random.RandomState(seed).randint(1, 7, config.throws).mean()) for seed in config.seeds]
    drawing = Figure()
    drawing.subplots().bar(config.seeds, means)
    record.figure(drawing, "means.png", title="Means", caption="All near 3.5.", alt="Bars of one height.")
    record.table("means.csv", [{"seed": s, "mean": m} for s, m in zip(config.seeds, means, strict=True)])
    warnings.warn("one throw was still rolling", ConvergenceWarning, stacklevel=1)
    return Findings(
        numbers={"means": means},
        criteria=(
            Criterion("Dice are fair; smallest mean.", min(means), ">", 3.0, documented="3.5"),
            Criterion(
                "Dice are not all sixes; largest mean.", max(means), "<", 3.0 if config.throws < 10 else 6.0
            ),
        ),
        deviations=("The die is a computer.",),
    )


DICE = Experiment(
    name="dice",
    summary="dice are fair",
    source="Pascal, letters",
    presets={
        "quick": DiceConfig(),
        "standard": DiceConfig(data="mnist"),
        "full": DiceConfig(throws=5, seeds=(1, 2)),
    },
    study=throw,
)


@pytest.fixture
def dice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "EXPERIMENTS", (DICE,))


def place(tmp_path: Path) -> Place:
    return Place(cache=tmp_path / "cache")


def test_everything_is_written(tmp_path: Path) -> None:
    result = run(DICE, DICE.presets["quick"], place(tmp_path), out=tmp_path / "new" / "dice")
    assert result.passed
    folder = tmp_path / "new" / "dice"
    names = {"config.json", "index.html", "means.csv", "means.png", "metrics.json"}
    assert {path.name for path in folder.iterdir()} == names
    assert json.loads((folder / "config.json").read_text()) == {"data": "digits", "seeds": [0], "throws": 100}
    written = json.loads((folder / "metrics.json").read_text())
    assert (written["status"], written["seeds"], written["tables"]) == ("passed", [0], ["means.csv"])
    assert written["criteria"][0]["documented"] == "3.5"
    assert written["deviations"] == ["The die is a computer."]
    assert written["remarks"] == ["one throw was still rolling"]
    with (folder / "means.csv").open() as stream:
        assert float(next(csv.DictReader(stream))["mean"]) == written["numbers"]["means"][0]


def test_result_without_data_is_skipped_and_did_not_pass(tmp_path: Path) -> None:
    result = run(DICE, DICE.presets["standard"], place(tmp_path), out=tmp_path)
    assert (result.status, result.passed) == ("skipped", False)
    assert json.loads((tmp_path / "metrics.json").read_text())["skipped"] == "there are no dice"


@pytest.mark.usefixtures("dice")
@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["dice", "--preset", "quick"], 0, "dice: passed"),
        (["dice", "--preset", "full"], 1, "NOT MET"),
        (["dice"], 2, "dice was skipped: there are no dice"),
        (["dize"], 2, "no experiment is called 'dize'; did you mean 'dice'?"),
        (["dice", "--preset", "quite"], 2, "invalid choice: 'quite'"),
        (["dice", "--seed", "-1"], 2, "--seed: expected an integer from 0"),
        (["dice", "--workers", "0"], 2, "--workers: expected a positive integer, got 0"),
        (["dice", "--device", "abacus"], 2, "--device: 'abacus' is not to be had"),
        (["all", "--preset", "quick"], 0, "dice: passed"),
    ],
)
def test_command_runs_or_says_why_not(
    arguments: list[str], status: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", *arguments, "--out", str(tmp_path)]) == status
    output = capsys.readouterr()
    assert words in output.out + output.err


@pytest.mark.usefixtures("dice")
def test_folder_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["run", "dice", "--preset", "quick", "--out", str(tmp_path / "file")]) == 2
    assert "--out:" in capsys.readouterr().err


@pytest.mark.usefixtures("dice")
def test_report_holds_every_criterion_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["run", "dice", "--preset", "full", "--out", str(tmp_path)])
    capsys.readouterr()
    assert cli.main(["report", str(tmp_path)]) == 0
    text = (tmp_path / "report.html").read_text()
    assert "http://" not in text
    assert "https://" not in text
    assert text.count("data:image/png;base64,") == 1
    for words in ("Dice are fair", "3.5", "✗ not met", "The die is a computer.", "means.csv", "throws"):
        assert words in text
    capsys.readouterr()
    assert cli.main(["report", str(tmp_path), "--markdown"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 2 + 2
    assert table[2].startswith("| `dice` | Dice are fair; smallest mean. | 3.5 |")


@pytest.mark.usefixtures("dice")
def test_long_table_is_in_the_report_whole(tmp_path: Path) -> None:
    cli.main(["run", "dice", "--preset", "full", "--out", str(tmp_path)])
    long = "seed,mean\n" + "".join(f"{n},{n / 7}\n" for n in range(2000))
    (tmp_path / "dice" / "means.csv").write_text(long)
    assert cli.main(["report", str(tmp_path)]) == 0
    (link,) = re.findall(
        r'download="means.csv.gz" href="data:application/gzip;base64,([^"]+)"',
        (tmp_path / "report.html").read_text(),
    )
    assert len(link) < len(long)
    assert gzip.decompress(base64.b64decode(link)).decode() == long


@pytest.mark.parametrize("content", [None, "{}", "{", '{"name": "other"}'])
def test_report_of_nothing_is_refused(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    folder = tmp_path if content is not None else tmp_path / "nowhere"
    assert cli.main(["report", str(folder)]) == 2
    assert str(folder) in capsys.readouterr().err


def test_seeds_start_where_they_are_told() -> None:
    assert starting_at(DICE.presets["full"], 7).seeds == (7, 8)


def square(x: int) -> int:
    return x * x


class FailsOnce:
    """Of each item the first call fails."""

    def __init__(self, times: int = 1) -> None:
        self.calls: dict[int, int] = {}
        self.times = times

    def __call__(self, x: int) -> int:
        self.calls[x] = self.calls.get(x, 0) + 1
        if self.calls[x] <= self.times:
            raise OSError("no luck")
        return x


def test_jobs_come_back_in_order_here_and_on_a_cluster(tmp_path: Path) -> None:
    items = [3, 1, 2, 1]
    with connected(None, 2) as client:
        there, here = (run_jobs(square, items, Place(cache=tmp_path, client=one)) for one in (client, None))
        assert there == here == [9, 1, 4, 1]


def test_failed_job_is_tried_once_more_and_reported(tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="1: OSError: no luck; the second try succeeded"):
        assert run_jobs(FailsOnce(), [1], Place(cache=tmp_path)) == [1]
    with pytest.raises(OSError, match="no luck"):
        run_jobs(FailsOnce(2), [1], Place(cache=tmp_path))


def test_failed_job_of_a_cluster_is_tried_once_more_and_reported(tmp_path: Path) -> None:
    def after_a_try(file: Path) -> int:  # local, so that it travels by value
        if file.exists():
            return 7
        file.touch()
        raise OSError("no luck")

    with (
        connected(None, 1) as client,
        pytest.warns(RuntimeWarning, match="OSError: no luck; the second try succeeded"),
    ):
        assert run_jobs(after_a_try, [tmp_path / "tried"], Place(cache=tmp_path, client=client)) == [7]


def test_model_is_trained_once_and_again_where_anything_differs(tmp_path: Path) -> None:
    images = torch.rand(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(latents=2, hidden=(8,), epochs=2)
    first = train(recipe, images, place(tmp_path))
    again = train(recipe, images, place(tmp_path))
    assert again.history.records == first.history.records  # with the seconds of the first
    for a, b in zip(first.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)
    others = [(Recipe(latents=2, hidden=(8,), epochs=2, seed=1), images), (recipe, images[:20])]
    for other in others:
        train(*other, place(tmp_path))
    assert len(list((tmp_path / "cache" / "models").iterdir())) == 3


def test_stages_of_one_training_are_the_models_of_as_many_epochs(tmp_path: Path) -> None:
    images = torch.rand(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(latents=2, hidden=(8,), epochs=9)
    stages = train_along(recipe, (1, 3), images, place(tmp_path / "along"))
    for epochs, stage in zip((1, 3), stages, strict=True):
        alone = train(dataclasses.replace(recipe, epochs=epochs), images, place(tmp_path / f"alone {epochs}"))
        assert len(stage.history) == epochs
        assert stage.history.losses == alone.history.losses
        for a, b in zip(stage.model.parameters(), alone.model.parameters(), strict=True):
            assert torch.equal(a, b)


def test_training_begins_with_the_weights_of_another_recipe(tmp_path):
    images = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    diagonal = Recipe(latents=4, hidden=(8,), epochs=2)
    # a rate that is zero but for rounding leaves a model as it begins
    chain = dataclasses.replace(diagonal, posterior="chain", learning_rate=1e-30, begun_with=diagonal)
    begun, before = (train(recipe, images, place(tmp_path)).model for recipe in (chain, diagonal))
    rows = images.flatten(1)
    assert torch.equal(begun.encode(rows).mean, before.encode(rows).mean)
    torch.testing.assert_close(begun.encode(rows).variance, before.encode(rows).variance)
    assert torch.equal(
        begun.decode(begun.encode(rows).mean).mean, before.decode(before.encode(rows).mean).mean
    )
    assert not torch.equal(begun.encode(rows).mean, train(
        dataclasses.replace(chain, begun_with=None), images, place(tmp_path)
    ).model.encode(rows).mean)  # fmt: skip


def test_annealed_training_comes_to_rest(tmp_path):
    images = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(latents=2, hidden=(8,), epochs=4, annealed_over=3)
    ends = [
        train(dataclasses.replace(recipe, epochs=epochs), images, place(tmp_path)).model
        for epochs in (2, 3, 4)
    ]
    second, third, fourth = (torch.nn.utils.parameters_to_vector(model.parameters()) for model in ends)
    assert torch.equal(third, fourth)
    assert not torch.equal(second, third)


def test_recipe_names_what_differs_from_its_defaults() -> None:
    recipe = Recipe(latents=2, epochs=3, begun_with=Recipe(latents=2, epochs=1, seed=4))
    assert repr(recipe) == "Recipe(latents=2, epochs=3, begun_with=Recipe(latents=2, epochs=1, seed=4))"
    assert eval(repr(recipe), {"Recipe": Recipe}) == recipe


def test_a_new_setting_leaves_a_stochastic_model_where_it_is_kept(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Newer(RBFVAEConfig):
        new: int = 0

    Newer.__name__ = RBFVAEConfig.__name__
    images = torch.rand(40, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    of_now = RBFVAEConfig(epochs=1, batch_size=10, num_centers=4)
    later = Newer(epochs=1, batch_size=10, num_centers=4)
    kept = []
    for config in (of_now, later, dataclasses.replace(later, new=1)):
        train_stochastic(config, images, place(tmp_path), seed=0)
        kept.append(len(list((tmp_path / "cache" / "models").iterdir())))
    assert kept == [1, 1, 2]


def test_training_in_bfloat16_differs_by_its_rounding(tmp_path: Path) -> None:
    images = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(latents=2, hidden=(8,), epochs=2)
    whole, half = (
        train(dataclasses.replace(recipe, bfloat16=half), images, place(tmp_path)) for half in (False, True)
    )
    assert half.history.losses != whole.history.losses
    assert half.history.losses == pytest.approx(whole.history.losses, rel=1e-2)
    assert {weights.dtype for weights in half.model.parameters()} == {torch.float32}


def test_names_are_those_of_the_documents() -> None:
    names = [experiment.name for experiment in EXPERIMENTS]
    assert len(set(names)) == len(names)
    assert all(set(experiment.presets) == {"quick", "standard", "full"} for experiment in EXPERIMENTS)


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.name)
def test_quick_preset_meets_its_criteria(experiment: Experiment, tmp_path: Path) -> None:
    result = run(experiment, experiment.presets["quick"], place(tmp_path), out=tmp_path / experiment.name)
    if result.skipped and experiment.name == "frey-faces":
        pytest.skip("the file is the user's to bring")
    assert [str(criterion) for criterion in result.criteria if not criterion.passed] == []
    assert result.passed
    assert result.criteria
    assert result.figures
    assert result.tables
