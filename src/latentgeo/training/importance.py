"""Objectives of several weighted samples a datum: importance-weighted and Rényi bounds."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.models.arguments import check_count
from latentgeo.models.vae import VAE
from latentgeo.training.bounds import renyi_bound
from latentgeo.training.weights import log_weights, log_weights_at, posteriors

Backward = Literal["all", "one"]


@dataclass(frozen=True)
class Renyi:
    """The negative variational Rényi bound of order α, the mean over the batch.

    L = -E_x (1 / (1 - α)) log (1/S) Σ_s [p(x, z_s) / q(z_s | x)]^(1 - α), see `renyi_bound`. α = 1 is the evidence
    lower bound with its divergence sampled, 0 the importance-weighted bound, -∞ VR-max.

    The gradient weighs the samples by softmax((1 - α) l). `backward="one"` draws one sample of each datum
    with these probabilities, after all have been decoded without a graph, and differentiates through
    that one alone: an unbiased estimate for every α, and **the same gradient for α = -∞**, where all weight is on the
    largest; it saves most of the time and memory that S samples take. The chosen sample is decoded a second
    time, so that a decoder with Dropout or BatchNorm in it then has another value there: leave it at "all".

    Args:
        alpha: α, any number from -∞ to ∞.
        num_samples: S, samples a datum.
        backward: `"all"` samples, or `"one"`.

    Raises:
        ValueError: α is NaN, `num_samples` below one, `backward` unknown.

    References:
        Li and Turner, Rényi divergence variational inference, 2016, arXiv 1602.02311, section 4.2.

    Examples:
        >>> import torch
        >>> from latentgeo.models import MLPDecoder, MLPEncoder
        >>> vae = VAE(MLPEncoder(64, 2), MLPDecoder(2, 64))
        >>> Renyi(-torch.inf, 5, backward="one")(vae, torch.rand(5, 64)).shape
        torch.Size([])
    """

    alpha: int | float
    num_samples: int
    backward: Backward = "all"

    def __post_init__(self) -> None:
        if math.isnan(self.alpha):
            raise ValueError("alpha: expected a number from -inf to inf, got nan")
        check_count("num_samples", self.num_samples)
        if self.backward not in get_args(Backward):
            raise ValueError(f"backward: expected 'all' or 'one', got {self.backward!r}")

    def __call__(self, model: VAE, x: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
        """The loss of `model` on the batch `x` (N, *event); the samples come from torch's global generator.

        Raises:
            TypeError: `model.encode` does not answer a distribution, as for a plain autoencoder.
            ValueError: posteriors or likelihoods do not fit the data.
        """
        if self.backward == "one" and torch.is_grad_enabled():
            return -self._through_one(model, x).mean()
        return -renyi_bound(log_weights(model, x, self.num_samples), self.alpha).mean()

    def _through_one(self, model: VAE, x: Tensor) -> Tensor:
        """The bounds (N,), with a graph through one sample of each datum."""
        posterior = posteriors(model, x)
        z = posterior.rsample((self.num_samples,))
        with torch.no_grad():
            logs = log_weights_at(model, posterior, z, x)
        # Before torch 2.10 autocast keeps the weights that it cast without a graph, and would take them below.
        torch.clear_autocast_cache()
        logs.requires_grad_()
        bounds = renyi_bound(logs, self.alpha)
        (shares,) = torch.autograd.grad(bounds.sum(), logs)
        # The first of exponential clocks with these rates: torch.multinomial would stop at NaN by itself.
        chosen = (shares / torch.empty_like(shares).exponential_()).argmax(0, keepdim=True)
        one = z.gather(0, chosen.unsqueeze(-1).expand(1, *z.shape[1:])).squeeze(0)
        log_weight = log_weights_at(model, posterior, one, x)
        return bounds.detach() + (log_weight - log_weight.detach())


@dataclass(frozen=True)
class IWAE:
    """The negative bound of importance-weighted autoencoders, the mean over the batch.

    L = -E_x log (1/S) Σ_s p(x, z_s) / q(z_s | x): `Renyi` with α = 0. It tightens with S, to log p(x).

    Args:
        num_samples: S, samples a datum; one makes it the evidence lower bound with its divergence sampled.

    Raises:
        ValueError: `num_samples` is not a positive integer.

    References:
        Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, 2016, arXiv 1509.00519.

    Examples:
        >>> import torch
        >>> from latentgeo.models import MLPDecoder, MLPEncoder
        >>> vae = VAE(MLPEncoder(64, 2), MLPDecoder(2, 64))
        >>> IWAE(5)(vae, torch.rand(5, 64)).shape
        torch.Size([])
    """

    num_samples: int

    def __post_init__(self) -> None:
        check_count("num_samples", self.num_samples)

    def __call__(self, model: VAE, x: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
        """The loss of `model` on the batch `x` (N, *event); the samples come from torch's global generator.

        Raises:
            TypeError: `model.encode` does not answer a distribution, as for a plain autoencoder.
            ValueError: posteriors or likelihoods do not fit the data.
        """
        return Renyi(0.0, self.num_samples)(model, x)
