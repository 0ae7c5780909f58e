"""What each latent is worth to the reconstruction."""

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.diagnostics.arguments import check_data
from latentgeo.diagnostics.protocol import LatentModel, check_model, checked_posterior
from latentgeo.diagnostics.scores import DATA_ROWS, chunk_rows, decoded_scores, latent_rows, negative_error
from latentgeo.models.arguments import check_count
from latentgeo.training.generators import seeded_generators


def reconstruction_gain(
    model: LatentModel,
    x: Float[Tensor, "n ..."],
    *,
    num_samples: int | None = None,
    chunk_size: int | None = None,
    seed: int | None = None,
) -> Float[Tensor, " d"]:
    """How much worse data are reconstructed without each latent: the error with z_i := 0, minus the normal one.

    g_i = E_x [ -log p(x | z with z_i := 0) + log p(x | z) ], in nats a datum. A latent pays for itself
    while g_i is above its divergence, `latent_statistics(means, variances).kl[i]`; where it is not, the
    bound is better off without it, and training was seen to let it collapse.

    Gradients are not followed.

    Args:
        model: see `LatentModel`. Where `decode` answers tensors, as that of a plain autoencoder does, the
            error is the sum of squared errors; so may `encode` answer codes.
        x: data, (N, *event).
        num_samples: None takes z = the posterior mean; a number averages over as many samples of each
            posterior, as the bound does.
        chunk_size: the most rows put through the decoder at once. By default as many as
            decode to 1 MiB on a CPU, to 16 MiB elsewhere.
        seed: of the samples; with None they come from torch's global generators.

    Returns:
        (d,), in the dtype of `x`.

    Raises:
        ValueError: counts below one, data that are not finite or do not fit the model, latents that are not
            (N, d), samples asked of codes, a model in training mode whose output is then random.
        TypeError: `model` does not answer distributions or tensors, or the data are not floating.

    References:
        Asperti, Sparsity in Variational Autoencoders, 2018, arXiv 1812.07238.

    Examples:
        >>> import torch
        >>> from latentgeo.models import VAE, MLPDecoder, MLPEncoder
        >>> vae = VAE(MLPEncoder(64, 3), MLPDecoder(3, 64))
        >>> reconstruction_gain(vae, torch.rand(20, 64)).shape
        torch.Size([3])
    """
    check_model(model)
    check_data(x)
    if num_samples is not None:
        check_count("num_samples", num_samples)
    rows = chunk_rows(chunk_size, x)
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    with torch.no_grad(), seeded_generators(x.device, seed):
        for data in x.split(DATA_ROWS):
            for z in _latents(model, data, num_samples):
                total = total + _losses_without_each(model, z, data, rows).sum(1)
    return (total / (len(x) * (num_samples or 1))).to(x.dtype)


def _latents(model: LatentModel, x: Tensor, num_samples: int | None) -> list[Tensor]:
    """The latents (N, d) to decode: means or codes once, or one sample after the other."""
    code = model.encode(x)
    if not isinstance(code, Tensor):
        posterior = checked_posterior(code, x)
        latents = (
            [posterior.mean] if num_samples is None else list(posterior.sample(torch.Size([num_samples])))
        )
    elif num_samples is None:
        latents = [code]
    else:
        raise ValueError(
            f"num_samples: expected None with codes that are not distributions, got {num_samples}"
        )
    if latents[0].dim() != 2 or len(latents[0]) != len(x):
        raise ValueError(f"model: expected {len(x)} latents of shape (N, d), got {tuple(latents[0].shape)}")
    return latents


def _losses_without_each(model: LatentModel, z: Tensor, x: Tensor, rows: int) -> Float[Tensor, "d n"]:
    """The growth of the error of each datum, for each latent that is set to zero."""
    normal = decoded_scores(model, z[None], x, chunk_size=rows, score=negative_error)
    zeroed = torch.eye(z.shape[1], dtype=torch.bool, device=z.device)
    parts = []
    for latents in zeroed.split(max(1, latent_rows(z[0].shape, z.element_size()) // len(z))):
        without = z.masked_fill(latents[:, None], 0.0)
        parts.append(normal - decoded_scores(model, without, x, chunk_size=rows, score=negative_error))
    return torch.cat(parts)
