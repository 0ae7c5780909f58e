"""Known geodesics satisfy what defines them, and errors fall with the fourth power of the number of segments."""

from __future__ import annotations

import accuracy
import pytest
import torch
from accuracy import GEOMETRIES

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", GEOMETRIES)
def test_known_geodesics_have_their_length_at_constant_speed(name: str) -> None:
    known = GEOMETRIES[name](5, CPU)
    middle, step = (known.points[:, 1:] + known.points[:, :-1]) / 2, known.points.diff(dim=1)
    speed = (accuracy.TIMES - 1) * known.metric().norm(middle, step)
    length = known.length.reshape(-1, 1).expand_as(speed)
    torch.testing.assert_close(speed, length, rtol=1e-3, atol=0)  # of second order in 1 / 100


def test_errors_fall_with_the_fourth_power(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(accuracy, "interleaved", lambda runs, *_, **__: dict.fromkeys(runs, 1.0))
    monkeypatch.setattr(
        "sys.argv", ["accuracy", "--segments", "8", "16", "32", "--pairs", "2", "--out", str(tmp_path)]
    )
    found = []
    monkeypatch.setattr(
        accuracy, "draw", lambda table, draw=accuracy.draw: found.extend(table) or draw(table)
    )
    accuracy.main()
    assert "flat torus" in capsys.readouterr().out
    assert (tmp_path / "accuracy.png").is_file()
    orders = accuracy.orders(found)
    assert orders.keys() == GEOMETRIES.keys()
    for per_solver in orders.values():
        assert per_solver.keys() == accuracy.ORDERS.keys()
        assert all(3.5 < o["length"] < 5 for o in per_solver.values())
    assert all(r["converged"] == 1 for r in found)
    assert max(r["length"] for r in found if r["segments"] == 32) < 1e-7
