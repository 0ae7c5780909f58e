"""Results of finished jobs outlive the run that found them, and nothing else does."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from latentgeo.experiments import Config, Criterion, Experiment, Findings, Place, Record, run
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.kept import KeptResults

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.builds(Path, st.just("a/b"))
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.tuples(st.integers(), st.text()), inner)
    ),
    max_leaves=12,
)


@dataclass(frozen=True)
class Measured:
    """Of one job."""

    number: int
    values: Tensor
    table: np.ndarray
    parts: tuple[Path | float, ...] = ()


@dataclass
class Jobs:
    """Jobs that count their calls, and are interrupted at one of them."""

    stop_at: int | None = None
    calls: int = 0

    def __call__(self, n: int) -> Measured:
        if n == self.stop_at:
            raise KeyboardInterrupt
        self.calls += 1
        values = torch.randn(3, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        return Measured(n, values, np.array([[n, np.nan]]), (Path("x"), float("inf")))


def experiment_of(jobs: Jobs) -> Experiment:
    def study(config: Config, place: Place, record: Record) -> Findings:
        first = run_jobs(jobs, range(3), place)
        second = run_jobs(jobs, range(3, 5), place)
        numbers = {"values": [found.values.tolist() for found in first + second]}
        return Findings(numbers=numbers, criteria=(Criterion("All.", float(len(first + second)), ">=", 5.0),))

    return Experiment(name="counted", summary="counts", source="none", presets={}, study=study)


@given(VALUES)
def test_result_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    call = KeptResults(tmp_path_factory.mktemp("kept"), "settings").next_call()
    assert call.take(0) == []
    call.put(0, value)
    (found,) = call.take(0)
    assert repr(found) == repr(value)  # unlike ==, it knows NaN


def test_arrays_and_dataclasses_come_back_as_they_were(tmp_path: Path) -> None:
    call = KeptResults(tmp_path, "settings").next_call()
    given_ = [Jobs()(7), np.float32(0.1), np.arange(0), torch.tensor(True), np.array(2.5)]
    call.put(3, given_)
    ((measured, scalar, empty, truth, point),) = call.take(3)
    assert type(measured) is Measured
    assert measured.number == 7
    assert measured.parts == (Path("x"), float("inf"))
    torch.testing.assert_close(measured.values, given_[0].values, rtol=0, atol=0)
    np.testing.assert_array_equal(measured.table, given_[0].table)
    assert type(scalar) is np.float32
    assert scalar == np.float32(0.1)
    assert empty.shape == (0,)
    assert truth.dtype == torch.bool
    assert point.shape == ()


def test_interrupted_run_goes_on_after_its_finished_jobs(tmp_path: Path) -> None:
    config, place, out = Config(), Place(cache=tmp_path), tmp_path / "out"
    whole = run(experiment_of(Jobs()), config, place, out=tmp_path / "whole")
    stopped = Jobs(stop_at=4)
    with pytest.raises(KeyboardInterrupt):
        run(experiment_of(stopped), config, place, out=out)
    assert stopped.calls == 4
    jobs = Jobs()
    result = run(experiment_of(jobs), config, place, out=out)
    assert jobs.calls == 1
    assert result.numbers == whole.numbers
    assert not (out / "jobs").exists()


def test_other_settings_begin_anew(tmp_path: Path) -> None:
    place, out = Place(cache=tmp_path), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(experiment_of(Jobs(stop_at=4)), Config(), place, out=out)
    jobs = Jobs()
    run(experiment_of(jobs), dataclasses.replace(Config(), seeds=(5,)), place, out=out)
    assert jobs.calls == 5


def test_damaged_result_is_found_again(tmp_path: Path) -> None:
    place, out = Place(cache=tmp_path), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(experiment_of(Jobs(stop_at=4)), Config(), place, out=out)
    first, second, third, _ = sorted((out / "jobs").glob("*.npz"))
    first.write_bytes(first.read_bytes()[:-20])
    second.write_bytes(b"")
    content = bytearray(third.read_bytes())
    content[len(content) // 3] ^= 1
    third.write_bytes(content)
    jobs = Jobs()
    run(experiment_of(jobs), Config(), place, out=out)
    assert jobs.calls == 4


def test_models_are_not_kept(tmp_path: Path) -> None:
    call = KeptResults(tmp_path / "jobs", "settings").next_call()
    call.put(0, {"model": nn.Linear(1, 1)})
    assert call.take(0) == []
    assert not (tmp_path / "jobs").exists()


def test_file_does_not_decide_what_is_made(tmp_path: Path) -> None:
    call = KeptResults(tmp_path, "settings").next_call()
    call.put(0, Jobs()(1))
    file = next(tmp_path.glob("*.npz"))
    for module, name in (("subprocess", "Popen"), ("no.such.module", "Measured"), (__name__, "Missing")):
        np.savez(file, np.array(f'["object", "{module}", "{name}", {{"args": "true"}}]'))
        assert call.take(0) == []
