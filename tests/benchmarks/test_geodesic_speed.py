"""The comparison of solvers: curves are measured alike, times on the same pairs, and goals can be missed."""

from __future__ import annotations

import json
from pathlib import Path

import geodesic_speed
import peers
import problems
import pytest
import torch
from autoencoders import GreyLevels
from geodesic_speed import BEST, LINE, OURS, SEGMENTS, Outcome, energies, goals, rows
from timing import Counting
from torch import nn

from latentgeo import pullback_metric


@pytest.fixture
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> problems.Problem:
    """A decoder of two latents that was trained for a second, and three pairs, loaded by the name mnist2."""
    recipe = GreyLevels(latent_dim=2, data="digits", hidden=(32,), epochs=20)
    monkeypatch.setitem(problems.RECIPES, "mnist2", recipe)
    return problems.load("mnist2", pairs=3, cache=tmp_path)


def test_every_method_is_measured(problem, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(geodesic_speed, "GRAPH", 50)
    monkeypatch.setattr(peers, "STOCHMAN", dict.fromkeys(peers.STOCHMAN, (5, 3, 1)))
    options = f"--problems mnist2 --pairs 3 --slow-pairs 1 --cache {tmp_path} --out {tmp_path / 'results'}"
    monkeypatch.setattr("sys.argv", ["geodesic_speed", *options.split()])
    geodesic_speed.main()
    assert "met" in capsys.readouterr().out
    assert (tmp_path / "results" / "geodesic_speed.png").is_file()

    report = json.loads((tmp_path / "results" / "geodesic_speed.json").read_text())
    table = {r["method"]: r for r in report["problems"]["mnist2"]}
    assert {OURS, BEST, LINE, "GraphSearch", "Georce", "Shooting", "BoundaryValue"} <= table.keys()
    assert table[OURS]["time_to_ours"] == 1
    assert [table[m]["pairs"] for m in (OURS, "Georce", "Shooting", "BoundaryValue")] == [3, 3, 1, 1]
    assert min(r["excess"] for r in table.values()) >= 0
    assert table[OURS]["excess"] < 1e-6 < table[LINE]["excess"]
    for method in (OURS, "Georce", "Shooting", "BoundaryValue"):  # one minimum is all there is here
        assert table[method]["energy_to_ours"] == pytest.approx(1, abs=1e-5)
        assert table[method]["agrees"] == 1


def test_energies_are_those_of_the_definition(problem) -> None:
    t = torch.linspace(0, 1, SEGMENTS + 1)
    line = torch.lerp(problem.start[:, None], problem.end[:, None], t[:, None])
    with torch.no_grad():
        images = problem.decoder.double()(line.double().flatten(0, 1)).unflatten(0, line.shape[:2])
    problem.decoder.float()
    expected = SEGMENTS * images.diff(dim=1).square().sum((1, 2))
    torch.testing.assert_close(energies(problem, line), expected)


def test_few_pairs_are_compared_with_the_same_few(problem) -> None:
    line = torch.lerp(
        problem.start[:, None], problem.end[:, None], torch.linspace(0, 1, SEGMENTS + 1)[:, None]
    )
    bowed = line + torch.linspace(0, torch.pi, SEGMENTS + 1).sin()[:, None]
    ours = Outcome(OURS, bowed, seconds=[3.0, 3.0], energy=energies(problem, bowed), points={})
    few = Outcome("few", line[:1], seconds=[8.0], alongside=[2.0], energy=1.02 * energies(problem, line[:1]))
    first, second = rows(problem, [ours, few])
    assert second["time_to_ours"] == 4  # 8 s to 2 s for the same pair
    assert second["time_to_ours_in_full_batch"] == 8  # 8 s to 1 s a pair
    assert (first["agrees"], second["agrees"]) == (1, 0)
    both = torch.stack([energies(problem, bowed), energies(problem, line)])
    assert second["energy_to_ours"] == pytest.approx(float(both[1, 0] / both[0, 0]))
    least = torch.cat([both[:, :1].amin(0), both[0, 1:]])  # the line is there for the first pair only
    assert first["excess"] == pytest.approx(float((both[0] - least).sum() / least.sum()), abs=1e-12)


def test_goals_are_missed_by_what_is_slow_or_wrong() -> None:
    good = {"method": OURS, "swept": 12.0, "agrees": 1.0, "converged": 1.0, "mean_energy": 1.0}
    best = {"method": BEST, "mean_energy": 1.0}
    peer = {"method": "stochman, 20 nodes, 1000 steps", "time_to_ours": 40.0}
    assert all(g["met"] for g in goals([good, best, peer], 2))
    for worse in ({"swept": 13.0}, {"agrees": 0.9}, {"converged": 0.9}, {"mean_energy": 1.02}):
        assert [g["met"] for g in goals([{**good, **worse}, best, peer], 2)].count(False) == 1
    slow = [good, best, {**peer, "time_to_ours": 39.0}]
    assert [g["met"] for g in goals(slow, 2)].count(False) == 1
    assert all(g["met"] for g in goals([good, best], 50))
    assert all(g["met"] for g in goals([{**good, "swept": 60.0}, best], 50))


def test_points_are_counted_by_what_is_asked_of_them() -> None:
    counting = Counting(nn.Linear(2, 3).requires_grad_(False))
    metric, z = pullback_metric(counting), torch.randn(5, 2)
    with torch.no_grad():
        metric(z)
        before = counting.swept, counting.pushed, counting.valued
        metric(z)
    assert (counting.swept, counting.pushed, counting.valued) == (before[0], before[1] + 5, before[2])
    with torch.no_grad():
        counting(z)
    counting(z.requires_grad_()).sum().backward()
    assert (counting.swept, counting.pushed, counting.valued) == (before[0] + 5, before[1] + 5, before[2] + 5)
