"""What the command shows: a model that comes with the package or lies in a checkpoint, and encoded images."""

from __future__ import annotations

import dataclasses
import json
from os import PathLike
from pathlib import Path
from typing import Literal

import torch
from torch.distributions import Distribution

from latentgeo.data import LabelledImages, load_digits, load_mnist
from latentgeo.experiments.trained import Recipe, build
from latentgeo.explorer.scene import Scene, scene_of
from latentgeo.metrics import Metric, expected_pullback_metric, fisher_pullback_metric, pullback_metric
from latentgeo.models import VAE, Autoencoder
from latentgeo.training.checkpoints import Checkpoint
from latentgeo.training.rbf_vae import rbf_vae
from latentgeo.training.reference_models import reference_model

Data = Literal["digits", "mnist"]
_CLASSES = (0, 1, 2)  # of the models that come with the package, and of all with an RBF precision
_ALL = tuple(range(10))
_PER_CLASS = 1000
_BATCH = 500
_EVENTS: dict[Data, tuple[int, int, int]] = {"digits": (1, 8, 8), "mnist": (1, 28, 28)}
_RECIPE = "recipe.json"  # that experiments put beside a checkpoint
_NOT_SEEN = {"objective", "begun_with"}  # of a recipe, in the model it makes


def shipped_scene(data: Data, data_dir: str | PathLike[str] | None = None) -> Scene:
    """The model of :func:`latentgeo.training.reference_model`, and the images of the digits 0, 1, 2.

    Args:
        data: which.
        data_dir: of MNIST; see :func:`latentgeo.data.load_mnist`.

    Raises:
        FileNotFoundError: MNIST is neither there nor to be downloaded.

    Example:
        >>> list(shipped_scene("digits").metrics)
        ['expected pull-back', 'Fisher', 'Euclidean']
    """
    return _scene(reference_model(data), _images(data, data_dir, _CLASSES))


def checkpoint_scene(file: str | PathLike[str], data_dir: str | PathLike[str] | None = None) -> Scene:
    """The model in a checkpoint, and the images it was made for.

    How the model is built is read from ``recipe.json`` beside the file, as experiments leave it; without one it is
    taken for the VAE with an RBF precision of ``latentgeo demo``.

    Args:
        file: a checkpoint of experiments or of :func:`latentgeo.training.save_checkpoint`.
        data_dir: of MNIST, if the model is of its images.

    Raises:
        FileNotFoundError: there is no such file, or MNIST is not to be had.
        ValueError: the file is broken, or of a model that is not known here.
    """
    path = Path(file)
    checkpoint = Checkpoint.read(path)
    recipe = _recipe(path.with_name(_RECIPE))
    for data, event in _EVENTS.items():
        try:
            model = _untrained(recipe, checkpoint, torch.Size(event))
            checkpoint.restore(model)
        except ValueError:  # it is of images of another size
            continue
        return _scene(model.eval(), _images(data, data_dir, _CLASSES if recipe is None else _ALL))
    reason = f"no {_RECIPE} beside it" if recipe is None else f"{_RECIPE} beside it is of another"
    raise ValueError(
        f"{path} holds a model that cannot be built here ({reason}): build it in Python, and call "
        "latentgeo.explore(metric, latents, decode)"
    )


def _scene(model: VAE | Autoencoder, data: LabelledImages) -> Scene:
    with torch.no_grad():
        parts = [model.encode(part) for part in data.images.split(_BATCH)]
    latents = torch.cat([part.mean if isinstance(part, Distribution) else part for part in parts])
    if isinstance(model, Autoencoder):
        metric: Metric = pullback_metric(model.decode)
    elif model.likelihood == "gaussian":
        metric = expected_pullback_metric(model.decode)
    else:
        metric = fisher_pullback_metric(model.decode)
    shape = tuple(data.images.shape[1:])
    return scene_of(metric, latents, model.decode, data.labels, image_shape=shape)


def _images(data: Data, data_dir: str | PathLike[str] | None, classes: tuple[int, ...]) -> LabelledImages:
    if data == "digits":
        return load_digits().of_classes(classes)
    return load_mnist("train", data_dir=data_dir).of_classes(classes, per_class=_PER_CLASS)


def _recipe(file: Path) -> Recipe | None:
    """How the model of a checkpoint is built; None where nobody says."""
    if not file.is_file():
        return None
    known = {field.name for field in dataclasses.fields(Recipe)} - _NOT_SEEN
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        settings = {name: value for name, value in held.items() if name in known}
        return Recipe(**{**settings, "hidden": tuple(settings["hidden"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is no recipe of a model: {error}") from error


def _untrained(recipe: Recipe | None, checkpoint: Checkpoint, event: torch.Size) -> VAE | Autoencoder:
    """A model into which the checkpoint may fit, where the images are of that size."""
    if recipe is not None:
        return build(recipe, event)
    centers = checkpoint.tensors.get("model.variance.centers")
    return rbf_vae(event.numel(), None if centers is None else len(centers))
