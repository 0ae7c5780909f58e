"""Models that experiments share: each trained once, and kept under the hash of its recipe."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentgeo.experiments.experiment import Place
from latentgeo.experiments.result import plain
from latentgeo.models import (
    VAE,
    Autoencoder,
    ConvDecoder,
    ConvEncoder,
    LeNet5Decoder,
    LeNet5Encoder,
    MLPDecoder,
    MLPEncoder,
    NetworkStd,
    ResNet18Decoder,
    ResNet18Encoder,
)
from latentgeo.training import (
    ELBO,
    BurdaSchedule,
    CosineSchedule,
    History,
    ReconstructionLoss,
    fit,
    load_checkpoint,
    save_checkpoint,
)
from latentgeo.training.evaluation import Objective
from latentgeo.training.generators import borrowed_generators, seeded_generators
from latentgeo.training.loop import Callback, Schedule
from latentgeo.training.rbf_vae import HIDDEN, RBFVAEConfig, rbf_vae, train_rbf_vae

_CHECKPOINT = "checkpoint.safetensors"  # of fit
_ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh, "softplus": nn.Softplus, "silu": nn.SiLU}


@dataclass(frozen=True, kw_only=True, repr=False)
class Recipe:
    """A model and how it is trained; two of equal settings are the same model.

    Its repr, by which models are kept, names the settings that are not the default ones: a new setting leaves them
    where they are, and a default is never changed.

    Attributes:
        latents: d.
        hidden: layers of the encoder; the decoder mirrors them. "resnet18" has its one width here.
        activation: of hidden layers; "conv" has its own.
        network: "mlp", or "conv" for :class:`ConvEncoder` and :class:`ConvDecoder`, "lenet5" and "resnet18" alike.
        kind: "vae", or "autoencoder", trained on its reconstructions alone.
        likelihood: of the decoder's output; an autoencoder is trained on it too.
        posterior: of a VAE.
        objective: a frozen dataclass such as ``ELBO()``; of a VAE.
        epochs: passes over the data.
        batch_size: rows a step.
        learning_rate: of Adam.
        weight_decay: of Adam.
        burda_schedule: the falling rates of Burda et al. in place of ``learning_rate``.
        annealed_over: epochs over which the rate falls from ``learning_rate`` to zero by half a cosine; 0 keeps it.
        binarize: draws grey levels as black and white anew in each epoch.
        begun_with: another recipe, whose trained weights this training begins with; what its model has beside them,
            as the couplings of a posterior, begins as ever. None for initial weights.
        bfloat16: trains with linear maps and convolutions in that precision.
        seed: of the initial weights, the shuffling and the sampling.
    """

    latents: int
    hidden: tuple[int, ...] = (200, 200)
    activation: Literal["relu", "elu", "tanh", "softplus", "silu"] = "relu"
    network: Literal["mlp", "conv", "lenet5", "resnet18"] = "mlp"
    kind: Literal["vae", "autoencoder"] = "vae"
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    posterior: Literal["diagonal", "chain", "grid"] = "diagonal"
    objective: Objective = ELBO()  # noqa: RUF009 - frozen
    epochs: int
    batch_size: int = 100
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    burda_schedule: bool = False
    annealed_over: int = 0
    begun_with: Recipe | None = None
    binarize: bool = False
    bfloat16: bool = False
    seed: int = 0

    def __repr__(self) -> str:
        return _unusual(self)


@dataclass(frozen=True)
class Trained:
    """A model in eval mode, and its epochs."""

    model: nn.Module
    history: History


def build(recipe: Recipe, event: torch.Size) -> VAE | Autoencoder:
    """The untrained model of a recipe for images (channels, height, width), which an MLP takes as rows."""
    activation = _ACTIVATIONS[recipe.activation]
    shape, d, posterior = tuple(event), recipe.latents, recipe.posterior
    with seeded_generators(torch.device("cpu"), recipe.seed):
        if recipe.network == "conv":
            encoder: nn.Module = ConvEncoder(shape, d, posterior=posterior)
            decoder: nn.Module = ConvDecoder(d, shape)
        elif recipe.network == "lenet5":
            encoder = LeNet5Encoder(shape, d, activation=activation, posterior=posterior)
            decoder = LeNet5Decoder(d, shape, activation=activation)
        elif recipe.network == "resnet18":
            (width,) = recipe.hidden
            encoder = ResNet18Encoder(shape, d, width=width, activation=activation, posterior=posterior)
            decoder = ResNet18Decoder(d, shape, width=width, activation=activation)
        else:
            size = event.numel()
            encoder = MLPEncoder(size, d, hidden=recipe.hidden, activation=activation, posterior=posterior)
            decoder = MLPDecoder(d, size, hidden=recipe.hidden[::-1], activation=activation)
        if recipe.kind == "autoencoder":
            return Autoencoder(encoder, decoder)
        return VAE(encoder, decoder, likelihood=recipe.likelihood)


def train(
    recipe: Recipe,
    images: Tensor,
    place: Place,
    *,
    validation: Tensor | None = None,
    callback: Callback | None = None,
) -> Trained:
    """The model of a recipe, trained on images, or taken from the cache where it is there already.

    An interrupted training goes on from its last complete epoch.

    Args:
        recipe: the model.
        images: (N, channels, height, width); an MLP is trained on their rows of pixels.
        place: where the cache is, and the device.
        validation: held-out images, for the history; does not change the model.
        callback: of :func:`latentgeo.training.fit`. With one training begins anew, so that it sees every step; the
            model is kept all the same.

    Returns:
        The model in eval mode, on the device, and its history.
    """
    model = build(recipe, images.shape[1:]).to(place.device)
    if recipe.begun_with is not None:
        _take_weights(model, train(recipe.begun_with, images, place).model)
    data = _taken(recipe, images)
    if validation is not None:
        validation = _taken(recipe, validation)
    folder = place.cache / "models" / _key(recipe, data, validation)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plain(dataclasses.asdict(recipe)), indent=2)
    (folder / "recipe.json").write_text(text + "\n", encoding="utf-8")
    history = fit(
        model,
        data,
        objective=ReconstructionLoss(recipe.likelihood) if recipe.kind == "autoencoder" else recipe.objective,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        optimizer=torch.optim.Adam(
            model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        ),
        schedule=_schedule(recipe),
        transform=torch.bernoulli if recipe.binarize else None,
        validation=validation,
        callback=callback,
        autocast=torch.bfloat16 if recipe.bfloat16 else None,
        seed=recipe.seed,
        checkpoint_dir=folder,
        resume=callback is None,
        progress=place.progress,
    )
    return Trained(model, history)


def train_along(recipe: Recipe, epochs: Sequence[int], images: Tensor, place: Place) -> list[Trained]:
    """A model after each of some numbers of epochs, in one training.

    Each is the one that :func:`train` gives for the recipe with so many epochs, and is kept as such.

    Args:
        recipe: the model; its own number of epochs does not matter.
        epochs: rising numbers.
        images: (N, channels, height, width).
        place: where the cache is, and the device.
    """
    stages: list[Trained] = []
    before: Path | None = None
    data = _taken(recipe, images)
    for count in epochs:
        stage = dataclasses.replace(recipe, epochs=count)
        folder = place.cache / "models" / _key(stage, data, None)
        if before is not None and not (folder / _CHECKPOINT).exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(before / _CHECKPOINT, folder / ".copied")
            (folder / ".copied").replace(folder / _CHECKPOINT)
        stages.append(train(stage, images, place))
        before = folder
    return stages


def train_stochastic(
    config: RBFVAEConfig, images: Float[Tensor, "n c h w"], place: Place, *, seed: int
) -> VAE:
    """The Oddity's VAE of two latents with an RBF precision, trained or taken from the cache.

    Args:
        config: how :func:`latentgeo.training.rbf_vae.train_rbf_vae` trains it.
        images: (N, channels, height, width) in [0, 1].
        place: where the cache is, and the device.
        seed: of all that is drawn.

    Returns:
        The model in eval mode, on the device.
    """
    rows, device = images.flatten(1), torch.device(place.device)
    file = place.cache / "models" / _key(f"{_unusual(config)} seed {seed}", rows, None) / "rbf.safetensors"
    if file.exists():
        with borrowed_generators(torch.device("cpu")):  # for initial weights that the file replaces
            model = rbf_vae(rows.shape[1], config.num_centers)
        load_checkpoint(file, model)
        return model.to(device).eval()
    model, _ = train_rbf_vae(rows, config, seed=seed, device=device)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(file, model)
    return model


def train_network_std(
    config: RBFVAEConfig, images: Float[Tensor, "n c h w"], place: Place, *, seed: int, min_std: float
) -> VAE:
    """The model of :func:`train_stochastic` with a network for σ in place of the RBF precision.

    The network mirrors that of the mean. It too is fitted to the frozen mean, for as many epochs as that.

    Args:
        config: see :func:`train_stochastic`; its centres and their widths do not matter.
        images: (N, channels, height, width) in [0, 1].
        place: where the cache is, and the device.
        seed: of all that is drawn.
        min_std: the floor under σ, in grey levels.

    Returns:
        The model in eval mode, on the device.
    """
    model, rows = train_stochastic(config, images, place, seed=seed), images.flatten(1)
    with seeded_generators(torch.device("cpu"), seed):
        variance = NetworkStd(2, rows.shape[1], hidden=HIDDEN[::-1], activation=nn.Tanh, min_std=min_std)
    model.variance = variance.to(place.device)
    model.encoder.requires_grad_(False)
    model.decoder.requires_grad_(False)
    folder = (
        place.cache / "models" / _key(f"{_unusual(config)} seed {seed} network above {min_std}", rows, None)
    )
    fit(
        model,
        rows,
        epochs=config.epochs,
        batch_size=config.batch_size,
        optimizer=torch.optim.Adam(variance.parameters(), lr=config.learning_rate, fused=True),
        seed=seed,
        checkpoint_dir=folder,
        resume=True,
        progress=place.progress,
    )
    model.encoder.requires_grad_(True)
    model.decoder.requires_grad_(True)
    return model


def _take_weights(model: nn.Module, smaller: nn.Module) -> None:
    """The weights of a model whose layers may have fewer outputs, which come first."""
    weights = model.state_dict()
    for name, values in smaller.state_dict().items():
        (weights[name][: len(values)] if values.ndim else weights[name]).copy_(values)


def _schedule(recipe: Recipe) -> Schedule | None:
    """The learning rates of the epochs, where they are not one for all."""
    if recipe.burda_schedule:
        return BurdaSchedule()
    if recipe.annealed_over:
        return CosineSchedule(epochs=recipe.annealed_over, first=recipe.learning_rate)
    return None


def _taken(recipe: Recipe, images: Tensor) -> Tensor:
    """Images as the network takes them: a perceptron wants rows of pixels."""
    return images.flatten(1) if recipe.network == "mlp" else images


def _unusual(settings: Recipe | RBFVAEConfig) -> str:
    """Settings by those that are not the default ones: a new one leaves models where they are kept."""
    values = [
        (field.name, getattr(settings, field.name), field.default) for field in dataclasses.fields(settings)
    ]
    named = ", ".join(f"{name}={value!r}" for name, value, usual in values if value != usual)
    return f"{type(settings).__name__}({named})"


def _key(recipe: object, data: Tensor, validation: Tensor | None) -> str:
    """Of the settings, the data, and the version of torch, whose numbers may differ from another's."""
    digest = hashlib.sha256(f"{recipe!r} torch {torch.__version__}".encode())
    for images in (data, validation):
        if images is not None:
            digest.update(repr(tuple(images.shape)).encode())
            digest.update(images.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
