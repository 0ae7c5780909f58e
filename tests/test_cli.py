"""The command line: what it prints, and with which status it ends."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

from latentgeo import cli
from latentgeo.experiments import Criterion, Result
from latentgeo.experiments.studies import demo


@pytest.fixture
def runs(monkeypatch):
    """Stands in for the runs of experiments: remembers what was asked for, and ends as it is told."""
    calls = []

    def fake(experiment, config, place, *, out):
        calls.append((config, place, out))
        if isinstance(fake.ending, BaseException):
            raise fake.ending
        criterion = Criterion("Large enough.", 2.0 if fake.ending else 0.5, ">=", 1.0)
        return Result(experiment.name, "A title", {}, (0,), {}, (criterion,))

    fake.ending = True
    fake.calls = calls
    monkeypatch.setattr(cli, "run", fake)
    return fake


@pytest.mark.parametrize(("passed", "status"), [(True, 0), (False, 1)])
def test_status_tells_whether_every_criterion_was_met(runs, tmp_path, capsys, passed, status):
    runs.ending = passed
    assert cli.main(["demo", "--out", str(tmp_path)]) == status
    printed = capsys.readouterr().out
    assert ("NOT MET" in printed) is not passed
    assert str(tmp_path / "index.html") in printed


def test_options_reach_the_config(runs, tmp_path):
    options = ["--data", "mnist", "--data-dir", "here", "--seed", "7", "--classes", "3", "4", "7"]
    cli.main(["demo", *options, "--out", str(tmp_path / "o")])
    (config, place, out), *_ = runs.calls
    assert (config.data, str(place.data_dir), config.seeds, config.classes) == (
        "mnist",
        "here",
        (7,),
        (3, 4, 7),
    )
    assert config.training == demo.EXPERIMENT.presets["standard"].training
    assert out == tmp_path / "o"
    cli.main(["demo"])
    assert runs.calls[1][0] == demo.EXPERIMENT.presets["quick"]
    assert str(runs.calls[1][2]) == "latentgeo-demo"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["demo", "--data", "cats"], "invalid choice: 'cats'"),
        (["demo", "--seed", "x"], "invalid int value: 'x'"),
        (["demo", "--seed", "-1"], "--seed: expected an integer from 0"),
        (["demo", "--device", "nowhere"], "--device: 'nowhere' is not to be had"),
        (["demo", "--classes", "3"], "--classes: expected 2 to 7 different digits"),
        (["demo", "--data-dir", "x"], "--data-dir goes with --data mnist"),
    ],
)
def test_bad_arguments_end_with_two_and_a_sentence(runs, capsys, arguments, sentence):
    assert cli.main(arguments) == 2
    assert sentence in capsys.readouterr().err
    assert runs.calls == []


def test_missing_data_end_with_two_and_the_loaders_sentence(tmp_path, capsys, monkeypatch):
    def offline(*args, **options):
        raise OSError("no network")

    monkeypatch.setattr("pooch.retrieve", offline)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("LATENTGEO_DATA", raising=False)
    options = ["--data", "mnist", "--data-dir", str(tmp_path), "--out", str(tmp_path / "o")]
    assert cli.main(["demo", *options]) == 2
    assert "train-images-idx3-ubyte.gz is not in" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_ends_with_two(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["demo", "--out", str(tmp_path / "file" / "o")]) == 2
    assert "latentgeo: --out: " in capsys.readouterr().err


def test_ctrl_c_ends_with_130_and_tells_what_was_kept(runs, tmp_path, capsys):
    runs.ending = KeyboardInterrupt()
    assert cli.main(["demo", "--out", str(tmp_path)]) == 130
    assert f"Interrupted in demo; what was finished is in {tmp_path}" in capsys.readouterr().err


def test_all_is_a_name_among_others(runs, tmp_path):
    names = [e.name for e in cli.EXPERIMENTS]
    assert cli.main(["run", names[-1], "all", "--preset", "quick", "--out", str(tmp_path)]) == 0
    assert [out.name for _, _, out in runs.calls] == [names[-1], *names[:-1]]
    assert cli.main(["run", "all", "flying", "--out", str(tmp_path)]) == 2


def test_list_names_every_experiment_in_a_line(capsys):
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [e.name for e in cli.EXPERIMENTS]
    assert all(len(line.split()) > 3 for line in lines)


def test_version_is_that_of_the_package(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"latentgeo {importlib.metadata.version('latentgeo')}\n"


def test_package_runs_as_a_module():
    found = subprocess.run(
        [sys.executable, "-m", "latentgeo", "run", "nothing"], capture_output=True, text=True
    )
    assert found.returncode == 2
    assert "no experiment is called 'nothing'" in found.stderr
