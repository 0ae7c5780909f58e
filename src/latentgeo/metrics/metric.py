"""The one interface of the library: a metric is a map z -> G(z) with an inner product."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.metrics.arguments import check_points, check_tangent, describe

if TYPE_CHECKING:
    from latentgeo.metrics.immersion import AmbientMap, Immersion

# In units of machine epsilon and of vᵢ |G_ij| vⱼ, how far below 0 the square of a null vector can come out.
_ROUNDINGS = 64.0


class Metric(ABC):
    """A Riemannian metric on a latent space: at each point z a symmetric positive semi-definite matrix G(z).

    A subclass gives ``__call__``; it overrides ``inner`` where the product is cheaper than the matrix, and
    ``immersion`` where G = J_Fᵀ J_F for a map F, so that curve energies need only F.

    Raises:
        TypeError: of the methods, where a point or tangent is not a floating-point tensor.
        ValueError: of the methods, where it is not (..., d), or shapes, dtypes or devices do not match.

    References:
        M. P. do Carmo, "Riemannian Geometry", 1992, chapter 1.

    Example:
        The hyperbolic half-plane, whose length unit is the height:

        >>> import torch
        >>> from latentgeo import Metric
        >>> class HalfPlane(Metric):
        ...     def __call__(self, z):
        ...         return torch.eye(2).to(z) / z[..., 1, None, None] ** 2
        >>> HalfPlane().norm(torch.tensor([0.0, 2.0]), torch.tensor([3.0, 4.0]))
        tensor(2.5000)
    """

    @property
    def immersion(self) -> Immersion | None:
        """The map F with G = J_Fᵀ J_F, where one is known."""
        return None

    @property
    def ambient_map(self) -> AmbientMap | None:
        """The map into a space with a metric of its own, where G is pulled back from one and has no immersion."""
        return None

    def resolved(self, z: Float[Tensor, "*batch d"]) -> Metric:
        """The metric as it is known once the decoder has answered at z: itself, as a rule.

        Of a decoder into distributions only the answer tells the family, and with it whether there is an immersion:
        whoever asks for :attr:`immersion` or :attr:`ambient_map` asks this metric for it.
        """
        return self

    @abstractmethod
    def __call__(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d d"]:
        """The matrix G(z) of the metric in latent coordinates."""

    def inner(
        self, z: Float[Tensor, "*#batch d"], u: Float[Tensor, "*#batch d"], v: Float[Tensor, "*#batch d"]
    ) -> Float[Tensor, "..."]:
        """The inner product uᵀ G(z) v of two tangent vectors at z."""
        check_tangent(z, "u", u)
        check_tangent(z, "v", v)
        check_tangent(u, "v", v, foot="u")
        return torch.einsum("...i,...ij,...j->...", u, self(z), v)

    def norm(self, z: Float[Tensor, "*#batch d"], v: Float[Tensor, "*#batch d"]) -> Float[Tensor, "..."]:
        """The length sqrt(vᵀ G(z) v) of a tangent vector, in ambient units; with derivative 0 where it is 0."""
        return root(self.inner(z, v, v))


class FunctionMetric(Metric):
    """A metric given by any function z -> G(z) on batches; see :func:`metric_from_function`."""

    def __init__(self, fn: Callable[[Tensor], Tensor]) -> None:
        self._fn = fn

    def __repr__(self) -> str:
        return f"FunctionMetric({self._fn!r})"

    def __call__(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d d"]:
        """The matrix G(z)."""
        check_points("z", z)
        d = z.shape[-1]
        flat = z.reshape(-1, d)
        matrix = self._fn(flat)
        if not isinstance(matrix, Tensor) or matrix.shape != (flat.shape[0], d, d):
            raise ValueError(
                f"fn must map a batch of shape {tuple(flat.shape)} to matrices of shape "
                f"{(flat.shape[0], d, d)}, but returned {describe(matrix)}"
            )
        if not matrix.is_floating_point():
            raise TypeError(f"fn must return floating-point matrices, but returned {describe(matrix)}")
        return matrix.reshape(*z.shape, d)

    def norm(self, z: Float[Tensor, "*#batch d"], v: Float[Tensor, "*#batch d"]) -> Float[Tensor, "..."]:
        """The length sqrt(vᵀ G(z) v); NaN where fn is indefinite, so that the square is negative beyond rounding."""
        check_tangent(z, "v", v)
        matrix = self(z)
        square = torch.einsum("...i,...ij,...j->...", v, matrix, v)
        size = torch.einsum("...i,...ij,...j->...", v.abs(), matrix.abs(), v.abs()).detach()
        rounding = _ROUNDINGS * torch.finfo(square.dtype).eps * size
        return root(torch.where(square < -rounding, torch.nan, square))


def metric_from_function(fn: Callable[[Tensor], Tensor]) -> Metric:
    """The metric whose matrix is computed by ``fn``.

    Args:
        fn: maps a batch of points (N, d) to symmetric positive semi-definite matrices (N, d, d), row by row,
            with torch operations (differentiable, if geodesics are wanted).

    Returns:
        A :class:`Metric`; G is what ``fn`` says, neither symmetrised nor regularised.

    Raises:
        TypeError: ``fn`` is not callable.

    Example:
        >>> import torch
        >>> from latentgeo import metric_from_function
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> half_plane(torch.tensor([0.0, 2.0]))
        tensor([[0.2500, 0.0000],
                [0.0000, 0.2500]])
    """
    if not callable(fn):
        raise TypeError(f"fn must be a callable (N, d) -> (N, d, d), got {describe(fn)}")
    return FunctionMetric(fn)


def root(x: Tensor) -> Tensor:
    """The square root of what is not negative but by rounding, with derivative 0 at 0."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1).sqrt(), torch.where(x.isnan(), x, 0))


def check_metric(metric: object) -> None:
    """Refuses what is not a Metric, such as the decoder itself."""
    if not isinstance(metric, Metric):
        raise TypeError(
            f"metric must be a latentgeo Metric, such as pullback_metric(decoder), got {describe(metric)}"
        )
