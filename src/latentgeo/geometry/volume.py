"""The Riemannian volume."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_points
from latentgeo.metrics.immersion import Immersion
from latentgeo.metrics.metric import check_metric


def log_volume_element(metric: Metric, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
    """The logarithm 1/2 log det G(z) of the volume element, also called log magnification factor.

    The determinant is taken in float64 by Cholesky's factor, of a pull-back metric from the Jacobian, so that the
    smallest eigenvalues of G, the squares of what J has, are not lost beside the largest.

    Args:
        metric: the metric G.
        z: (..., d) points.

    Returns:
        (...); -inf where G is singular or indefinite, NaN where it is not finite; differentiable where G is regular,
        with derivative zero where it is not.

    Raises:
        TypeError: z is not a floating-point tensor, or the metric not a Metric.

    References:
        C. M. Bishop, M. Svensén, C. K. I. Williams, "Magnification factors for the GTM algorithm", 1997. M. P. do
        Carmo, "Riemannian Geometry", 1992, chapter 1.

    Example:
        >>> import math, torch
        >>> from latentgeo import EuclideanMetric, log_volume_element, pullback_metric
        >>> log_volume_element(pullback_metric(lambda z: math.e * z), torch.zeros(3, 2)).round(decimals=3)
        tensor([2., 2., 2.])
    """
    check_metric(metric)
    check_points("z", z)
    flat = z.reshape(-1, z.shape[-1])
    metric = metric.resolved(flat)
    if metric.immersion is not None:
        matrix = metric.immersion.piecewise(functools.partial(_gram_in_double, metric.immersion), flat)
    else:
        matrix = metric(flat).double()
    finite = matrix.detach().isfinite().all(-1).all(-1)
    regular = finite & (torch.linalg.cholesky_ex(matrix.detach()).info == 0)
    # the others have no factor that could be differentiated, and must not spoil the gradients of these
    unit = torch.eye(flat.shape[1], dtype=matrix.dtype, device=matrix.device)
    factor = torch.linalg.cholesky_ex(torch.where(regular[:, None, None], matrix, unit)).L
    log_volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    otherwise = torch.where(finite, -torch.inf, torch.nan)
    return torch.where(regular, log_volume, otherwise).to(z).reshape(z.shape[:-1])


def _gram_in_double(immersion: Immersion, z: Tensor) -> Tensor:
    jacobian = immersion.jacobian(z).double()
    return jacobian.mT @ jacobian


def volume_element(metric: Metric, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
    """The volume element sqrt(det G(z)), by which Lebesgue measure in latent coordinates becomes Riemannian volume.

    Args:
        metric: the metric G.
        z: (..., d) points.

    Returns:
        (...), in ambient units to the power d; it overflows where :func:`log_volume_element` does not.

    Raises:
        TypeError: z is not a floating-point tensor, or the metric not a Metric.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapter 1.

    Example:
        >>> import torch
        >>> from latentgeo import metric_from_function, volume_element
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> volume_element(half_plane, torch.tensor([0.0, 2.0]))
        tensor(0.2500)
    """
    return log_volume_element(metric, z).exp()
