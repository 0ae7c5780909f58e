"""The metric of local variances of the data: cheap where data are, with no decoder at all."""

from __future__ import annotations

import math
from numbers import Real

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from latentgeo.metrics.arguments import check_points, check_tangent, describe
from latentgeo.metrics.directional import inside_transform
from latentgeo.metrics.metric import Metric

_BLOCK = 2**22  # differences of points and data that are held at once
_DATA = 2**13  # of as many data


class LocalPCAMetric(Metric):
    """The inverse of the local variance of data x_1, ..., x_N, coordinate by coordinate.

    G(z) is diagonal, with

        G_dd(z) = [ Σ_n w_n(z) (x_nd - z_d)² + ρ ]⁻¹,    w_n(z) = exp(-|x_n - z|² / (2 σ²)),

    so that shortest paths follow the data. Far away from them, in units of σ, it is 1/ρ.

    Args:
        data: (N, d) points, say latent means or low-dimensional data; kept by reference.
        bandwidth: σ, in units of the data.
        rho: ρ, in units of the data squared; it bounds the metric by 1/ρ.

    Raises:
        TypeError: ``data`` is not a floating-point tensor, ``bandwidth`` or ``rho`` not a number.
        ValueError: ``data`` is not (N, d) with N >= 1, or not finite; ``bandwidth`` or ``rho`` is not positive; of
            the methods, where a point has not the d coordinates of the data, or a tangent does not match it.

    References:
        G. Arvanitidis, L. K. Hansen, S. Hauberg, "A Locally Adaptive Normal Distribution", 2016, arXiv:1606.02518.

    Example:
        >>> import torch
        >>> from latentgeo import LocalPCAMetric
        >>> line = torch.stack([torch.linspace(-1, 1, 101), torch.zeros(101)], 1)
        >>> metric = LocalPCAMetric(line, bandwidth=0.2, rho=0.1)
        >>> metric(torch.tensor([0.0, 0.0])).diagonal()  # moving along the line is cheaper
        tensor([ 0.9069, 10.0000])
    """

    def __init__(self, data: Float[Tensor, "n d"], *, bandwidth: float, rho: float) -> None:
        check_points("data", data)
        if data.ndim != 2 or not len(data):
            raise ValueError(f"data must have shape (N, d) with N >= 1, got {describe(data)}")
        if not bool(data.isfinite().all()):
            raise ValueError("data must be finite, got NaN or infinity among them")
        for name, value in (("bandwidth", bandwidth), ("rho", rho)):
            if not isinstance(value, Real) or isinstance(value, bool):
                raise TypeError(f"{name} must be a number, got {describe(value)}")
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {value!r}")
        self._data = data
        self._bandwidth, self._rho = float(bandwidth), float(rho)

    def __repr__(self) -> str:
        n, d = self._data.shape
        return f"LocalPCAMetric({n} points, d={d}, bandwidth={self._bandwidth}, rho={self._rho})"

    def __call__(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d d"]:
        """The diagonal matrix of inverse local variances."""
        return torch.diag_embed(self._diagonal(z))

    def inner(
        self, z: Float[Tensor, "*#batch d"], u: Float[Tensor, "*#batch d"], v: Float[Tensor, "*#batch d"]
    ) -> Float[Tensor, "..."]:
        """The product Σ_d u_d G_dd(z) v_d."""
        check_tangent(z, "u", u)
        check_tangent(z, "v", v)
        return (u * self._diagonal(z) * v).sum(-1)

    def _diagonal(self, z: Tensor) -> Tensor:
        check_points("z", z)
        d = self._data.shape[1]
        if z.shape[-1] != d:
            raise ValueError(f"z must have the {d} coordinates of the data, got {describe(z)}")
        data = self._data.to(z)
        pieces = data.split(_DATA)
        points = z.reshape(-1, d).split(max(1, _BLOCK // (d * len(pieces[0]))))
        return torch.cat([self._variance(some, pieces) for some in points]).reciprocal().reshape(z.shape)

    def _variance(self, z: Tensor, pieces: tuple[Tensor, ...]) -> Tensor:
        """Σ_n w_n(z) (x_n - z)² + ρ, (n, d)."""
        total = torch.full_like(z, self._rho)
        # the graph of a sum over many data is larger than the data: it is built piece by piece when it is needed
        keep = len(pieces) == 1 or not torch.is_grad_enabled() or inside_transform()
        for x in pieces:
            part = self._part(z, x) if keep else checkpoint(self._part, z, x, use_reentrant=False)
            total = total + part
        return total

    def _part(self, z: Tensor, x: Tensor) -> Tensor:
        squares = (x - z[:, None]).square()
        weights = (squares.sum(-1) / (-2 * self._bandwidth**2)).exp()
        return torch.einsum("nk,nkd->nd", weights, squares)
