"""What training minimizes: losses of a model and a batch."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence
from torch.nn import functional

from latentgeo.models.vae import VAE, Likelihood
from latentgeo.training.weights import log_likelihoods, posteriors

Penalty = Literal["kl", "quadratic"]


@dataclass(frozen=True)
class ELBO:
    """The negative evidence lower bound, the mean over the batch.

    L = E_x [ -E_q log p(x | z) + β KL(q(z | x) ‖ p(z)) ], with one reparametrized sample z a datum, in nats a
    datum. The Kullback-Leibler divergence is in closed form where `torch.distributions.kl_divergence` knows
    one, as for all posteriors of this package; for any other family it is log q(z | x) - log p(z) at the sample.
    `sample` and `penalty` take parts of the bound away, to see what these do.

    Args:
        beta: β, the weight of the divergence, or of what `penalty` puts in its place.
        sample: False decodes the posterior's mean instead of a sample.
        penalty: `"kl"`; `"quadratic"` puts ½ |E_q z|², which is what the means have in the divergence from
            N(0, I), in its place; None leaves the reconstruction alone.

    Raises:
        ValueError: `beta` is negative, or `penalty` unknown.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2014, arXiv 1312.6114.
        Higgins et al., beta-VAE, 2017.

    Examples:
        >>> import torch
        >>> from latentgeo.models import MLPDecoder, MLPEncoder
        >>> vae = VAE(MLPEncoder(64, 2), MLPDecoder(2, 64))
        >>> ELBO()(vae, torch.rand(5, 64)).shape
        torch.Size([])
    """

    beta: int | float = 1.0
    sample: bool = True
    penalty: Penalty | None = "kl"

    def __post_init__(self) -> None:
        if not self.beta >= 0.0:
            raise ValueError(f"beta: expected a non-negative number, got {self.beta!r}")
        if self.penalty is not None and self.penalty not in get_args(Penalty):
            raise ValueError(f"penalty: expected 'kl', 'quadratic' or None, got {self.penalty!r}")

    def __call__(self, model: VAE, x: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
        """The loss of `model` on the batch `x` (N, *event); the sample comes from torch's global generator.

        Raises:
            TypeError: `model.encode` does not answer a distribution, as for a plain autoencoder.
            ValueError: posteriors or likelihoods do not fit the data.
            NotImplementedError: a divergence without closed form, and `sample=False`.
        """
        posterior = posteriors(model, x)
        z = posterior.rsample() if self.sample else posterior.mean
        loss = -log_likelihoods(model, z, x)
        if self.penalty == "kl":
            loss = loss + self.beta * self._divergence(posterior, model.prior(z), z)
        elif self.penalty == "quadratic":
            loss = loss + self.beta * 0.5 * posterior.mean.square().sum(-1)
        return loss.mean()

    def _divergence(self, posterior: Distribution, prior: Distribution, z: Tensor) -> Tensor:
        """KL(q ‖ p) of each datum (N,), or its estimate at the samples z."""
        try:
            return kl_divergence(posterior, prior)
        except NotImplementedError:
            if not self.sample:
                raise
            return posterior.log_prob(z) - prior.log_prob(z)


@dataclass(frozen=True)
class ReconstructionLoss:
    """The negative log-likelihood of the data given their reconstructions, the mean over the batch.

    For a plain autoencoder with output f(x): the cross-entropy of x and sigmoid(f), or
    ½ |x - f|² + ½ D log 2π, which is that of N(f, I). In nats a datum, so that it stands beside the
    reconstruction term of the evidence lower bound.

    Args:
        likelihood: `"bernoulli"`, for data in [0, 1] and outputs that are logits, or `"gaussian"`.

    Raises:
        ValueError: an unknown likelihood.

    References:
        Vincent et al., Stacked Denoising Autoencoders, JMLR 11, 2010, section 2.2, for the two likelihoods.

    Examples:
        >>> import torch
        >>> from latentgeo.models import Autoencoder, MLPDecoder, MLPEncoder
        >>> model = Autoencoder(MLPEncoder(64, 2), MLPDecoder(2, 64))
        >>> ReconstructionLoss("bernoulli")(model, torch.rand(5, 64)).shape
        torch.Size([])
    """

    likelihood: Likelihood

    def __post_init__(self) -> None:
        if self.likelihood not in get_args(Likelihood):
            raise ValueError(f"likelihood: expected 'bernoulli' or 'gaussian', got {self.likelihood!r}")

    def __call__(self, model: nn.Module, x: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
        """The loss of `model` on the batch `x` (N, *event).

        Raises:
            TypeError: `model(x)` is no tensor, as for a variational autoencoder.
            ValueError: its shape does not fit the data.
        """
        output = model(x)
        if not isinstance(output, Tensor):
            raise TypeError(
                f"model: expected model(x) to answer a tensor, got {type(output).__name__}; "
                "a variational autoencoder is trained with ELBO, IWAE or Renyi"
            )
        if len(output) != len(x) or output.numel() != x.numel():
            raise ValueError(
                f"model: expected model(x) to have the values of x, {tuple(x.shape)}, got {tuple(output.shape)}"
            )
        x = x.reshape(output.shape)
        if self.likelihood == "bernoulli":
            loss = functional.binary_cross_entropy_with_logits(output, x, reduction="sum")
        else:
            squares = functional.mse_loss(output, x, reduction="sum")
            loss = 0.5 * (squares + x.numel() * math.log(2.0 * math.pi))
        return loss / len(x)
