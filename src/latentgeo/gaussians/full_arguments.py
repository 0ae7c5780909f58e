"""Checks of means and covariances at the public boundary."""

from __future__ import annotations

import torch
from torch import Tensor

from latentgeo.gaussians.arguments import check_alike, check_broadcast
from latentgeo.metrics.arguments import check_precision, describe
from latentgeo.metrics.directional import inside_transform


def check_pair(mean_name: str, mean: Tensor, matrix_name: str, matrix: Tensor) -> None:
    """Refuses what are not a vector (..., k) and a symmetric matrix (..., k, k), finite, of one dtype and device."""
    check_precision(mean_name, mean)
    check_precision(matrix_name, matrix)
    if mean.ndim < 1 or mean.shape[-1] == 0:
        raise ValueError(f"{mean_name} must have shape (..., k) with k >= 1, got {describe(mean)}")
    k = mean.shape[-1]
    if matrix.ndim < 2 or matrix.shape[-2:] != (k, k):
        raise ValueError(
            f"{matrix_name} must have shape (..., {k}, {k}), as {mean_name} has {k} coordinates, "
            f"got {describe(matrix)}"
        )
    check_alike(mean_name, mean, matrix_name, matrix)
    check_broadcast(mean_name, mean.shape[:-1], matrix_name, matrix.shape[:-2])
    if inside_transform():  # where no value can be looked at
        return
    with torch.no_grad():
        for name, x in ((mean_name, mean), (matrix_name, matrix)):
            if not bool(x.isfinite().all()):
                raise ValueError(f"{name} must be finite, got {float(x[~x.isfinite()].flatten()[0])}")
        size = matrix.abs().amax((-2, -1)) if matrix.numel() else matrix.new_zeros(matrix.shape[:-2])
        skew = (matrix - matrix.mT).abs().amax((-2, -1)) if matrix.numel() else size
        lopsided = int((skew > torch.finfo(matrix.dtype).eps ** 0.5 * size).sum())
        if lopsided:
            raise ValueError(
                f"{matrix_name} must be symmetric, but {lopsided} of {skew.numel()} are not, "
                f"by {float(skew.max()):.3g}"
            )


def check_positive(name: str, cov: Tensor) -> None:
    """Refuses covariances without a Cholesky factor in double precision."""
    if inside_transform():
        return
    failed = torch.linalg.cholesky_ex(cov.detach().double()).info > 0
    if bool(failed.any()):
        raise ValueError(
            f"{name} must be positive definite, but {int(failed.sum())} of {failed.numel()} are not"
        )


def double_pairs(
    mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two normals, checked, symmetric, of one batch shape and in double precision."""
    for name, mean, cov in (("1", mean1, cov1), ("2", mean2, cov2)):
        check_pair(f"mean{name}", mean, f"cov{name}", cov)
        check_positive(f"cov{name}", cov)
    k = mean1.shape[-1]
    if mean2.shape[-1] != k:
        raise ValueError(f"mean2 must have the {k} coordinates of mean1, got {describe(mean2)}")
    check_alike("mean1", mean1, "mean2", mean2)
    first = torch.broadcast_shapes(mean1.shape[:-1], cov1.shape[:-2])
    second = torch.broadcast_shapes(mean2.shape[:-1], cov2.shape[:-2])
    check_broadcast("the first normal", first, "the second", second)
    batch = torch.broadcast_shapes(first, second)
    return (
        mean1.double().expand(*batch, k),
        symmetric(cov1).expand(*batch, k, k),
        mean2.double().expand(*batch, k),
        symmetric(cov2).expand(*batch, k, k),
    )


def symmetric(matrix: Tensor) -> Tensor:
    """The symmetric part, in double precision."""
    return (matrix.double() + matrix.double().mT) / 2
