"""The series of growth vary one size each, around curves that are neither straight nor hard."""

from __future__ import annotations

import json
import math

import growth
import pytest
import torch

CPU = torch.device("cpu")


def test_every_series_is_stored_with_its_exponent(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(growth, "BASE", {"B": 3, "T": 8, "d": 2, "D": 20})
    options = "--curves 2 4 --segments 8 16 --latents 2 3 --outputs 10 20 --repeats 1"
    monkeypatch.setattr("sys.argv", ["growth", *options.split(), "--out", str(tmp_path)])
    growth.main()
    assert "exponents" in capsys.readouterr().out
    report = json.loads((tmp_path / "growth.json").read_text())
    assert report["exponents"].keys() == report["series"].keys() == growth.SERIES.keys()
    assert [r["T"] for r in report["series"]["T"]] == [8, 16]
    assert {r["B"] for r in report["series"]["T"]} == {3}
    few, many = (r["evaluations"] for r in report["series"]["B"])
    assert report["exponents"]["B"]["evaluations"] == pytest.approx(math.log2(many / few))
    assert many > few
    assert (tmp_path / "growth.png").is_file()


def test_curves_are_mildly_bent_in_every_dimension(monkeypatch) -> None:
    monkeypatch.setattr(growth, "interleaved", lambda runs, *_: dict.fromkeys(runs, 1.0))
    monkeypatch.setattr(growth, "BASE", {"B": 8, "T": 32, "d": 5, "D": 100})
    for row in growth.rows("d", [2, 5, 20], 1, CPU):
        assert 1.005 < row["line"] < 1.1
        assert row["converged"] == 1


def test_more_pairs_extend_fewer() -> None:
    few, many = growth.problem(3, 2, 10, CPU), growth.problem(6, 2, 10, CPU)
    assert torch.equal(few[1], many[1][:3])
    assert torch.equal(few[0](few[2]), many[0](few[2]))
