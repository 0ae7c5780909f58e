"""The logarithms of importance weights, log p(x, z) - log q(z | x): what every bound is made of."""

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent
from torch.nn import functional

from latentgeo.models.arguments import check_count
from latentgeo.models.vae import VAE


def log_weights(
    model: VAE, x: Float[Tensor, "batch ..."], num_samples: int
) -> Float[Tensor, "num_samples batch"]:
    """The logarithms log p(x | z) + log p(z) - log q(z | x) at reparametrized samples z of each posterior.

    Args:
        model: encodes to a `Distribution` that has `rsample`.
        x: data (N, *event).
        num_samples: S, drawn from torch's global generator.

    Returns:
        The logarithms (S, N), differentiable in the parameters of `model`.

    Raises:
        ValueError: `num_samples` is not a positive integer, or posteriors or likelihoods do not fit the data.
        TypeError: `model.encode` does not answer a distribution, as for a plain autoencoder.

    References:
        Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders, 2016, arXiv 1509.00519.

    Examples:
        >>> import torch
        >>> from latentgeo.models import MLPDecoder, MLPEncoder
        >>> vae = VAE(MLPEncoder(64, 2), MLPDecoder(2, 64))
        >>> log_weights(vae, torch.rand(5, 64), 10).shape
        torch.Size([10, 5])
    """
    check_count("num_samples", num_samples)
    posterior = posteriors(model, x)
    return log_weights_at(model, posterior, posterior.rsample((num_samples,)), x)


def posteriors(model: VAE, x: Tensor) -> Distribution:
    """The posterior of every datum of `x` (N, *event), one batch dimension."""
    posterior = model.encode(x)
    if not isinstance(posterior, Distribution):
        raise TypeError(
            f"model: expected encode(x) to answer a Distribution, got {type(posterior).__name__}; "
            "a plain autoencoder is trained with ReconstructionLoss"
        )
    if posterior.batch_shape != x.shape[:1]:
        raise ValueError(
            f"model: expected encode(x) of {len(x)} data to have batch shape ({len(x)},), got "
            f"{tuple(posterior.batch_shape)}: wrap a factorized posterior in Independent(..., 1)"
        )
    return posterior


def log_likelihoods(model: VAE, z: Tensor, x: Tensor) -> Tensor:
    """The logarithms log p(x | z) (..., N) of data x (N, *event) at latents z (..., N, d)."""
    likelihood = model.decode(z)
    datum = likelihood.event_shape
    if datum.numel() != x.shape[1:].numel():
        raise ValueError(
            f"x: expected as many values a datum as decode(z) has, event shape {tuple(datum)}, got "
            f"{tuple(x.shape)}"
        )
    # Broadcast over the leading dimensions of z: copies of the data would cost as much as a layer.
    x = x.reshape(x.shape[:1] + datum)
    pixels = likelihood.base_dist if isinstance(likelihood, Independent) else None
    if not isinstance(pixels, Bernoulli) or not datum:
        return likelihood.log_prob(x)
    # What log_prob answers, but negated after the sum: with several samples the passes over their pixels count.
    logits = pixels.logits
    entropies = functional.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
    return -entropies.flatten(-len(datum)).sum(-1)


def log_weights_at(model: VAE, posterior: Distribution, z: Tensor, x: Tensor) -> Tensor:
    """The logarithms (..., N) at given latents z (..., N, d)."""
    return log_likelihoods(model, z, x) + model.prior(z).log_prob(z) - posterior.log_prob(z)
