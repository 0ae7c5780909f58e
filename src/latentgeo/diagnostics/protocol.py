"""What is asked of a model: two methods that answer distributions, and perhaps a prior."""

import math
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.distributions import Distribution

# Layers whose output is random, or by which rows influence each other, while training.
_UNFIT_IN_TRAINING = ("BatchNorm", "Dropout", "RReLU")


@runtime_checkable
class LatentModel(Protocol):
    """Anything with `encode` and `decode`: `latentgeo.models.VAE`, or a few lines around another model.

    A method `prior(z) -> Distribution` is optional; without one the prior is N(0, I). Distributions
    may be wrapped in `Independent` or not: their factors after the batch dimension are multiplied.

    Examples:
        A module that answers tensors, as most do, is adapted without a class:

        >>> import torch
        >>> from types import SimpleNamespace
        >>> from torch.distributions import Bernoulli, Normal
        >>> encoder, decoder = torch.nn.Linear(64, 4), torch.nn.Linear(2, 64)
        >>> def encode(x):
        ...     mean, log_variance = encoder(x).chunk(2, dim=-1)
        ...     return Normal(mean, (0.5 * log_variance).exp())
        >>> model = SimpleNamespace(encode=encode, decode=lambda z: Bernoulli(logits=decoder(z)))
        >>> isinstance(model, LatentModel)
        True
    """

    def encode(self, x: Tensor, /) -> Any:
        """The posterior q(z | x) of data (N, *event), a `Distribution` with batch dimension N first."""
        ...

    def decode(self, z: Tensor, /) -> Any:
        """The likelihood p(x | z) of latents (N, d), a `Distribution` with batch dimension N first."""
        ...


def check_model(model: object) -> None:
    """Refuse what cannot encode and decode, and what does so at random because it is in training mode."""
    if not isinstance(model, LatentModel):
        raise TypeError(f"model: expected methods encode(x) and decode(z), got {type(model).__name__}")
    for part in (model, model.encode, model.decode):
        refuse_training("model", part)


def refuse_training(name: str, part: object) -> None:
    """Refuse a module, or the method of one, with a layer that is only meaningful in eval mode and is training."""
    module = part if isinstance(part, nn.Module) else getattr(part, "__self__", None)
    for layer in module.modules() if isinstance(module, nn.Module) else ():
        kind = type(layer).__name__
        if layer.training and any(word in kind for word in _UNFIT_IN_TRAINING):
            raise ValueError(f"{name}: expected eval mode, got a {kind} in training mode; call .eval() first")


def posterior_of(model: LatentModel, x: Tensor) -> Distribution:
    """q(z | x), or an error that says what `encode` answered."""
    return checked_posterior(model.encode(x), x)


def checked_posterior(posterior: object, x: Tensor) -> Distribution:
    """What `encode(x)` answered, or an error that says so."""
    if not isinstance(posterior, Distribution):
        raise TypeError(
            f"model: expected encode(x) to answer a Distribution, got {type(posterior).__name__}; "
            "see latentgeo.diagnostics.LatentModel for how to adapt a model"
        )
    shape = posterior.batch_shape + posterior.event_shape
    if shape[:1] != x.shape[:1] or len(shape) < 2:
        raise ValueError(
            f"model: expected encode(x) to answer a distribution over ({len(x)}, d), one row for each datum, "
            f"got one over {tuple(shape)}"
        )
    return posterior


def log_prior(model: LatentModel, z: Tensor) -> Tensor:
    """The log-density p(z) (S, N) of latents (S, N, *latent)."""
    prior = getattr(model, "prior", None)
    if prior is None:
        return -0.5 * (z.square() + math.log(2 * math.pi)).flatten(2).sum(-1)
    if not isinstance(prior, Distribution):
        prior = prior(z)
    return joint_log_prob(prior, z)


def joint_log_prob(distribution: Distribution, z: Tensor) -> Tensor:
    """Log-densities (S, N) of z (S, N, *latent), where the factors of a distribution may be batched or its event."""
    return distribution.log_prob(z).reshape(*z.shape[:2], -1).sum(-1)
