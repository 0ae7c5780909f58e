"""The scripts run at tiny sizes, and their checks see what is wrong."""

from __future__ import annotations

import argparse
import importlib

import memory
import metric_speed
import problems
import pytest
import torch
from autoencoders import GreyLevels
from timing import interleaved, slope
from torch import nn

from latentgeo import metric_from_function, pullback_metric
from latentgeo.models import MLPDecoder


@pytest.mark.parametrize("name", ["problems", "metric_speed", "memory", "geodesic_speed"])
def test_help_says_how_to_call(name: str, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(name).main()
    assert end.value.code == 0
    assert "--device" in capsys.readouterr().out


def tiny() -> tuple[nn.Module, nn.Module, torch.Tensor]:
    """A decoder, the same with a standard deviation, and points."""
    torch.manual_seed(0)
    decoder = MLPDecoder(2, 9, hidden=(8,), activation=nn.Softplus).requires_grad_(False)
    z = torch.randn(100, 2)
    return decoder, metric_speed.stochastic(decoder, z), z[:6]


def test_all_ways_to_the_metric_agree(monkeypatch) -> None:
    monkeypatch.setattr(metric_speed, "interleaved", lambda runs, *_: dict.fromkeys(runs, 1.0))
    decoder, noisy, z = tiny()
    table = metric_speed.rows(decoder, noisy, z, 1)
    assert max(row["error"] for row in table) < metric_speed.AGREEMENT
    assert metric_speed.markdown(table).count("\n") == len(table) + 1
    assert len(metric_speed.draw(table, z.device).axes) == 1

    wrong = pullback_metric(decoder)
    monkeypatch.setattr(
        metric_speed, "pullback_metric", lambda _: metric_from_function(lambda x: 1.001 * wrong(x))
    )
    seen = {
        r["method"] for r in metric_speed.rows(decoder, noisy, z, 1) if r["error"] > metric_speed.AGREEMENT
    }
    assert seen == {"pullback_metric", "norm", "inner", "norm from G", "inner from G"}


def test_a_solve_is_measured(tmp_path, monkeypatch) -> None:
    recipe = GreyLevels(latent_dim=2, data="digits", hidden=(8,), epochs=1)
    monkeypatch.setitem(problems.RECIPES, "mnist10", recipe)
    cpu = torch.device("cpu")
    args = argparse.Namespace(
        problem="mnist10", curves=[3], segments=8, device=cpu, cache=tmp_path, data_dir=None
    )
    found = memory.solve(args)
    assert found["curves"] == 3
    assert found["converged"] == 1
    assert found["gib"] >= 0
    assert 0.05 < found["baseline_gib"] < 20  # a Python with torch, in GiB and not in KiB


def test_slope_is_the_exponent_and_calls_are_taken_in_turns() -> None:
    assert slope([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    calls: list[str] = []
    runs = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    cpu = torch.device("cpu")
    assert interleaved(runs, 3, cpu, least=0).keys() == runs.keys()
    warming_up, turn = ["a", "b"] * 2, ["a", "a", "b", "b"]  # in a turn the first call is not counted
    assert calls == warming_up + turn * 3
    calls.clear()
    interleaved(runs, 3, cpu, least=0, most=0)  # all of it slow
    assert calls == ["a", "b"] * 2
