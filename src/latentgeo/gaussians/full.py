"""Fisher-Rao geometry of normals with full covariance: distance, geodesic, exponential and logarithm.

All of it is computed in float64, whatever comes in: lengths are logarithms, and what float32 has lost in the ends
cannot be told from what a geodesic does.
"""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float
from torch import Tensor
from torch.linalg import solve_triangular

from latentgeo.gaussians.arguments import check_alike, check_broadcast
from latentgeo.gaussians.full_arguments import check_pair, check_positive, double_pairs, symmetric
from latentgeo.gaussians.full_first_variation import Distance, velocity
from latentgeo.gaussians.full_symmetric_space import exponential, unwrapped
from latentgeo.geodesics.result import ConvergenceWarning
from latentgeo.metrics.arguments import check_precision, describe
from latentgeo.metrics.directional import inside_transform


def full_distance(
    mean1: Float[Tensor, "*#batch k"],
    cov1: Float[Tensor, "*#batch k k"],
    mean2: Float[Tensor, "*#batch k"],
    cov2: Float[Tensor, "*#batch k k"],
) -> Float[Tensor, "..."]:
    """The geodesic distance of N(μ₁, Σ₁) and N(μ₂, Σ₂) for ds² = dμᵀ Σ⁻¹ dμ + ½ tr (Σ⁻¹dΣ)².

    The geodesic from N(0, I), to which an affine map takes the first normal, is the projection of a matrix
    exponential, and a few Newton steps over antisymmetric k x k matrices find it
    (:mod:`latentgeo.gaussians.full_fibre`); there are none to take where a closed form is known: one dimension, equal
    means, a difference of means that is an eigenvector of Σ₂Σ₁⁻¹. The relative error is that of rounding, up to 10⁻¹¹
    at Mahalanobis distances of 10³ with conditions of 10⁶. A step takes about k⁶ / 24 + 4 k⁵ multiplications, and k⁴
    numbers of memory.

    Args:
        mean1: (..., k) means, in the units of the variable.
        cov1: (..., k, k) symmetric positive definite covariances.
        mean2: (..., k) means; all batch shapes broadcast.
        cov2: (..., k, k) covariances.

    Returns:
        (...) distances, without unit. Differentiable twice in all arguments, not in forward mode; at coincident
        normals the gradient is zero. Of a pair without a geodesic found it is the length of the best curve found,
        which is an upper bound.

    Raises:
        TypeError: an argument is not a tensor in float32 or float64.
        ValueError: shapes, dtypes or devices do not match, a number is not finite, or a covariance is not
            symmetric positive definite.

    Warns:
        ConvergenceWarning: once for the batch, where no geodesic was found to 10⁻⁶ of its length; rounding stands in
            the way of normals that are very far apart.

    References:
        P. S. Eriksen, "Geodesics connected with the Fisher metric on the multivariate normal manifold", 1987. S.
        Kobayashi, "Geodesics of multivariate normal distributions and a Toda lattice type Lax pair", 2023,
        arXiv:2304.12575. S.-I. Amari, H. Nagaoka, "Methods of Information Geometry", 2000, for the metric.

    Example:
        >>> import torch
        >>> from latentgeo.gaussians.full import full_distance
        >>> origin, ahead, unit = torch.zeros(2), torch.tensor([2.0, 2.0]), torch.eye(2)
        >>> full_distance(origin, unit, ahead, unit)  # that of two independent coordinates is 2.6339
        tensor(2.4929)
    """
    pairs = double_pairs(mean1, cov1, mean2, cov2)
    distance, *_, found = Distance.apply(*pairs)
    _warn_of_failures(found, "the distance is an upper bound")
    return distance.to(mean1.dtype)


