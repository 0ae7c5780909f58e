"""The demo at a size that takes seconds."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
import torch
from matplotlib.image import imread

from latentgeo.experiments import Result, UnusableData, demo
from latentgeo.training.rbf_vae import RBFVAEConfig

TINY = demo.DemoConfig(
    per_class=60,
    training=RBFVAEConfig(epochs=40, batch_size=30, num_centers=12, a=4.0),
    resolution=24,
    num_pairs=3,
    num_clustered=9,
)
FIGURES = ["metric-map.png", "geodesics.png", "strips.png", "clusters-geodesic.png", "clusters-euclidean.png"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Result, dict]:
    out = tmp_path_factory.mktemp("demo") / "new" / "folder"
    result = demo.run(TINY, out=out)
    return result, out


def test_everything_is_written(ran):
    result, out = ran
    assert sorted(path.name for path in out.iterdir()) == sorted([*FIGURES, "index.html", "metrics.json"])
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
    assert set(written["seconds"]) == {"training", "geodesics", "pictures", "clusters"}
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
    again = demo.run(TINY, out=tmp_path)
    assert again.numbers == result.numbers
    assert again.criteria == result.criteria
    assert torch.equal(torch.random.get_rng_state(), before)


def test_results_of_an_earlier_run_do_not_stay_beside_an_interrupted_one(ran, tmp_path, monkeypatch):
    (tmp_path / "metrics.json").write_text("old")
    (tmp_path / "index.html").write_text("old")
    (tmp_path / "mine.txt").write_text("old")

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "train_rbf_vae", interrupt)
    with pytest.raises(KeyboardInterrupt):
        demo.run(TINY, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_too_few_images_are_reported_before_anything_is_written(tmp_path):
    with pytest.raises(UnusableData, match="at least 500 images of 0"):
        demo.run(dataclasses.replace(TINY, per_class=500), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": "cats"}, "data: expected 'digits' or 'mnist'"),
        ({"classes": (1,)}, "classes: expected 2 to 7 different digits"),
        ({"classes": (1, 1)}, "classes: expected 2 to 7"),
        ({"classes": (1, 12)}, "classes: expected 2 to 7"),
        ({"seed": -1}, "seed: expected an integer from 0"),
        ({"device": "nowhere"}, "device: 'nowhere' is not to be had"),
        ({"num_pairs": 2}, "num_pairs: expected at least 3"),
    ],
)
def test_settings_out_of_range_are_refused(change, sentence, unchecked):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(TINY, **change)
