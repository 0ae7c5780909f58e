"""The benchmark of the log-likelihood runs at tiny size, and its check sees a wrong estimate."""

from __future__ import annotations

import log_likelihood as benchmark
import pytest
import torch

CPU = torch.device("cpu")


def test_help_says_how_to_call(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["log_likelihood", "--help"])
    with pytest.raises(SystemExit) as end:
        benchmark.main()
    assert end.value.code == 0
    assert "--chunk-sizes" in capsys.readouterr().out


def test_a_run_is_measured_and_chunks_do_not_change_what_it_finds() -> None:
    default, small = (benchmark.measure(3, 20, chunk, CPU) for chunk in ([], [7]))
    assert (default["chunk"], small["chunk"]) == ("default", 7)
    assert default["mean"] == pytest.approx(small["mean"], rel=1e-5)
    assert min(default["rows"], default["seconds"], default["cpu_seconds"]) > 0
    assert 0.05 < default["gib"] < 20  # a Python with torch, in GiB and not in KiB


def test_errors_are_as_large_as_they_say(monkeypatch) -> None:
    found = benchmark.errors(20, 500, CPU)
    assert 0.5 < found["rms"] < 1.5
    assert found["worst"] < benchmark.WORST
    assert 0.2 < found["effective_share"] < 0.9
    sound = benchmark.log_likelihood
    monkeypatch.setattr(
        benchmark,
        "log_likelihood",
        lambda *a, **k: sound(*a, **k)._replace(log_likelihood=sound(*a, **k)[0] + 1),
    )
    assert benchmark.errors(20, 500, CPU)["worst"] > benchmark.WORST
