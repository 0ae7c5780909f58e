"""The Kullback-Leibler divergence of one latent from the prior, and where it is least."""

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.diagnostics.arguments import check_not_negative, check_tensor, check_variances


def latent_kl(
    means: Float[Tensor, "*batch d"], variances: Float[Tensor, "*batch d"]
) -> Float[Tensor, "*batch d"]:
    """The divergence of every latent's Gaussian from the standard normal, in nats.

    KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² - log σ² - 1). For a diagonal posterior their sum over d is the
    divergence of the whole; for another, these are the divergences of its marginals.

    Near σ² = 1, as in inactive latents, it is of the second order in σ² - 1, and computed so that it keeps
    the digits that σ² has.

    Args:
        means: μ, (..., d).
        variances: σ², (..., d); a variance of zero has an infinite divergence.

    Raises:
        ValueError: shapes that differ, negative or non-finite values.
        TypeError: not floating tensors.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2014, arXiv 1312.6114, appendix B.

    Examples:
        >>> import torch
        >>> latent_kl(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]))
        tensor([0., 2.])
    """
    check_tensor("means", means, "(..., d)", least_dims=1)
    check_variances(means, variances)
    return 0.5 * (means.square() + _excess(variances))


def kl_at_ratio(variance: Float[Tensor, "..."], ratio: Float[Tensor, "..."] | float) -> Float[Tensor, "..."]:
    """The divergence of a latent from the standard normal where σ / |μ| is kept at ρ, in nats.

    KL(σ²; ρ) = ½ (σ² (1 + ρ²) / ρ² - log σ² - 1), least at `stationary_variance(ρ)`.

    A network can scale a latent, mean and standard deviation alike, and undo it in the next layer: the
    divergence alone decides on the scale.

    Args:
        variance: σ².
        ratio: ρ, positive; broadcasts against `variance`.

    Raises:
        ValueError: negative or non-finite values, or a ratio of zero.

    References:
        Asperti, A stationary condition for Variational Autoencoders, 2019.
        Asperti and Trentin, Balancing reconstruction error and Kullback-Leibler divergence in
        Variational Autoencoders, 2020, arXiv 2002.07514.

    Examples:
        >>> import torch
        >>> kl_at_ratio(torch.tensor([0.25, 0.5, 0.75]), 1.0)
        tensor([0.4431, 0.3466, 0.3938])
    """
    check_tensor("variance", variance, "(...)", least_dims=0)
    check_not_negative("variance", variance)
    found = _ratio(ratio, variance)
    return 0.5 * (variance / found / found + _excess(variance))


def stationary_variance(ratio: Float[Tensor, "..."] | float) -> Float[Tensor, "..."]:
    """The variance at which `kl_at_ratio` is least, ρ² / (1 + ρ²); the least divergence is ½ log(1 + 1 / ρ²).

    There σ² + μ² = 1. Averaged over data whose latents have mean zero: mean σ² + Var μ = 1, the condition
    that `LatentStatistics.stationary_sums` looks at.

    Args:
        ratio: ρ = σ / |μ|, positive.

    Raises:
        ValueError: values that are not positive and finite.

    References:
        Asperti, A stationary condition for Variational Autoencoders, 2019.

    Examples:
        >>> import torch
        >>> stationary_variance(torch.tensor([0.1, 1.0, 10.0]))
        tensor([0.0099, 0.5000, 0.9901])
    """
    found = torch.as_tensor(ratio)
    return 1 / (1 + _ratio(found, found).reciprocal().square())


def _ratio(ratio: Tensor | float, like: Tensor) -> Tensor:
    """ρ as a tensor, positive and finite."""
    found = torch.as_tensor(ratio, dtype=like.dtype, device=like.device)
    if not bool((found.isfinite() & (found > 0)).all()):
        raise ValueError("ratio: expected positive finite values, got others among them")
    return found


def _excess(variances: Tensor) -> Tensor:
    """The part σ² - 1 - log σ², in this order: near one the difference σ² - 1 is exact."""
    return (variances - 1) - variances.log()
