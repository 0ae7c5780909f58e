"""The demo at a size that takes seconds."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch
from matplotlib.image import imread

from latentgeo.experiments import Place, Result, run
from latentgeo.experiments.studies import demo
from latentgeo.training.rbf_vae import RBFVAEConfig

TINY = demo.DemoConfig(
    per_class=60,
    training=RBFVAEConfig(epochs=40, batch_size=30, num_centers=12, a=4.0),
    resolution=24,
    num_pairs=3,
    num_clustered=9,
)
FIGURES = ["metric-map.png", "geodesics.png", "strips.png", "clusters-geodesic.png", "clusters-euclidean.png"]


def run_tiny(folder: Path) -> Result:
    return run(demo.EXPERIMENT, TINY, Place(cache=folder / "cache"), out=folder)


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("demo") / "new" / "folder"
    return run_tiny(out), out


def test_everything_is_drawn(ran):
    result, out = ran
    assert [figure.file for figure in result.figures] == FIGURES
    for file in FIGURES:
        pixels = imread(out / file)
        assert min(pixels.shape[:2]) > 300
        assert pixels[..., :3].std() > 0.05  # not blank


def test_metrics_say_what_was_measured_how_and_on_what(ran):
    result, out = ran
    written = json.loads((out / "metrics.json").read_text())
    assert written["seeds"] == [0]
    assert written["settings"]["training"]["epochs"] == 40
    assert written["status"] == ("passed" if result.passed else "failed")
    assert {"torch", "python", "cores", "device"} <= set(written["environment"])
    assert set(written["seconds"]) == {"training", "geodesics", "pictures", "clusters", "other"}
    for criterion in written["criteria"]:
        assert set(criterion) == {"claim", "documented", "measured", "relation", "bound", "passed"}
    for kind in ("geodesic", "Euclidean"):
        scores = written["numbers"]["k-means"][kind]
        assert set(scores) == {"f_measure", "purity", "adjusted_rand"}
        assert 1 / 3 < scores["f_measure"] <= 1


def test_page_asks_nothing_of_any_host(ran):
    _, out = ran
    text = (out / "index.html").read_text()
    assert "http://" not in text
    assert "https://" not in text
    assert text.count("data:image/png;base64,") == len(FIGURES)
    assert len(re.findall(r'alt="[^"]{40,}"', text)) == len(FIGURES)


def test_same_seed_same_numbers(ran, tmp_path):
    result, _ = ran
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    again = run_tiny(tmp_path)
    assert again.numbers == result.numbers
    assert again.criteria == result.criteria
    assert torch.equal(torch.random.get_rng_state(), before)


def test_results_of_an_earlier_run_do_not_stay_beside_an_interrupted_one(tmp_path, monkeypatch):
    for name in ("metrics.json", "index.html", "mine.txt"):
        (tmp_path / name).write_text("old")

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "train_stochastic", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_tiny(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "mine.txt"]


def test_too_few_images_are_a_result_that_was_skipped(tmp_path):
    config = dataclasses.replace(TINY, per_class=500)
    result = run(demo.EXPERIMENT, config, Place(cache=tmp_path / "cache"), out=tmp_path / "out")
    assert result.status == "skipped"
    assert "at least 500 images of 0" in result.skipped


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"classes": (1,)}, "classes: expected 2 to 7 different digits"),
        ({"classes": (1, 1)}, "classes: expected 2 to 7"),
        ({"classes": (1, 12)}, "classes: expected 2 to 7"),
        ({"seeds": (0, 1)}, "seeds: expected one"),
        ({"num_pairs": 2}, "num_pairs: expected at least 3"),
    ],
)
def test_settings_out_of_range_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(TINY, **change)
