"""The second stage of training a Gaussian decoder: a precision fitted to a frozen mean."""

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from latentgeo.models.arguments import check_count
from latentgeo.models.rbf_precision import RBFPrecision
from latentgeo.models.vae import VAE
from latentgeo.training.arrays import training_data
from latentgeo.training.generators import seeded_generators

_CHUNK_ROWS = 4096


def fit_precision(
    model: VAE,
    data: Tensor | np.ndarray,
    *,
    num_centers: int = 64,
    a: float = 1.0,
    zeta: float | None = None,
    min_std: float = 1e-2,
    epochs: int = 30,
    random_state: int | np.random.RandomState | None = None,
) -> RBFPrecision:
    """Give a Gaussian VAE a precision that falls away from the data, its encoder and mean frozen.

    Minimizes ½ Σ_n Σ_i [β_i(z_n) (r_ni² + s²) - log β_i(z_n)] over W > 0 in β(z) = W v(z) + ζ, where
    r_n = x_n - f(z_n) and s is `min_std`. Centres and bandwidths come from the posterior means by
    `RBFPrecision.from_latents`. The z_n are these means and one sample of each posterior: samples, since
    the bound averages over them and the residuals at the means alone are too small; means, since
    every function is near some of them, while posteriors wider than the functions would leave W
    to be extrapolated.

    The problem is convex in W. Each epoch is one majorize-minimize step over all data,

        W_ik <- W_ik · [Σ_n v_k(z_n) / β_i(z_n)] / [Σ_n v_k(z_n) (r_ni² + s²)],

    which never increases the objective, keeps W positive and has no learning rate. A function that no
    sample reaches keeps the weight it began with.

    Args:
        model: with a Gaussian likelihood, its mean trained (see `latentgeo.training.fit`). Its
            `variance` is replaced; nothing else in it changes. It is left in eval mode.
        data: (N, *event), floating.
        num_centers: K, at most the number of distinct posterior means.
        a: width of the functions in units of the extents of their clusters.
        zeta: the precision at infinity. By default (10 max_i s_i)^(-2), s_i being the root mean square of
            residual i: far away every output deviates ten times as much as the worst does on the data.
        min_std: s, in the units of the data: an exponential prior on the precisions. Without one,
            outputs that are always right, as the margins of digits, have no finite optimum.
        epochs: majorize-minimize steps.
        random_state: of k-means and of the samples, in scikit-learn's sense. Torch's global generators
            are left where they were.

    Returns:
        The precision, which is also `model.variance` from now on.

    Raises:
        ValueError: the likelihood is not Gaussian, fewer distinct means than centres, non-finite
            data or weights, options out of range: among them an `a` so small that the functions vanish on the data,
            and no `min_std` where an output is explained exactly. The model then keeps the variance that it has.
        TypeError: data that are not floating.

    References:
        Arvanitidis, Hansen and Hauberg, Latent Space Oddity, 2018, arXiv 1710.11379.
        Hunter and Lange, A tutorial on MM algorithms, 2004, doi 10.1198/0003130042836.

    Examples:
        >>> import torch
        >>> from latentgeo.models import MLPDecoder, MLPEncoder
        >>> vae = VAE(MLPEncoder(64, 2), MLPDecoder(2, 64), likelihood="gaussian")
        >>> precision = fit_precision(vae, torch.rand(100, 64), num_centers=8, random_state=0)
        >>> precision is vae.variance
        True
    """
    if model.likelihood != "gaussian":
        raise ValueError(f"model: expected a VAE with likelihood='gaussian', got {model.likelihood!r}")
    check_count("epochs", epochs)
    if not min_std >= 0.0:
        raise ValueError(f"min_std: expected a non-negative number, got {min_std!r}")
    data = training_data(model, data)
    random = check_random_state(random_state)
    model.eval()
    with torch.no_grad():
        with seeded_generators(data.device, int(random.randint(2**31))):
            means, samples = _encoded(model, data)
        latents = torch.stack([means, samples])
        mean_square = _sum_of_squares(model, data, latents, torch.ones_like(latents[..., :1])).squeeze(1)
        mean_square /= 2 * len(data)
        if not bool(mean_square.isfinite().all()):
            raise ValueError(
                "data: expected finite residuals, got NaN or infinity from the data or the model"
            )
        if not bool((mean_square + min_std**2).reciprocal().isfinite().all()):
            raise ValueError(
                "min_std: expected a positive number where an output is explained exactly, "
                f"which leaves its precision without an optimum, got {min_std!r}"
            )
        if zeta is None:
            zeta = 0.01 / max(float(mean_square.max()), min_std**2)
        precision = RBFPrecision.from_latents(
            means, num_centers, len(mean_square), a=a, zeta=zeta, random_state=random
        )
        # In parts, since every row takes K d numbers on the way.
        parts = [precision.basis(rows) for rows in latents.flatten(0, 1).split(_CHUNK_ROWS)]
        basis = torch.cat(parts).unflatten(0, latents.shape[:2])
        cost = _sum_of_squares(model, data, latents, basis) + min_std**2 * basis.sum((0, 1))
        # At first every function has the same weight, the optimum were they one.
        overlap = basis.sum(-1).mean()
        initial = -((mean_square + min_std**2) * overlap).log()
        precision.log_weight.copy_(initial.unsqueeze(1).expand_as(cost))
        for _ in range(epochs):
            _majorize_minimize(precision, basis.flatten(0, 1), cost)
        if not bool(precision.log_weight.exp().isfinite().all()):
            raise ValueError(
                "a: expected functions wide enough to reach the data, got some so narrow that their weights "
                f"overflow {data.dtype}, with a={a!r}"
            )
    model.variance = precision.eval()
    return precision


def _encoded(model: VAE, data: Tensor) -> tuple[Tensor, Tensor]:
    """The posterior means (N, d), and one sample of each posterior."""
    posteriors = [model.encode(chunk) for chunk in data.split(_CHUNK_ROWS)]
    return torch.cat([q.mean for q in posteriors]), torch.cat([q.rsample() for q in posteriors])


def _sum_of_squares(model: VAE, data: Tensor, latents: Tensor, weights: Tensor) -> Tensor:
    """Σ_n w_nk r_ni² (D, K) over latents (S, N, d) with weights (S, N, K), S of each datum."""
    parts = []
    for points, shares in zip(latents, weights, strict=True):
        for x, z, w in zip(*(rows.split(_CHUNK_ROWS) for rows in (data, points, shares)), strict=True):
            mean = model.decoder(z)
            parts.append((x.reshape(mean.shape) - mean).flatten(1).square().T @ w)
    return torch.stack(parts).sum(0)


def _majorize_minimize(precision: RBFPrecision, basis: Tensor, cost: Tensor) -> None:
    """One step on log W, in place; `cost` is the denominator, Σ_n v_k (r_ni² + s²)."""
    weight = precision.log_weight.exp()
    gain = torch.zeros_like(cost)
    for v in basis.split(_CHUNK_ROWS):
        gain += (v @ weight.T + precision.zeta).reciprocal().T @ v
    reached = (cost > 0) & (gain > 0)
    precision.log_weight.copy_(
        torch.where(reached, precision.log_weight + gain.log() - cost.log(), precision.log_weight)
    )
