"""What training minimizes: scalar losses of a model and a batch."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from latentgeo.models.vae import VAE


@dataclass(frozen=True)
class ELBO:
    """The negative evidence lower bound, the mean over the batch.

    L = E_x [ -E_q log p(x | z) + β KL(q(z | x) ‖ p(z)) ], with one reparametrized sample z a datum
    and the Kullback-Leibler divergence in closed form. In nats a datum.

    Args:
        beta: β, the weight of the divergence.

    Raises:
        ValueError: `beta` is negative.

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

    beta: float = 1.0

    def __post_init__(self) -> None:
        if not self.beta >= 0.0:
            raise ValueError(f"beta: expected a non-negative number, got {self.beta!r}")

    def __call__(self, model: VAE, x: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
        """The loss of `model` on the batch `x` (N, *event); the sample comes from torch's global generator.

        Raises:
            TypeError: `model.encode` does not answer a distribution, as for a plain autoencoder.
        """
        posterior = model.encode(x)
        if not isinstance(posterior, Distribution):
            raise TypeError(
                f"model: expected encode(x) to answer a Distribution, got {type(posterior).__name__}; "
                "a plain autoencoder needs an objective of its own"
            )
        z = posterior.rsample()
        likelihood = model.decode(z)
        log_likelihood = likelihood.log_prob(x.reshape(likelihood.batch_shape + likelihood.event_shape))
        divergence = kl_divergence(posterior, model.prior(z))
        return (self.beta * divergence - log_likelihood).mean()
