import json
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure as Drawing

from latentgeo.experiments import Criterion, Figure, Result
from latentgeo.experiments.page import page


def result(**changes):
    fields = {
        "name": "trial",
        "title": "A <trial> & more",
        "settings": {"seed": 3, "data_dir": None},
        "seeds": (3,),
        "numbers": {"Lengths": {"mean": 1.5, "largest": float("nan")}},
        "criteria": (Criterion("It is large.", 2.0, ">", 1.0),),
    }
    return Result(**{**fields, **changes})


@pytest.mark.parametrize(
    ("measured", "relation", "passed"),
    [(1.0, ">=", True), (1.0, ">", False), (1.0, "<=", True), (0.9, "<", True), (float("nan"), "<", False)],
)
def test_criterion_compares_and_nan_never_passes(measured, relation, passed):
    criterion = Criterion("Something.", measured, relation, 1.0)
    assert criterion.passed is passed
    assert str(criterion).startswith("met" if passed else "NOT MET")


def test_one_unmet_criterion_fails_the_result(tmp_path):
    failed = result(criteria=(Criterion("a", 2.0, ">", 1.0), Criterion("b", 0.0, ">", 1.0)))
    assert result().passed
    assert not failed.passed
    failed.write_json(tmp_path / "m.json")
    written = json.loads((tmp_path / "m.json").read_text())
    assert written["status"] == "failed"
    assert [c["passed"] for c in written["criteria"]] == [True, False]


def test_json_has_no_nan(tmp_path):
    result().write_json(tmp_path / "m.json")
    assert json.loads((tmp_path / "m.json").read_text())["numbers"]["Lengths"] == {
        "mean": 1.5,
        "largest": None,
    }


class _Reader(HTMLParser):
    VOID = ("meta", "img", "link", "br")

    def __init__(self):
        super().__init__()
        self.open, self.images, self.addresses = [], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "srcset", "action")]
        if tag == "img":
            self.images.append(given)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_complete_in_itself(tmp_path):
    drawing = Drawing(figsize=(2, 1))
    drawing.subplots()
    drawing.savefig(tmp_path / "a.png", dpi=100)
    figure = Figure("a.png", "Title", "Caption", 'An "empty" plot')
    text = page(result(figures=(figure,), remarks=("Beware.",)), tmp_path, introduction="First & last.")
    reader = _Reader()
    reader.feed(text)
    assert reader.open == []
    assert [image["alt"] for image in reader.images] == ['An "empty" plot']
    assert (reader.images[0]["width"], reader.images[0]["height"]) == ("200", "100")
    assert all(address.startswith("data:image/png;base64,") for address in reader.addresses)
    assert "http" not in text
    assert "url(" not in text
    assert 'name="viewport"' in text
    assert "color-scheme: light dark" in text
    assert "A &lt;trial&gt; &amp; more" in text
    assert "Beware." in text
