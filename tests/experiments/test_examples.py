"""The examples run, at tiny size, and stay short."""

from __future__ import annotations

import importlib.util
import re
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


def test_geodesic_balls(tmp_path, capsys):
    load("geodesic_balls").main(resolution=24, out=tmp_path / "p.png")
    assert "picture: " in capsys.readouterr().out
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_curvature_of_a_hill_is_known(tmp_path, capsys):
    load("curvature_map").main(resolution=16, out=tmp_path / "p.png")
    assert float(capsys.readouterr().out.splitlines()[0].split()[-1]) < 1e-5
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_steps_of_walks_by_the_metric_change_images_alike_everywhere(tmp_path, capsys):
    """|v|_G / s of a normal step v is Rayleigh's: its quantiles q are sqrt(-2 ln(1 - q)). Others vary more."""
    load("random_walk").main(num_steps=120, num_walks=10, out=tmp_path / "p.png")
    spread = {}
    for line in capsys.readouterr().out.splitlines()[:3]:
        kind, words = line.split(": ")
        middle, low, high, _ = (float(number) for number in re.findall(r"\d+\.\d+", words))
        spread[kind] = high / low
        if kind == "inverse-metric":
            assert (low, middle, high) == pytest.approx((0.32, 1.18, 2.45), rel=0.1)
    assert spread["euclidean"] > 1.2 * spread["inverse-metric"]
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_two_ways_to_cluster(tmp_path, capsys):
    load("clusters").main(per_class=4, out=tmp_path / "p.png")
    scores = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()[:2]]
    assert min(scores) > 0.3
    assert (tmp_path / "p.png").stat().st_size > 10_000


@pytest.mark.filterwarnings("ignore::latentgeo.ConvergenceWarning")
def test_two_kinds_of_neighbours(tmp_path, capsys):
    load("nearest_neighbours").main(known=4, asked=4, out=tmp_path / "p.png")
    assert capsys.readouterr().out.count("of 12 wrong") == 2
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_a_principal_geodesic_follows_what_no_straight_axis_does(tmp_path, capsys):
    """Places are 3 degrees off the great circle that they lie along."""
    load("principal_geodesics").main(count=40, out=tmp_path / "p.png")
    lines = capsys.readouterr().out.splitlines()
    off = {line.split(":")[0]: float(line.split()[-6]) for line in lines[:2]}
    assert off["principal geodesic"] == pytest.approx(3, rel=0.3)
    assert off["straight axis"] > 4 * off["principal geodesic"]
    assert (tmp_path / "p.png").stat().st_size > 10_000


@pytest.mark.filterwarnings("ignore::latentgeo.ConvergenceWarning")  # of a fit with few draws
def test_two_ways_to_fit_two_moons(tmp_path, capsys):
    load("locally_adaptive_normals").main(
        count=30, draws=48, max_iter=3, resolution=6, out=tmp_path / "p.png"
    )
    densities = re.findall(r"unseen points (-?\d+\.\d+)", capsys.readouterr().out)
    assert len(densities) == 2
    assert (tmp_path / "p.png").stat().st_size > 10_000
