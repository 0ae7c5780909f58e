"""The command line: what it prints, and with which status it ends."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os

import pytest

from latentgeo import cli
from latentgeo.experiments import Criterion, Result, demo

SCORES = {"f_measure": 0.9, "purity": 0.9, "adjusted_rand": 0.8}


def result(passed: bool) -> Result:
    criterion = Criterion("Large enough.", 2.0 if passed else 0.5, ">=", 1.0)
    numbers = {"k-means": {"geodesic": SCORES, "Euclidean": SCORES}}
    return Result("demo", "A title", {}, (0,), numbers, (criterion,))


@pytest.fixture
def runs(monkeypatch):
    """Stands in for the demo: remembers its config, and ends as it is told."""
    calls = []

    def fake(config, *, out, progress):
        calls.append((config, out))
        if isinstance(fake.ending, BaseException):
            out.mkdir(exist_ok=True)
            (out / "metric-map.png").write_text("")
            raise fake.ending
        return result(fake.ending)

    fake.ending = True
    fake.calls = calls
    monkeypatch.setattr(demo, "run", fake)
    return fake


@pytest.mark.parametrize(("passed", "status"), [(True, 0), (False, 1)])
def test_status_tells_whether_every_criterion_was_met(runs, tmp_path, capsys, passed, status):
    runs.ending = passed
    assert cli.main(["demo", "--out", str(tmp_path)]) == status
    printed = capsys.readouterr().out
    assert ("NOT MET" in printed) is not passed
    assert str(tmp_path / "index.html") in printed
    assert str(tmp_path / "metrics.json") in printed


def test_options_reach_the_config(runs, tmp_path):
    options = ["--data", "mnist", "--data-dir", "here", "--seed", "7", "--classes", "3", "4", "7"]
    cli.main(["demo", *options, "--out", str(tmp_path / "o")])
    (config, out), *_ = runs.calls
    assert (config.data, str(config.data_dir), config.seed, config.classes) == ("mnist", "here", 7, (3, 4, 7))
    assert config.training == demo.MNIST.training
    assert out == tmp_path / "o"
    cli.main(["demo"])
    assert runs.calls[1][0] == demo.DIGITS
    assert str(runs.calls[1][1]) == "latentgeo-demo"


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
    assert not (tmp_path / "o").exists()


def test_a_folder_that_cannot_be_made_ends_with_two(tmp_path, capsys, monkeypatch):
    tiny = dataclasses.replace(demo.DIGITS, per_class=20)
    monkeypatch.setattr(demo, "DIGITS", tiny)
    (tmp_path / "file").write_text("")
    assert cli.main(["demo", "--out", str(tmp_path / "file" / "o")]) == 2
    assert "latentgeo: --out: " in capsys.readouterr().err


def test_ctrl_c_ends_with_130_and_tells_what_was_kept(runs, tmp_path, capsys):
    runs.ending = KeyboardInterrupt()
    (tmp_path / "older.png").write_text("")
    os.utime(tmp_path / "older.png", (0, 0))
    assert cli.main(["demo", "--out", str(tmp_path)]) == 130
    assert f"Interrupted; kept in {tmp_path}: metric-map.png\n" in capsys.readouterr().err


def test_list_names_every_experiment_in_a_line(capsys):
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["demo", *(e.name for e in cli.EXPERIMENTS)]
    assert all(len(line.split()) > 3 for line in lines)


def test_version_is_that_of_the_package(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"latentgeo {importlib.metadata.version('latentgeo')}\n"
