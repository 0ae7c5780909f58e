"""What is asked of a model: two methods that answer distributions, and perhaps a prior."""

import math
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from latentgeo.eval_mode import layer_name, modules_of, unfit_layers


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
    """Refuse a callable that holds a layer which is only meaningful in eval mode and is training."""
    for layer in unfit_layers(modules_of(part)):
        if layer.training:
            raise ValueError(
                f"{name}: expected eval mode, got a {layer_name(layer)} in training mode; call .eval() first"
            )


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
    check_rows("encode(x)", posterior, len(x))
    return posterior


def check_rows(call: str, distribution: Distribution, rows: int) -> None:
    """Refuse a distribution of which the rows are no batch, as where Independent takes one dimension too many."""
    if distribution.batch_shape[:1] != (rows,):
        raise ValueError(
            f"model: expected {call} to answer a distribution whose batch shape begins with {rows}, one a row, "
            f"got batch shape {tuple(distribution.batch_shape)} and event shape {tuple(distribution.event_shape)}"
        )


def log_prior(model: LatentModel, z: Tensor) -> Tensor:
    """The log-density p(z) (S, N) of latents (S, N, *latent)."""
    prior = getattr(model, "prior", None)
    if prior is None:
        return -0.5 * (z.double().square() + math.log(2 * math.pi)).flatten(2).sum(-1)
    if not isinstance(prior, Distribution):
        prior = prior(z)
    return joint_log_prob(prior, z, batch_dims=2)


def joint_log_prob(distribution: Distribution, value: Tensor, *, batch_dims: int) -> Tensor:
    """Log-densities of values (*batch, *event), where the factors of a distribution may be batched or its event.

    Independent factors are summed in single precision at least, as a sum over many pixels overflows in half.
    """
    while isinstance(distribution, Independent):  # which sums in the dtype of its factors
        distribution = distribution.base_dist
    factors = distribution.log_prob(value)
    return summed(factors, batch_dims)


def summed(terms: Tensor, batch_dims: int) -> Tensor:
    """Sums over all dimensions after those of the batch, of half precision in single."""
    # not in double: on a CPU such sums of many pixels take a sixth of the time of their Bernoulli likelihood
    dtype = torch.promote_types(terms.dtype, torch.float32)
    return terms.reshape(*terms.shape[:batch_dims], -1).sum(-1, dtype=dtype)
