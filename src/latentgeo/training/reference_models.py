"""Trained models that come with the package, and the command that made them.

python -m latentgeo.training.reference_models [--data-dir DIR] [NAME ...]
"""

import argparse
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from latentgeo.data import LabelledImages, load_digits, load_mnist
from latentgeo.models import VAE
from latentgeo.training.checkpoints import load_checkpoint, save_checkpoint
from latentgeo.training.generators import borrowed_generators
from latentgeo.training.rbf_vae import RBFVAEConfig, rbf_vae, train_rbf_vae

_FOLDER = Path(__file__).parent / "references"
_CLASSES = (0, 1, 2)
_SEED = 0


@dataclass(frozen=True)
class _Reference:
    """Where the images of a model are from, how many values they have, and how it was trained."""

    features: int
    training: RBFVAEConfig


_REFERENCES = {
    "digits": _Reference(64, RBFVAEConfig(epochs=200, batch_size=50)),
    "mnist": _Reference(784, RBFVAEConfig(epochs=60, batch_size=100, learning_rate=3e-3)),
}


def reference_model(name: str) -> VAE:
    """A trained VAE of the digits 0, 1, 2 with two latents and an RBF precision, in eval mode.

    The model of Arvanitidis et al.: tanh networks 64-32 and 32-64, means through a sigmoid, 64 radial basis
    functions. It takes and gives images as rows of grey levels in [0, 1].

    Args:
        name: `"digits"`, trained on the 8 x 8 digits that come with scikit-learn, or `"mnist"`, on the first
            1000 images of each class.

    Raises:
        ValueError: there is no model of that name.

    References:
        Arvanitidis, Hansen, Hauberg 2018, arXiv 1710.11379.

    Examples:
        >>> import torch
        >>> vae = reference_model("digits")
        >>> vae.decode(torch.zeros(5, 2)).mean.shape
        torch.Size([5, 64])
    """
    reference = _reference(name)
    with borrowed_generators(torch.device("cpu")):  # for initial weights that the file replaces
        vae = rbf_vae(reference.features, reference.training.num_centers)
    load_checkpoint(_FOLDER / f"{name}.safetensors", vae)
    return vae.eval()


def train_reference(name: str, *, data_dir: str | PathLike[str] | None = None) -> VAE:
    """Trains the model of that name anew; on one machine and version of torch, to the same weights.

    Args:
        name: as for :func:`reference_model`.
        data_dir: of MNIST; see :func:`latentgeo.data.load_mnist`.

    Returns:
        The model, in eval mode.

    Raises:
        FileNotFoundError: MNIST is wanted, and not there.
        ValueError: there is no such model, or a file of MNIST is corrupt.

    References:
        Arvanitidis, Hansen, Hauberg 2018, arXiv 1710.11379.

    Examples:
        It takes all the epochs of the training:

        >>> vae = train_reference("digits")  # doctest: +SKIP
    """
    training = _reference(name).training
    return train_rbf_vae(_images(name, data_dir), training, seed=_SEED, device=torch.device("cpu"))[0]


def _reference(name: str) -> _Reference:
    if name not in _REFERENCES:
        raise ValueError(f"name: expected one of {', '.join(map(repr, _REFERENCES))}, got {name!r}")
    return _REFERENCES[name]


def _images(name: str, data_dir: str | PathLike[str] | None) -> Tensor:
    data: LabelledImages = load_digits() if name == "digits" else load_mnist("train", data_dir=data_dir)
    return data.of_classes(_CLASSES, per_class=None if name == "digits" else 1000).images.flatten(1)


def main() -> None:
    """Trains models and puts them into the package."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(_REFERENCES))
    parser.add_argument("--data-dir", help="where the files of MNIST are")
    args = parser.parse_args()
    for name in args.names:
        save_checkpoint(_FOLDER / f"{name}.safetensors", train_reference(name, data_dir=args.data_dir))


if __name__ == "__main__":
    main()
