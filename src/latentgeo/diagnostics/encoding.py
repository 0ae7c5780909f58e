"""Data as a model encodes them: moments and a sample of every posterior."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.diagnostics.arguments import check_data
from latentgeo.diagnostics.protocol import LatentModel, check_model, posterior_of
from latentgeo.diagnostics.scores import DATA_ROWS
from latentgeo.training.generators import seeded_generators


@dataclass(frozen=True)
class EncodedData:
    """The posteriors q(z | x) of N data, by what the other diagnostics ask for.

    Attributes:
        means: E[z], (N, d).
        variances: Var[z], (N, d).
        samples: one draw of each posterior, (N, d).

    Examples:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> from torch.distributions import Normal
        >>> model = SimpleNamespace(encode=lambda x: Normal(x[:, :2], 0.5), decode=lambda z: Normal(z, 1.0))
        >>> data = encoded(model, torch.ones(3, 4), seed=0)
        >>> data.means.shape, data.samples.shape, data.variances[0]
        (torch.Size([3, 2]), torch.Size([3, 2]), tensor([0.2500, 0.2500]))
    """

    means: Float[Tensor, "n ..."]
    variances: Float[Tensor, "n ..."]
    samples: Float[Tensor, "n ..."]


def encoded(model: LatentModel, x: Float[Tensor, "n ..."], *, seed: int | None = None) -> EncodedData:
    """Means, variances and a sample of the posterior of each datum, encoded some hundreds at a time.

    Gradients are not followed.

    Args:
        model: see `LatentModel`; its `decode` is not called.
        x: data, (N, *event).
        seed: of the samples; with None they come from torch's global generators.

    Raises:
        ValueError: data that are not finite, a model in training mode whose output is then random.
        TypeError: `model` does not answer distributions, or the data are not floating.

    Examples:
        >>> import torch
        >>> from latentgeo.models import VAE, MLPDecoder, MLPEncoder
        >>> vae = VAE(MLPEncoder(64, 2), MLPDecoder(2, 64))
        >>> encoded(vae, torch.rand(500, 64), seed=0).samples.shape
        torch.Size([500, 2])
    """
    check_model(model)
    check_data(x)
    with torch.no_grad(), seeded_generators(x.device, seed):
        parts = []
        for data in x.split(DATA_ROWS):
            posterior = posterior_of(model, data)
            parts.append((posterior.mean, posterior.variance, posterior.sample()))
    return EncodedData(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
