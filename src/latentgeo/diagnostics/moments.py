"""Means and variances of latents over a data set: which latents are used."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentgeo.diagnostics.arguments import check_latents, check_threshold, check_variances
from latentgeo.diagnostics.divergence import latent_kl


@dataclass(frozen=True)
class LatentStatistics:
    """One value for each latent, over a data set: the variance table. `print` shows it as text.

    Attributes:
        mean: of the posterior means, (..., d); near 0 where the aggregate posterior is the prior.
        variance_of_means: Var_x μ, (..., d): near 1 in a well-used latent, near 0 in an inactive one.
        mean_variance: E_x σ², (..., d): near 0 in a well-used latent, near 1 in an inactive one.
        kl: the divergence from the standard normal, the mean over the data, (..., d), in nats.
        active: variance_of_means above the threshold, (..., d).

    Examples:
        A latent that is used, and one that is not:

        >>> import torch
        >>> means = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
        >>> statistics = latent_statistics(means, torch.tensor([[0.25, 1.0]]).expand(3, 2))
        >>> statistics.active, statistics.stationary_sums
        (tensor([ True, False]), tensor([1.2500, 1.0000]))
    """

    mean: Float[Tensor, "*batch d"]
    variance_of_means: Float[Tensor, "*batch d"]
    mean_variance: Float[Tensor, "*batch d"]
    kl: Float[Tensor, "*batch d"]
    active: Bool[Tensor, "*batch d"]

    @property
    def stationary_sums(self) -> Float[Tensor, "*batch d"]:
        """Var_x μ + E_x σ², (..., d): near 1 in a trained model, for active and inactive latents alike.

        References:
            Asperti, A stationary condition for Variational Autoencoders, 2019.
        """
        return self.variance_of_means + self.mean_variance

    def __str__(self) -> str:
        columns = (self.mean, self.variance_of_means, self.mean_variance, self.stationary_sums, self.kl)
        table = torch.stack([column.reshape(-1) for column in columns], dim=1).tolist()
        lines = [" no       mean   variance   mean σ²        sum         KL  active"]
        for number, (row, active) in enumerate(zip(table, self.active.reshape(-1).tolist(), strict=True)):
            lines.append(
                f"{number:3d} "
                + " ".join(f"{value:10.3g}" for value in row)
                + f"  {'yes' if active else 'no'}"
            )
        return "\n".join(lines)


def active_units(means: Float[Tensor, "*batch n d"], threshold: float = 0.01) -> Bool[Tensor, "*batch d"]:
    """Which latents are active: Cov_x(E_q[z_i | x]) > threshold.

    Args:
        means: posterior means of the data, (..., N, d), at least two.
        threshold: in squared units of the latents.

    Returns:
        A mask (..., d); its `sum(-1)` is the number of active units.

    Raises:
        ValueError: fewer than two rows, non-finite values, or a negative threshold.
        TypeError: not a floating tensor.

    References:
        Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders, 2016, arXiv 1509.00519.

    Examples:
        >>> import torch
        >>> active_units(torch.tensor([[1.0, 0.01], [-1.0, -0.01], [0.5, 0.0]]))
        tensor([ True, False])
    """
    check_latents("means", means)
    check_threshold(threshold)
    return means.double().var(-2) > threshold


def latent_statistics(
    means: Float[Tensor, "*batch n d"],
    variances: Float[Tensor, "*batch n d"],
    *,
    threshold: float = 0.01,
) -> LatentStatistics:
    """What every latent does over a data set: variance of means, mean variance, divergence, activity.

    Sums run in float64; variances over the data have N - 1 for divisor, as those of `pca_spectrum` do.

    Args:
        means: posterior means, (..., N, d), such as `encoded(model, x).means`.
        variances: posterior variances (not standard deviations), (..., N, d).
        threshold: of the variance of the means, above which a latent is active.

    Raises:
        ValueError: shapes that differ, fewer than two rows, negative or non-finite values.
        TypeError: not floating tensors.

    References:
        Asperti, Sparsity in Variational Autoencoders, 2018, arXiv 1812.07238.
        Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders, 2016, arXiv 1509.00519.

    Examples:
        >>> import torch
        >>> means = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
        >>> print(latent_statistics(means, torch.tensor([[0.01, 1.0]]).expand(3, 2)))
         no       mean   variance   mean σ²        sum         KL  active
          0          0          1       0.01       1.01       2.14  yes
          1          0          0          1          1          0  no
    """
    check_latents("means", means)
    check_variances(means, variances)
    check_threshold(threshold)
    mu, variance = means.double(), variances.double()
    spread = mu.var(-2)
    statistics = (mu.mean(-2), spread, variance.mean(-2), latent_kl(mu, variance).mean(-2))
    return LatentStatistics(*(value.to(means.dtype) for value in statistics), active=spread > threshold)


def latent_correlation(means: Float[Tensor, "*batch n d"]) -> Float[Tensor, "*batch d d"]:
    """The correlation of every pair of latents over a data set.

    ρ_ij = Cov_x(μ_i, μ_j) / √(Var_x μ_i · Var_x μ_j), with ρ_ii = 1. A constant latent is correlated
    with no other: 0.

    Args:
        means: posterior means or samples, (..., N, d).

    Raises:
        ValueError: fewer than two rows, or non-finite values.
        TypeError: not a floating tensor.

    References:
        Pearson, Note on Regression and Inheritance in the Case of Two Parents, 1895, doi 10.1098/rspl.1895.0041.

    Examples:
        >>> import torch
        >>> latent_correlation(torch.tensor([[0.0, 0.0, 1.0], [1.0, -2.0, 1.0], [2.0, -4.0, 1.0]]))
        tensor([[ 1., -1.,  0.],
                [-1.,  1.,  0.],
                [ 0.,  0.,  1.]])
    """
    check_latents("means", means)
    centred = means.double() - means.double().mean(-2, keepdim=True)
    # Equal values leave rounding errors about their mean, which are no spread.
    constant = (means == means[..., :1, :]).all(-2, keepdim=True)
    centred = centred.where(~constant, 0)
    norm = torch.linalg.vector_norm(centred, dim=-2, keepdim=True)
    unit = centred / norm.where(norm > 0, 1)
    correlation = (unit.mT @ unit).clamp(-1, 1)
    identity = torch.eye(means.shape[-1], dtype=torch.bool, device=means.device)
    return correlation.masked_fill(identity, 1.0).to(means.dtype)
