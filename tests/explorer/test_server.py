"""The server and the command: ports, what is missing, and what cannot be shown."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import threading
import types
import urllib.request

import numpy as np
import pytest
import torch

import latentgeo
from latentgeo import cli
from latentgeo.explorer import server
from latentgeo.explorer.server import Explorer
from latentgeo.explorer.trained import checkpoint_scene
from latentgeo.models import Autoencoder, MLPDecoder, MLPEncoder
from latentgeo.training import reference_model, save_checkpoint


@pytest.fixture
def busy_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def shown(**options):
    return latentgeo.explore(
        latentgeo.EuclideanMetric(2),
        np.random.RandomState(0).rand(9, 2),
        torch.sin,
        browser=False,
        wait=False,
        **options,
    )


def test_page_is_served_on_this_machine_and_stops():
    with shown(port=0) as explorer:
        assert explorer.url == f"http://127.0.0.1:{explorer.port}/"
        with urllib.request.urlopen(explorer.url, timeout=30) as answer:
            page = answer.read().decode()
        assert "9 latents of dimension 2" in page
        assert "https://" not in page.split('<script type="application/json"')[0]
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(explorer.url, timeout=5)


def test_port_in_use_gives_the_next_free_one_and_says_so(busy_port):
    with pytest.warns(UserWarning, match=f"port {busy_port} is in use: the page is http://127.0.0.1:"):
        explorer = shown(port=busy_port)
    with explorer:
        assert busy_port < explorer.port <= busy_port + 50


def test_stopped_page_computes_no_more(digits_scene):
    with Explorer(digits_scene, 0) as explorer:
        urllib.request.urlopen(explorer.url, timeout=30).close()  # a browser comes, and its map is begun
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("latentgeo ")]


@pytest.mark.filterwarnings("error::UserWarning")
def test_no_server_is_left_where_the_warning_is_an_error(busy_port):
    with pytest.raises(UserWarning, match=f"port {busy_port} is in use"):
        shown(port=busy_port)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("latentgeo ")]


def test_command_says_where_the_page_is_and_ends_with_ctrl_c(busy_port, capsys, monkeypatch):
    def interrupted(explorer):
        raise KeyboardInterrupt

    monkeypatch.setattr(server.Explorer, "wait", interrupted)
    assert cli.main(["explore", "--port", str(busy_port), "--no-browser"]) == 0
    printed = capsys.readouterr().out
    assert "page: http://127.0.0.1:" in printed
    assert f"port {busy_port} is in use" in printed


def test_notebook_shows_the_page_below_the_cell_and_goes_on(monkeypatch):
    class ZMQInteractiveShell:
        """What the shell of a notebook's kernel is called."""

    frames = []
    display = types.SimpleNamespace(IFrame=lambda url, **size: url, display=frames.append)
    shell = types.SimpleNamespace(get_ipython=ZMQInteractiveShell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    with latentgeo.explore(latentgeo.EuclideanMetric(2), torch.rand(9, 2), torch.sin, port=0) as explorer:
        assert frames == [explorer.url]


def test_without_bokeh_it_says_what_to_install(capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bokeh" else found(name))
    with pytest.raises(ImportError, match=r"pip install 'latentgeo\[explore\]'"):
        shown()
    assert cli.main(["explore"]) == 2
    assert "pip install 'latentgeo[explore]'" in capsys.readouterr().err


def test_importing_the_library_imports_no_bokeh():
    code = "import latentgeo, sys; latentgeo.explore; sys.exit('bokeh' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "70000"], "--port: expected a number from 0 to 65535"),
        (["--port", "x"], "invalid int value"),
        (["--data", "cats"], "invalid choice: 'cats'"),
        (["--checkpoint", "a", "--data", "digits"], "not allowed with"),
        (["--checkpoint", "nowhere.safetensors"], "found no file at nowhere.safetensors"),
    ],
)
def test_bad_arguments_end_with_two_and_a_sentence(capsys, arguments, sentence):
    assert cli.main(["explore", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_broken_checkpoint_ends_with_two_and_a_sentence(tmp_path, capsys):
    file = tmp_path / "model.safetensors"
    save_checkpoint(file, reference_model("digits"))
    content = file.read_bytes()
    for broken in (b"", b"junk", content[: len(content) // 2], content[:-1] + bytes([content[-1] ^ 1])):
        file.write_bytes(broken)
        assert cli.main(["explore", "--checkpoint", str(file)]) == 2
        assert str(file) in capsys.readouterr().err


def test_checkpoint_of_the_demo_is_shown(tmp_path):
    save_checkpoint(tmp_path / "rbf.safetensors", reference_model("digits"))
    scene = checkpoint_scene(tmp_path / "rbf.safetensors")
    assert list(scene.metrics) == ["expected pull-back", "Fisher", "Euclidean"]
    assert scene.classes == ("0", "1", "2")
    assert scene.image_shape == (1, 8, 8)


def test_checkpoint_of_an_experiment_is_built_by_its_recipe(tmp_path):
    model = Autoencoder(MLPEncoder(64, 3, hidden=(7,)), MLPDecoder(3, 64, hidden=(7,)))
    save_checkpoint(tmp_path / "checkpoint.safetensors", model)
    recipe = '{"latents": 3, "hidden": [7], "kind": "autoencoder", "epochs": 1, "objective": {"beta": 1.0}, '
    recipe += '"begun_with": {"latents": 3, "epochs": 1}}'
    (tmp_path / "recipe.json").write_text(recipe)
    scene = checkpoint_scene(tmp_path / "checkpoint.safetensors")
    assert scene.dimension == 3
    assert list(scene.metrics) == ["pull-back", "Euclidean"]
    assert len(scene.classes) == 10
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(ValueError, match=r"recipe\.json is no recipe"):
        checkpoint_scene(tmp_path / "checkpoint.safetensors")
    (tmp_path / "recipe.json").unlink()
    with pytest.raises(ValueError, match="cannot be built here"):
        checkpoint_scene(tmp_path / "checkpoint.safetensors")