def full_logmap(
    mean1: Float[Tensor, "*#batch k"],
    cov1: Float[Tensor, "*#batch k k"],
    mean2: Float[Tensor, "*#batch k"],
    cov2: Float[Tensor, "*#batch k k"],
) -> tuple[Float[Tensor, "... k"], Float[Tensor, "... k k"]]:
    """The logarithm: the velocity (dμ, dΣ) at N(μ₁, Σ₁) of the geodesic that reaches N(μ₂, Σ₂) at time 1.

    Its norm, dμᵀ Σ₁⁻¹ dμ + ½ tr (Σ₁⁻¹dΣ)² under the root, is the distance.

    Args:
        mean1: (..., k) means.
        cov1: (..., k, k) covariances.
        mean2: (..., k) means; all batch shapes broadcast.
        cov2: (..., k, k) covariances.

    Returns:
        dμ (..., k) and dΣ (..., k, k); differentiable once in all arguments, by the implicit function theorem.

    Raises:
        TypeError: as for :func:`full_distance`.
        ValueError: as for :func:`full_distance`.

    Warns:
        ConvergenceWarning: as for :func:`full_distance`.

    Example:
        >>> import torch
        >>> from latentgeo.gaussians.full import full_logmap
        >>> origin, unit = torch.zeros(2), torch.eye(2)
        >>> full_logmap(origin, unit, torch.tensor([1.0, 0.0]), unit)
        (tensor([0.9242, 0.0000]), tensor([[0.4621, 0.0000],
                [0.0000, 0.0000]]))
    """
    dmean, dcov, found = velocity(*double_pairs(mean1, cov1, mean2, cov2))
    _warn_of_failures(found, "the logarithm does not lead to the second normal")
    return dmean.to(mean1.dtype), dcov.to(mean1.dtype)


def full_expmap(
    mean: Float[Tensor, "*#batch k"],
    cov: Float[Tensor, "*#batch k k"],
    dmean: Float[Tensor, "*#batch k"],
    dcov: Float[Tensor, "*#batch k k"],
) -> tuple[Float[Tensor, "... k"], Float[Tensor, "... k k"]]:
    """The exponential map: the normal that the geodesic from N(μ, Σ) with velocity (dμ, dΣ) reaches at time 1.

    Its equation is μ'' = Σ'Σ⁻¹μ', Σ'' = Σ'Σ⁻¹Σ' - μ'μ'ᵀ.

    Args:
        mean: (..., k) means.
        cov: (..., k, k) symmetric positive definite covariances.
        dmean: (..., k) velocities of the mean; all batch shapes broadcast.
        dcov: (..., k, k) symmetric velocities of the covariance.

    Returns:
        Means (..., k) and covariances (..., k, k); differentiable any number of times.

    Raises:
        TypeError: an argument is not a tensor in float32 or float64.
        ValueError: shapes, dtypes or devices do not match, a number is not finite, a matrix is not symmetric, or a
            covariance not positive definite.

    References:
        M. Calvo, J. M. Oller, "An explicit solution of information geodesic equations for the multivariate normal
        model", Statistics & Decisions 9, 1991.

    Example:
        >>> import torch
        >>> from latentgeo.gaussians.full import full_expmap
        >>> full_expmap(torch.zeros(2), torch.eye(2), torch.tensor([1.0, 0.0]), torch.zeros(2, 2))
        (tensor([0.8611, 0.0000]), tensor([[0.6293, 0.0000], [0.0000, 1.0000]]))
    """
    check_pair("mean", mean, "cov", cov)
    check_positive("cov", cov)
    check_pair("dmean", dmean, "dcov", dcov)
    k = mean.shape[-1]
    if dmean.shape[-1] != k:
        raise ValueError(f"dmean must have the {k} coordinates of mean, got {describe(dmean)}")
    check_alike("mean", mean, "dmean", dmean)
    foot = torch.broadcast_shapes(mean.shape[:-1], cov.shape[:-2])
    arrow = torch.broadcast_shapes(dmean.shape[:-1], dcov.shape[:-2])
    check_broadcast("the normal", foot, "its velocity", arrow)
    batch = torch.broadcast_shapes(foot, arrow)
    end, spread = _arrival(
        mean.double().expand(*batch, k),
        symmetric(cov).expand(*batch, k, k),
        dmean.double().expand(*batch, k),
        symmetric(dcov).expand(*batch, k, k),
    )
    return end.to(mean.dtype), spread.to(mean.dtype)


