"""Decoding many latents for each datum in bounded memory, and scoring the data under what comes out."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from latentgeo.diagnostics.protocol import LatentModel, check_rows, joint_log_prob, summed
from latentgeo.models.arguments import check_count

# Latents drawn together and data encoded together. They do not follow chunk_size, so that what is drawn from a
# seed does not either; latents are small, and an encoder of this many images needs no more than a decoder does.
LATENT_ROWS = 16_384
DATA_ROWS = 256
_LATENT_BYTES = 2**26  # of latents at a time that are large, such as maps of features

# Of decoded data by default: 334 images of MNIST on a CPU. Activations and the terms of the likelihood need some
# ten times as much, and where these together outgrow the allocator's thresholds (some 6 MiB with glibc), every
# chunk gets its memory from the system anew: measured, up to half of the time. An accelerator wants larger chunks.
_CPU_BYTES = 2**20
_ACCELERATOR_BYTES = 2**24

Score = Callable[[object, Tensor], Tensor]


def chunk_rows(chunk_size: int | None, x: Tensor) -> int:
    """Rows to put through a decoder at once: `chunk_size`, or by default what the data's size allows."""
    if chunk_size is None:
        size = _CPU_BYTES if x.device.type == "cpu" else _ACCELERATOR_BYTES
        return max(1, size // (x[0].numel() * x.element_size()))
    check_count("chunk_size", chunk_size)
    return chunk_size


def latent_rows(latent: torch.Size, itemsize: int) -> int:
    """Latents to draw together: LATENT_ROWS, or as many as fit in bounded memory where one of them is large."""
    return max(1, min(LATENT_ROWS, _LATENT_BYTES // (latent.numel() * itemsize)))


def decoded_scores(
    model: LatentModel,
    z: Float[Tensor, "s n ..."],
    x: Float[Tensor, "n ..."],
    *,
    chunk_size: int,
    score: Score,
) -> Float[Tensor, "s n"]:
    """`score(decode(z_sn), x_n)` in float64, at most `chunk_size` rows decoded at once."""
    latents = z.flatten(0, 1)
    which = torch.arange(len(latents), device=x.device) % len(x)
    scores = torch.empty(len(latents), dtype=torch.float64, device=x.device)
    chunks = (tensor.split(chunk_size) for tensor in (latents, which, scores))
    for points, rows, found in zip(*chunks, strict=True):
        found.copy_(score(model.decode(points), x[rows]))
    return scores.reshape(z.shape[:2])


def log_density(likelihood: object, x: Tensor) -> Tensor:
    """The log-density p(x_n | z_n) (N,) under what a decoder answered for N rows."""
    if not isinstance(likelihood, Distribution):
        raise TypeError(
            f"model: expected decode(z) to answer a Distribution, got {type(likelihood).__name__}; "
            "see latentgeo.diagnostics.LatentModel for how to adapt a model"
        )
    value = _shaped(x, likelihood.batch_shape + likelihood.event_shape)
    check_rows("decode(z)", likelihood, len(x))
    return joint_log_prob(likelihood, value, batch_dims=1)


def negative_error(output: object, x: Tensor) -> Tensor:
    """The log-density (N,), or minus the squared error where a decoder answered tensors."""
    if isinstance(output, Tensor):
        squares = (_shaped(x, output.shape) - output).square()
        return -summed(squares, 1)
    return log_density(output, x)


def _shaped(x: Tensor, shape: torch.Size) -> Tensor:
    """Data in the shape of their reconstruction: flat, or with the same dimensions in the same order."""
    given, decoded = ([n for n in event if n != 1] for event in (x.shape[1:], shape[1:]))
    flat = min(len(given), len(decoded)) <= 1
    if shape[:1] != x.shape[:1] or shape.numel() != x.numel() or not (flat or given == decoded):
        raise ValueError(f"x: expected data of the decoder's output, {tuple(shape)}, got {tuple(x.shape)}")
    return x.reshape(shape)
