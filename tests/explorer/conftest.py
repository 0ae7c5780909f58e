"""The model that comes with the package, as the explorer shows it."""

from __future__ import annotations

import pytest
import torch

from latentgeo import expected_pullback_metric
from latentgeo.data import load_digits
from latentgeo.explorer.scene import scene_of
from latentgeo.training import reference_model


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
