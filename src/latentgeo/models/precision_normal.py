"""Normals given by a sparse Cholesky factor of their precision: what chain and grid have in common."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, constraints
from torch.distributions.kl import kl_divergence, register_kl

from latentgeo.models.autocast import without_autocast

Vector = Float[Tensor, "*batch k"]
Matrix = Float[Tensor, "*batch k k"]
Member = TypeVar("Member", bound="PrecisionNormal")


class PrecisionNormal(Distribution, ABC):
    """A normal N(μ, (L Lᵀ)⁻¹) with a sparse lower triangular L of positive diagonal a.

    z = μ + L⁻ᵀ ε,  log q(z) = Σ log aᵢ - (|Lᵀ (z - μ)|² + k log 2π) / 2,  entropy = (k + k log 2π) / 2 - Σ log aᵢ,

    KL(q || N(m, diag s²)) = Σ [vᵢ/sᵢ² + (μᵢ - mᵢ)²/sᵢ² - 1] / 2 + Σ log aᵢ sᵢ,

    with v the diagonal of the covariance. A subclass knows the sparsity of L, and so how to multiply by Lᵀ, how to
    substitute back, and `variance`.

    References:
        Rue and Held, Gaussian Markov Random Fields, 2005, chapter 2.
    """

    arg_constraints = {  # noqa: RUF012  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
        "mean": constraints.real_vector,
        "diagonal": constraints.independent(constraints.positive, 1),
        "off_diagonal": constraints.real_vector,
    }
    support = constraints.real_vector  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    has_rsample = True

    loc: Tensor
    diagonal: Tensor
    off_diagonal: Tensor

    def __init__(
        self,
        mean: Float[Tensor, "*#batch k"],
        diagonal: Float[Tensor, "*#batch k"],
        off_diagonal: Float[Tensor, "*#batch edges"],
        validate_args: bool | None = None,
    ) -> None:
        given = {"mean": mean, "diagonal": diagonal, "off_diagonal": off_diagonal}
        for name, value in given.items():
            if not isinstance(value, Tensor) or not value.is_floating_point():
                what = value.dtype if isinstance(value, Tensor) else type(value).__name__
                raise TypeError(f"{name}: expected a floating-point tensor, got {what}")
            if value.dtype != mean.dtype or value.device != mean.device:
                raise ValueError(
                    f"{name}: expected {mean.dtype} on {mean.device} as the mean is, "
                    f"got {value.dtype} on {value.device}"
                )
        if mean.dim() == 0 or mean.shape[-1] == 0:
            raise ValueError(f"mean: expected shape (..., k) with k at least 1, got {tuple(mean.shape)}")
        lengths = {"diagonal": mean.shape[-1], "off_diagonal": self._num_off_diagonal(mean.shape[-1])}
        for name, length in lengths.items():
            if given[name].shape[-1:] != (length,):
                raise ValueError(f"{name}: expected shape (..., {length}), got {tuple(given[name].shape)}")
        try:
            batch_shape = torch.broadcast_shapes(*(value.shape[:-1] for value in given.values()))
        except RuntimeError as error:
            shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in given.items())
            raise ValueError(
                f"mean, diagonal, off_diagonal: expected batch shapes that broadcast, got {shapes}"
            ) from error
        self.loc = mean.expand(*batch_shape, -1)
        self.diagonal = diagonal.expand(*batch_shape, -1)
        self.off_diagonal = off_diagonal.expand(*batch_shape, -1)
        super().__init__(batch_shape, mean.shape[-1:], validate_args=validate_args)

    @abstractmethod
    def _num_off_diagonal(self, k: int) -> int:
        """How many entries L has below its diagonal; refuses a k that the structure does not have."""

    @abstractmethod
    def _whiten(self, y: Vector) -> Vector:
        """Lᵀ y, for y of the batch shape or with leading dimensions more."""

    @abstractmethod
    def _unwhiten(self, eps: Vector) -> Vector:
        """L⁻ᵀ ε, for ε of the batch shape or with leading dimensions more."""

    @property
    def mean(self) -> Vector:
        """μ, (..., k)."""
        return self.loc

    @property
    def mode(self) -> Vector:
        """μ, (..., k)."""
        return self.loc

    @property
    def covariance_matrix(self) -> Matrix:
        """Σ = L⁻ᵀ L⁻¹, dense: k² numbers."""
        inverse = self._inverse_transpose()
        with without_autocast(self.loc.device):
            return inverse @ inverse.mT

    @property
    def precision_cholesky(self) -> Matrix:
        """L, dense: k² numbers."""
        return self._whiten(self._unit_vectors()).movedim(0, -2)

    @property
    def precision_matrix(self) -> Matrix:
        """P = L Lᵀ, dense: k² numbers."""
        cholesky = self.precision_cholesky
        with without_autocast(self.loc.device):
            return cholesky @ cholesky.mT

    def to_multivariate_normal(self) -> MultivariateNormal:
        """The same distribution as a dense normal of torch, in time k³.

        The Cholesky factor of Σ = L⁻ᵀ L⁻¹ is Rᵀ of L⁻¹ = Q R, which does not square the condition of L.
        """
        r = torch.linalg.qr(self._inverse_transpose().mT).R
        positive = r * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-1)
        return MultivariateNormal(self.loc, scale_tril=positive.mT, validate_args=self._validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Float[Tensor, "..."]:
        """μ + L⁻ᵀ ε with ε ~ N(0, I), differentiable in the parameters.

        Returns:
            (*sample_shape, ..., k).
        """
        shape = self._extended_shape(torch.Size(sample_shape))
        eps = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self._unwhiten(eps)

    def log_prob(self, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The log-density of `value` (..., k)."""
        if self._validate_args:
            self._validate_sample(value)
        square = self._whiten(value - self.loc).square().sum(-1)
        return self.diagonal.log().sum(-1) - 0.5 * (square + self._event_shape[0] * math.log(2 * math.pi))

    def entropy(self) -> Float[Tensor, "*batch"]:
        """The differential entropy, in nats."""
        return 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi)) - self.diagonal.log().sum(-1)

    def expand(self: Member, batch_shape: Sequence[int], _instance: Distribution | None = None) -> Member:
        """The same normals with their batch shape expanded, without copies."""
        new = cast(Member, self._get_checked_instance(type(self), _instance))
        vars(new).update(vars(self))
        for name in ("loc", "diagonal", "off_diagonal"):
            setattr(new, name, getattr(self, name).expand(*batch_shape, -1))
        Distribution.__init__(new, torch.Size(batch_shape), self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _unit_vectors(self) -> Tensor:
        """The k unit vectors, (k, ..., k)."""
        k = self._event_shape[0]
        eye = torch.eye(k, dtype=self.loc.dtype, device=self.loc.device)
        return eye.reshape(k, *(1,) * len(self._batch_shape), k).expand(k, *self._batch_shape, k)

    def _inverse_transpose(self) -> Tensor:
        """L⁻ᵀ, dense."""
        return self._unwhiten(self._unit_vectors()).movedim(0, -1)


@register_kl(PrecisionNormal, Independent)
def _kl_to_independent(p: PrecisionNormal, q: Independent) -> Tensor:
    if not isinstance(q.base_dist, Normal):
        raise NotImplementedError(
            f"q: expected Independent(Normal), got Independent({type(q.base_dist).__name__})"
        )
    check_event_shapes(p, q)
    shift = (p.mean - q.mean) / q.stddev
    return whitened_kl(p.variance / q.variance, shift, (p.diagonal * q.stddev).log())


@register_kl(PrecisionNormal, MultivariateNormal)
def _kl_to_dense(p: PrecisionNormal, q: MultivariateNormal) -> Tensor:
    check_event_shapes(p, q)
    return kl_divergence(p.to_multivariate_normal(), q)


def whitened_kl(
    variance: Float[Tensor, "*batch k"],
    shift: Float[Tensor, "*batch k"],
    log_ratio: Float[Tensor, "*batch k"],
) -> Float[Tensor, "*batch"]:
    """KL(N(μ, Σ) || N(m, (L Lᵀ)⁻¹)) by what Lᵀ makes of the first.

    Σ [variance + shift² - 1] / 2 + log ratio, over coordinates. Near equality the terms of a coordinate cancel, and
    not sums over all of them.

    Args:
        variance: the diagonal of Lᵀ Σ L.
        shift: Lᵀ (μ - m).
        log_ratio: the logarithms of the diagonal of the first normal's Cholesky factor over that of L.
    """
    return (0.5 * (variance - 1 + shift.square()) + log_ratio).sum(-1)


def check_event_shapes(p: Distribution, q: Distribution) -> None:
    """Refuse normals of different dimension."""
    if p.event_shape != q.event_shape:
        raise ValueError(f"q: expected event shape {tuple(p.event_shape)}, got {tuple(q.event_shape)}")
