"""From an encoder to the geometry of its Gaussians: distances and interpolants between data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from latentgeo.gaussians.arguments import check_values
from latentgeo.gaussians.fisher_rao import fisher_rao_distance, fisher_rao_geodesic
from latentgeo.gaussians.manifold import DiagonalNormal
from latentgeo.metrics.arguments import check_chunk_size, describe
from latentgeo.metrics.decoder import Decoder

Encoder = Callable[[Tensor], Any]


def posterior(
    encoder: Encoder, x: Float[Tensor, "n *event"], *, chunk_size: int | None = None
) -> Independent | MultivariateNormal:
    """The posteriors q(z | x) of data, as distributions that :func:`fisher_rao_distance` knows.

    Args:
        encoder: any callable from a batch (N, *event) to ``(mean, std)``, tensors (N, d); to a Normal or
            Independent(Normal); to a MultivariateNormal; or to a distribution with a method
            ``to_multivariate_normal()``. An encoder that answers log-variances needs a lambda around it:
            ``lambda x: (mean(x), (0.5 * log_var(x)).exp())``.
        x: (N, *event) data.
        chunk_size: at most so many data are encoded at once; None for no bound.

    Returns:
        ``Independent(Normal(mean, std), 1)`` with batch shape (N,) and event shape (d,), or a MultivariateNormal
        alike; differentiable in the data and in the parameters of the encoder.

    Raises:
        TypeError: the encoder is not callable, or answers something else.
        ValueError: the encoder holds BatchNorm or Dropout in training mode, or does not answer one row for each
            datum; a standard deviation is not positive.

    References:
        D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", 2014, arXiv:1312.6114.

    Example:
        >>> import torch
        >>> from latentgeo.gaussians import posterior
        >>> posterior(lambda x: (x[:, :2], x[:, 2:].exp()), torch.zeros(5, 4)).batch_shape
        torch.Size([5])
    """
    source = Decoder(encoder, "encoder")
    check_chunk_size(chunk_size)
    if not isinstance(x, Tensor) or x.ndim < 2:
        raise ValueError(f"x must be a tensor (N, *event) of data, got {describe(x)}")
    chunks = [x] if chunk_size is None else list(x.split(chunk_size))
    parts = [_gaussian(source(chunk), len(chunk)) for chunk in chunks]
    if len(parts) == 1:
        return parts[0]
    full = [q for q in parts if isinstance(q, MultivariateNormal)]
    if full:
        mean, factor = torch.cat([q.mean for q in full]), torch.cat([q.scale_tril for q in full])
        return MultivariateNormal(mean, scale_tril=factor, validate_args=False)
    points = torch.cat([DiagonalNormal.from_distribution(q) for q in parts])
    return Independent(Normal(*points.unbind(-2), validate_args=False), 1, validate_args=False)


def posterior_points(
    encoder: Encoder, x: Float[Tensor, "n *event"], *, chunk_size: int | None = None
) -> Float[Tensor, "n 2 d"]:
    """The posteriors of data as points of the manifold :class:`DiagonalNormal`, for estimators on it.

    Args:
        encoder: see :func:`posterior`; its posteriors have diagonal covariance.
        x: (N, *event) data.
        chunk_size: at most so many data are encoded at once; None for no bound.

    Returns:
        (N, 2, d), means above standard deviations.

    Raises:
        TypeError: the posteriors are not diagonal; and as :func:`posterior`.
        ValueError: as :func:`posterior`.

    References:
        C. Peste, L. Malagò, S. Sârbu, "An explanatory analysis of the geometry of latent variables learned by
        variational auto-encoders", 2017.

    Example:
        >>> import torch
        >>> from latentgeo import DiagonalNormal, GeodesicKMeans, frechet_mean
        >>> from latentgeo.gaussians import posterior_points
        >>> data = torch.tensor([[0.0, 1.0], [0.1, 1.2], [5.0, 1.0], [5.1, 0.9]])
        >>> points = posterior_points(lambda x: (x[:, :1], x[:, 1:]), data)
        >>> GeodesicKMeans(DiagonalNormal(), 2, random_state=0).fit_predict(points).diff().abs()
        tensor([0, 1, 0])
        >>> frechet_mean(DiagonalNormal(), points).point.shape
        torch.Size([2, 1])
    """
    return DiagonalNormal.from_distribution(posterior(encoder, x, chunk_size=chunk_size))


def posterior_distance(
    encoder: Encoder,
    x: Float[Tensor, "n *event"],
    y: Float[Tensor, "k *event"],
    *,
    chunk_size: int | None = None,
) -> Float[Tensor, "..."]:
    """The Fisher-Rao distances between the posteriors of two batches of data, row by row.

    Args:
        encoder: see :func:`posterior`.
        x: (N, *event) data, or (1, *event).
        y: (N, *event) data, or (1, *event).
        chunk_size: at most so many data are encoded at once; None for no bound.

    Returns:
        (N,) distances, without unit; differentiable in the data and in the parameters of the encoder.

    Raises:
        TypeError: as :func:`posterior`.
        ValueError: as :func:`posterior`, or the batches differ in size.

    References:
        C. Peste, L. Malagò, S. Sârbu, "An explanatory analysis of the geometry of latent variables learned by
        variational auto-encoders", 2017.

    Example:
        >>> import torch
        >>> from latentgeo.gaussians import posterior_distance
        >>> encoder = lambda x: (x, torch.ones_like(x))
        >>> posterior_distance(encoder, torch.zeros(1, 1), torch.tensor([[0.0], [2.0]]))
        tensor([0.0000, 1.8625])
    """
    p, q = (posterior(encoder, data, chunk_size=chunk_size) for data in (x, y))
    return fisher_rao_distance(p, q)


def posterior_interpolation(
    encoder: Encoder,
    x: Float[Tensor, "n *event"],
    y: Float[Tensor, "k *event"],
    t: Float[Tensor, " m"],
    *,
    chunk_size: int | None = None,
) -> Independent | MultivariateNormal:
    """The Fisher-Rao geodesics between the posteriors of two batches of data, at given times.

    Decoding its means gives an interpolation that passes through larger variance between data far apart; decoding its
    samples shows what the encoder leaves open on the way.

    Args:
        encoder: see :func:`posterior`.
        x: (N, *event) data at t = 0.
        y: (N, *event) data at t = 1, or (1, *event).
        t: (M,) times in [0, 1].
        chunk_size: at most so many data are encoded at once; None for no bound.

    Returns:
        A distribution with batch shape (M, N).

    Raises:
        TypeError: as :func:`posterior`.
        ValueError: as :func:`posterior`, or the batches differ in size.

    References:
        C. Peste, L. Malagò, S. Sârbu, "An explanatory analysis of the geometry of latent variables learned by
        variational auto-encoders", 2017.

    Example:
        >>> import torch
        >>> from latentgeo.gaussians import posterior_interpolation
        >>> encoder = lambda x: (x, torch.ones_like(x))
        >>> zero, two = torch.tensor([[0.0]]), torch.tensor([[2.0]])
        >>> way = posterior_interpolation(encoder, zero, two, torch.tensor([0.0, 0.5, 1.0]))
        >>> way.stddev.flatten()
        tensor([1.0000, 1.2247, 1.0000])
    """
    p, q = (posterior(encoder, data, chunk_size=chunk_size) for data in (x, y))
    return fisher_rao_geodesic(p, q, t)  # pyright: ignore[reportReturnType]


def _gaussian(output: object, rows: int) -> Independent | MultivariateNormal:
    """The encoder's answer as a Gaussian of batch shape (rows,)."""
    convert = getattr(output, "to_multivariate_normal", None)
    if callable(convert):
        output = convert()
    if isinstance(output, tuple | list) and len(output) == 2 and all(isinstance(p, Tensor) for p in output):
        mean, std = output
        if mean.shape != std.shape:
            raise ValueError(
                f"encoder must answer mean and std of one shape, got {describe(mean)} and {describe(std)}"
            )
        output = Normal(mean, std, validate_args=False)
    if isinstance(output, Normal) and output.loc.ndim == 2:
        output = Independent(output, 1, validate_args=False)
    if not isinstance(output, MultivariateNormal) and not (
        isinstance(output, Independent) and isinstance(output.base_dist, Normal)
    ):
        raise TypeError(
            "encoder must answer (mean, std), a Normal, Independent(Normal) or MultivariateNormal, or a distribution "
            f"with to_multivariate_normal(), got {describe(output)}"
        )
    if output.batch_shape != (rows,) or len(output.event_shape) != 1:
        raise ValueError(
            f"encoder must answer one Gaussian of shape (d,) for each of {rows} data, got batch shape "
            f"{tuple(output.batch_shape)} and event shape {tuple(output.event_shape)}"
        )
    if isinstance(output, Independent):
        check_values("the encoder's posterior", output.base_dist.loc, output.base_dist.scale)
    return output