def full_geodesic(
    mean1: Float[Tensor, "*#batch k"],
    cov1: Float[Tensor, "*#batch k k"],
    mean2: Float[Tensor, "*#batch k"],
    cov2: Float[Tensor, "*#batch k k"],
    t: Float[Tensor, " m"],
) -> tuple[Float[Tensor, "m ... k"], Float[Tensor, "m ... k k"]]:
    """The geodesic from N(μ₁, Σ₁) at t = 0 to N(μ₂, Σ₂) at t = 1, at constant speed.

    The half next to either end is the exponential of the logarithm there, so that rounding grows over half the way.

    Args:
        mean1: (..., k) means.
        cov1: (..., k, k) covariances.
        mean2: (..., k) means; all batch shapes broadcast.
        cov2: (..., k, k) covariances.
        t: (M,) times; beyond [0, 1] the geodesic is continued.

    Returns:
        Means (M, ..., k) and covariances (M, ..., k, k); differentiable once in the normals, and in t. Of a pair
        without a geodesic found the two halves may not meet.

    Raises:
        TypeError: as for :func:`full_distance`, or t is not a tensor in float32 or float64.
        ValueError: as for :func:`full_distance`, or t is not a vector of finite times.

    Warns:
        ConvergenceWarning: as for :func:`full_distance`.

    Example:
        >>> import torch
        >>> from latentgeo.gaussians.full import full_geodesic
        >>> origin, unit = torch.zeros(2), torch.eye(2)
        >>> full_geodesic(origin, unit, origin, 4 * unit, torch.tensor([0.5]))[1]
        tensor([[[2., 0.], [0., 2.]]])
    """
    check_precision("t", t)
    if t.ndim != 1 or not (inside_transform() or bool(t.isfinite().all())):
        raise ValueError(f"t must be a vector of finite times (M,), got {describe(t)}")
    mean1, cov1, mean2, cov2, dtype = *double_pairs(mean1, cov1, mean2, cov2), mean1.dtype
    dmean1, dcov1, found = velocity(mean1, cov1, mean2, cov2)
    dmean2, dcov2, found_back = velocity(mean2, cov2, mean1, cov1)
    _warn_of_failures(found & found_back, "the two halves of the curve may not meet")
    vector, matrix = (t.to(mean1).reshape(-1, *(1,) * x.ndim) for x in (mean1, cov1))
    mean, cov = _arrival(
        torch.where(vector <= 0.5, mean1, mean2),
        torch.where(matrix <= 0.5, cov1, cov2),
        torch.where(vector <= 0.5, vector * dmean1, (1 - vector) * dmean2),
        torch.where(matrix <= 0.5, matrix * dcov1, (1 - matrix) * dcov2),
    )
    return mean.to(dtype), cov.to(dtype)


def _arrival(mean: Tensor, cov: Tensor, dmean: Tensor, dcov: Tensor) -> tuple[Tensor, Tensor]:
    """The exponential map, from N(0, I) by an affine map."""
    root = torch.linalg.cholesky(cov)
    x = solve_triangular(root, dmean[..., None], upper=False)[..., 0]
    b = solve_triangular(root, solve_triangular(root, dcov, upper=False).mT, upper=False)
    end, frame = exponential(x, (b + b.mT) / 2)
    frame = root @ frame
    return mean + (root @ end[..., None])[..., 0], frame @ frame.mT


def _warn_of_failures(found: Tensor, consequence: str) -> None:
    """Gives one ConvergenceWarning for the batch, if a geodesic was not found."""
    found = unwrapped(found)  # transforms of torch.func warn too
    if bool(found.all()):
        return
    warnings.warn(
        f"{int((~found).sum())} of {found.numel()} pairs of normals are too far apart for a geodesic to be found in "
        f"double precision; there {consequence}",
        ConvergenceWarning,
        stacklevel=3,
    )
