"""The model that comes with the package, as the explorer shows it."""

from __future__ import annotations

import os
import shutil
import threading

import pytest
import torch

from explorer_window import DESK, Window
from latentgeo import expected_pullback_metric
from latentgeo.data import load_digits
from latentgeo.explorer.scene import scene_of
from latentgeo.explorer.server import Explorer
from latentgeo.training import reference_model

SERVER = "latentgeo explorer"  # the thread that waits for browsers


@pytest.fixture(scope="session")
def digits():
    """The demo's model, its latents and labels."""
    vae, data = reference_model("digits"), load_digits().of_classes((0, 1, 2))
    with torch.no_grad():
        latents = vae.encode(data.images.flatten(1)).mean
    return vae, latents, data.labels


@pytest.fixture(scope="session")
def digits_scene(digits):
    vae, latents, labels = digits
    return scene_of(expected_pullback_metric(vae.decode), latents, vae.decode, labels)


@pytest.fixture(scope="module", autouse=True)
def no_thread_left():
    """Whatever a page still computes would be at work in the tests after it: forward mode is not made for that."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("latentgeo ") and thread.name != SERVER:
            thread.join(60)
            assert not thread.is_alive(), thread.name


@pytest.fixture(scope="module")
def served(digits_scene):
    with Explorer(digits_scene, 0) as explorer:
        yield explorer


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="the tests of the page need playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("the tests of the page need Chromium: apt-get install chromium")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"] if root else [])


@pytest.fixture(scope="module")
def window(browser, served):
    window = Window(browser.new_page(viewport=DESK), served.url)
    yield window
    window.page.close()
