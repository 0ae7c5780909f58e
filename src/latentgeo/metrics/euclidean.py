"""The flat metric."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.metrics.arguments import check_count, check_points, check_tangent, describe
from latentgeo.metrics.immersion import Immersion
from latentgeo.metrics.metric import Metric


class EuclideanMetric(Metric):
    """The flat metric G(z) = I on R^dim: the baseline every other metric is compared with.

    Args:
        dim: the number d of latent coordinates.

    Raises:
        TypeError: of the methods, where a point or tangent is not a floating-point tensor.
        ValueError: ``dim`` is not a positive integer; of the methods, where a point has not ``dim`` coordinates, or a
            tangent does not match it.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric
        >>> EuclideanMetric(2).norm(torch.zeros(2), torch.tensor([3.0, 4.0]))
        tensor(5.)
    """

    def __init__(self, dim: int) -> None:
        check_count("dim", dim)
        self.dim = dim
        self._identity = Immersion(_itself)

    @property
    def immersion(self) -> Immersion:
        """The identity."""
        return self._identity

    def resolved(self, z: Float[Tensor, "*batch d"]) -> Metric:
        """Itself, which knows how many coordinates z must have."""
        self._check(z)
        return self

    def __repr__(self) -> str:
        return f"EuclideanMetric({self.dim})"

    def __call__(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d d"]:
        """The identity at every point."""
        self._check(z)
        return torch.eye(self.dim, dtype=z.dtype, device=z.device).expand(*z.shape, self.dim)

    def inner(
        self, z: Float[Tensor, "*#batch d"], u: Float[Tensor, "*#batch d"], v: Float[Tensor, "*#batch d"]
    ) -> Float[Tensor, "..."]:
        """The scalar product u · v."""
        self._check(z)
        check_tangent(z, "u", u)
        check_tangent(z, "v", v)
        check_tangent(u, "v", v, foot="u")
        return (u * v + torch.zeros_like(z)).sum(-1)

    def _check(self, z: Tensor) -> None:
        check_points("z", z)
        if z.shape[-1] != self.dim:
            raise ValueError(f"z must have {self.dim} coordinates, got {describe(z)}")


def _itself(z: Tensor) -> Tensor:  # not a lambda, so that the metric can be pickled
    return z
