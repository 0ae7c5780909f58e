"""The examples run, at tiny size, and stay short."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short_and_use_public_names(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 80
    assert "latentgeo._" not in source
    assert "from latentgeo" in source


def test_a_decoder_of_ones_own(tmp_path, capsys):
    load("bring_your_own_decoder").main(epochs=20, out=tmp_path / "p.png")
    assert "5 curves, 32 segments, d=2: 5 CONVERGED" in capsys.readouterr().out
    assert (tmp_path / "p.png").stat().st_size > 10_000


@pytest.mark.filterwarnings("ignore")  # of pythae and what it imports
def test_a_decoder_of_pythae(capsys):
    pytest.importorskip("pythae.pipelines")
    load("pythae_decoder").main(epochs=2)
    assert "GeodesicResult(8 curves" in capsys.readouterr().out


def test_the_example_of_pythae_says_what_to_install(monkeypatch):
    for name in ("pythae", "pythae.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit, match="pip install pythae"):
        load("pythae_decoder")


def test_five_ways_between_two_images(tmp_path, capsys):
    load("fisher_rao_interpolation").main(epochs=2, out=tmp_path / "p.png")
    assert "Fisher-Rao distance of the two posteriors" in capsys.readouterr().out
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_three_metrics_of_one_decoder(tmp_path, capsys):
    load("three_metrics").main(out=tmp_path / "p.png")
    assert capsys.readouterr().out.count("6 curves") == 3
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_natural_gradients_do_not_depend_on_units(tmp_path, capsys):
    load("natural_gradient_posterior").main(steps=40, out=tmp_path / "p.png")
    lines = capsys.readouterr().out.splitlines()
    everyday, si, *adam = (float(line.split()[-1]) for line in lines[:4])
    assert everyday == si < 0.05 < min(adam)
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_latent_codes_on_the_manifold(tmp_path, capsys):
    load("latent_code_on_the_manifold").main(epochs=20, steps=60, out=tmp_path / "p.png")
    lines = capsys.readouterr().out.splitlines()
    steps = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    assert steps["RiemannianSGD"] < min(30, steps["Adam"], steps["SGD"])
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_three_bounds_of_one_model(tmp_path, capsys):
    load("compare_bounds").main(epochs=2, latents=10, out=tmp_path / "p.png")
    assert capsys.readouterr().out.count("of 10 latents active") == 3
    assert (tmp_path / "p.png").stat().st_size > 10_000
