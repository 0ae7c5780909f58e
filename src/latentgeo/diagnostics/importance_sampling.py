"""The log-likelihood of data under a latent variable model, by importance sampling from the posterior."""

import contextlib
import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from latentgeo.diagnostics.arguments import check_data
from latentgeo.diagnostics.protocol import LatentModel, check_model, joint_log_prob, log_prior, posterior_of
from latentgeo.diagnostics.scores import (
    DATA_ROWS,
    LATENT_ROWS,
    chunk_rows,
    decoded_scores,
    latent_rows,
    log_density,
)
from latentgeo.models.arguments import check_count
from latentgeo.training.generators import seeded_generators


class LogLikelihood(NamedTuple):
    """An importance-sampled log-likelihood, and what it rests on.

    Attributes:
        log_likelihood: the estimate of log p(x) of each datum, (B,), in nats.
        effective_sample_size: (B,), between 1 and the number of samples; 0 where every sample has
            likelihood zero. Where it is small the estimate is too low and varies from seed to seed.

    Examples:
        A decoder that ignores its latent, with a posterior that is the prior: every sample counts, and the
        log-likelihood is that of N(0, 1) at 0.

        >>> import torch
        >>> from types import SimpleNamespace
        >>> from torch.distributions import Normal
        >>> prior = lambda x: Normal(torch.zeros(len(x), 2), 1.0)
        >>> model = SimpleNamespace(encode=prior, decode=lambda z: Normal(torch.zeros(len(z), 1), 1.0))
        >>> found = log_likelihood(model, torch.zeros(3, 1), 50, seed=0)
        >>> found.log_likelihood, found.effective_sample_size
        (tensor([-0.9189, -0.9189, -0.9189]), tensor([50., 50., 50.]))
    """

    log_likelihood: Float[Tensor, " b"]
    effective_sample_size: Float[Tensor, " b"]


def log_likelihood(
    model: LatentModel,
    x: Float[Tensor, "b ..."],
    num_samples: int,
    *,
    chunk_size: int | None = None,
    seed: int | None = None,
    progress: bool = False,
) -> LogLikelihood:
    """The log-likelihood log p(x) of each datum, importance-sampled from its posterior.

    With z_s ~ q(z | x) and ℓ_s = log p(x | z_s) + log p(z_s) - log q(z_s | x),

        log p(x) ≈ logsumexp_s ℓ_s - log S,   S_eff = 1 / Σ_s w_s²,  w = softmax(ℓ).

    The estimate of p(x) is unbiased; that of log p(x) is a lower bound in expectation, below by about
    half its variance. Its standard error is close to √(1 / S_eff - 1 / S) while S_eff is large.

    Sums over samples run in log space and float64, sample after sample, so that memory depends neither on
    S nor on B; those over pixels and latents in float32 at least. Gradients are not followed.

    Args:
        model: see `LatentModel`.
        x: data, (B, *event), in the dtype and on the device of the model.
        num_samples: S, samples for each datum.
        chunk_size: the most rows put through the decoder at once (16,384 are the most in any case).
            By default as many as decode to 1 MiB on a CPU, to 16 MiB elsewhere. The result depends on it by
            rounding alone.
        seed: of the samples. They come from torch's global generators as seeded by it, which are put
            back to where they were; with None they come from, and advance, the global generators.
        progress: show a bar over the decoded rows.

    Returns:
        `(log_likelihood, effective_sample_size)`, both (B,) in the dtype of `x`. A model that answers NaN
        for a datum gives NaN for that datum.

    Raises:
        ValueError: counts below one, data that are not finite or do not fit the model, a model in training
            mode whose output is then random.
        TypeError: `model` does not answer distributions, or the data are not floating.

    References:
        Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders, 2016, arXiv 1509.00519.
        Kong, A note on importance sampling using standardized weights, 1992, University of Chicago.

    Examples:
        >>> import torch
        >>> from latentgeo.models import VAE, MLPDecoder, MLPEncoder
        >>> vae = VAE(MLPEncoder(64, 2), MLPDecoder(2, 64))
        >>> estimate, effective = log_likelihood(vae, torch.rand(5, 64), 100, seed=0)
        >>> estimate.shape, bool((effective <= 100).all())
        (torch.Size([5]), True)
    """
    check_model(model)
    check_data(x)
    check_count("num_samples", num_samples)
    rows = chunk_rows(chunk_size, x)
    together = max(1, min(DATA_ROWS, LATENT_ROWS // num_samples))
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(seeded_generators(x.device, seed))
        bar = tqdm(total=len(x) * num_samples, unit="row", unit_scale=True, disable=not progress)
        stack.callback(bar.close)
        # Filled in place: a small tensor kept from each step would pin memory between the large ones that are freed.
        log_sums = x.new_full((2, len(x)), -math.inf, dtype=torch.float64)
        for data, sums in zip(x.split(together), log_sums.split(together, dim=1), strict=True):
            _sum_up(model, data, num_samples, rows, sums, bar)
        log_sum, log_sum_of_squares = log_sums
        effective = torch.exp(2 * log_sum - log_sum_of_squares).where(log_sum > -math.inf, 0)
        effective = effective.where(~log_sum.isnan(), math.nan)
        return LogLikelihood((log_sum - math.log(num_samples)).to(x.dtype), effective.to(x.dtype))


def _sum_up(model: LatentModel, x: Tensor, num_samples: int, rows: int, sums: Tensor, bar: tqdm) -> None:
    """Makes `sums` (2, N) the logarithms of Σ_s exp(ℓ_s) and Σ_s exp(2 ℓ_s) of each datum, in one pass."""
    posterior = posterior_of(model, x)
    latent = (posterior.batch_shape + posterior.event_shape)[1:]
    drawn = max(1, latent_rows(latent, x.element_size()) // len(x))  # of each datum
    for start in range(0, num_samples, drawn):
        z = posterior.sample(torch.Size([min(drawn, num_samples - start)]))
        log_weights = decoded_scores(model, z, x, chunk_size=rows, score=log_density)
        log_weights += log_prior(model, z) - joint_log_prob(posterior, z, batch_dims=2)
        new = torch.stack([log_weights.logsumexp(0), (2 * log_weights).logsumexp(0)])
        sums.copy_(torch.logaddexp(sums, new))
        bar.update(log_weights.numel())
