"""Diagonal normals as a manifold of geoopt, for its optimisers."""

from __future__ import annotations

import geoopt
import torch
from geoopt.utils import size2shape
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from latentgeo.gaussians import diagonal
from latentgeo.gaussians.diagonal import Point
from latentgeo.metrics.arguments import describe


class DiagonalNormal(geoopt.Manifold):
    """The manifold of normals with independent coordinates, with the Fisher-Rao metric.

    Points are tensors (..., 2, d), means above standard deviations: ``torch.stack([mean, std], -2)``. The metric
    ds² = Σ (dμᵢ² + 2 dσᵢ²) / σᵢ² makes it a product of d half-planes of curvature -1/2, complete and without cut
    points; every map is a closed form, see :mod:`latentgeo.gaussians.univariate`. The gradient of this manifold is
    the natural gradient: (σ² ∂/∂μ, σ²/2 ∂/∂σ).

    Long steps sideways end low: where a step of Fisher-Rao length s starts horizontally, the deviation falls by the
    factor cosh(s/√2). Start narrow rather than broad, or choose a rate that keeps steps below about 1, as that of
    RiemannianAdam does. The momentum of geoopt's RiemannianSGD (0.5.1) begins with partial derivatives instead of
    a gradient.

    Raises:
        TypeError: of the methods, where a point or tangent is not a floating-point tensor.
        ValueError: of the methods, where a standard deviation is not positive, except of :meth:`projx` and
            :meth:`proju`, or where shapes do not match.

    References:
        S. Amari, "Natural gradient works efficiently in learning", Neural Computation 10(2), 1998.
        M. Kochurov, R. Karimov, S. Kozlukov, "Geoopt: Riemannian optimization in PyTorch", 2020, arXiv:2005.02819.

    Example:
        The normal nearest to data in the sense of likelihood, by natural gradient:

        >>> import geoopt, torch
        >>> from latentgeo import DiagonalNormal
        >>> data = torch.tensor([[1.0], [3.0]])
        >>> normal = geoopt.ManifoldParameter(torch.tensor([[0.0], [1.0]]), manifold=DiagonalNormal())
        >>> optimizer = geoopt.optim.RiemannianSGD([normal], lr=0.5)
        >>> for _ in range(30):
        ...     optimizer.zero_grad()
        ...     loss = -DiagonalNormal.to_distribution(normal).log_prob(data).mean()
        ...     loss.backward()
        ...     _ = optimizer.step()
        >>> normal.data.flatten()
        tensor([2., 1.])
    """

    name = "DiagonalNormal"
    ndim = 2
    reversible = True

    @staticmethod
    def from_distribution(p: Distribution) -> Float[Tensor, "... 2 d"]:
        """The point of a ``Normal``, whose last batch dimension is read as d, or of an ``Independent(Normal, 1)``.

        Raises:
            TypeError: p is neither.
            ValueError: p has no dimension to read as d.
        """
        normal = p.base_dist if isinstance(p, Independent) else p
        if not isinstance(normal, Normal) or (
            isinstance(p, Independent) and p.reinterpreted_batch_ndims != 1
        ):
            raise TypeError(f"p must be a Normal or an Independent(Normal, 1), got {describe(p)}")
        if not normal.loc.ndim:
            raise ValueError("p must have a last dimension of coordinates, got a single Normal")
        return torch.stack([normal.loc, normal.scale], -2)

    @staticmethod
    def to_distribution(x: Point) -> Independent:
        """The ``Independent(Normal, 1)`` of a point, with batch shape (...) and event shape (d,)."""
        normal = Normal(*diagonal.split("x", x), validate_args=False)
        return Independent(normal, 1, validate_args=False)

    def dist(self, x: Point, y: Point, *, keepdim: bool = False) -> Float[Tensor, "..."]:
        """The Fisher-Rao distance, (...) or, with ``keepdim``, (..., 1, 1)."""
        return _kept(diagonal.distance(x, y), keepdim)

    def dist2(self, x: Point, y: Point, *, keepdim: bool = False) -> Float[Tensor, "..."]:
        """The square of the distance, smooth also where x is y."""
        return _kept(diagonal.squared_distance(x, y), keepdim)

    def inner(
        self, x: Point, u: Point, v: Point | None = None, *, keepdim: bool = False
    ) -> Float[Tensor, "..."]:
        """The inner product Σ (uμ vμ + 2 uσ vσ) / σ²; the square of u without v."""
        return _kept(diagonal.inner(x, u, u if v is None else v), keepdim)

    def component_inner(self, x: Point, u: Point, v: Point | None = None) -> Float[Tensor, "... 2 d"]:
        """The inner product in each coordinate, so that Adam adapts its steps to each by itself."""
        product = diagonal.component_inner(x, u, u if v is None else v)[..., None, :]
        return product.expand(*product.shape[:-2], 2, product.shape[-1])

    def geodesic(self, t: Float[Tensor, "*times"] | float, x: Point, y: Point) -> Float[Tensor, "... 2 d"]:
        """The geodesic from x, t = 0, to y, t = 1.

        Args:
            t: one time, a number or a tensor; (M,) times, which become the leading dimension; or (..., 1, 1) times,
                which broadcast.
            x: (..., 2, d) points.
            y: (..., 2, d) points.
        """
        return diagonal.geodesic(x, y, t)

    def expmap(self, x: Point, u: Point) -> Float[Tensor, "... 2 d"]:
        """The exponential map, exact."""
        return diagonal.expmap(x, u)

    def retr(self, x: Point, u: Point) -> Float[Tensor, "... 2 d"]:
        """The exponential map: it is a closed form, and no step leaves the manifold."""
        return diagonal.expmap(x, u)

    def logmap(self, x: Point, y: Point) -> Float[Tensor, "... 2 d"]:
        """The logarithm of y at x, exact."""
        return diagonal.logmap(x, y)

    def transp(self, x: Point, y: Point, v: Point) -> Float[Tensor, "... 2 d"]:
        """Parallel transport along the geodesic from x to y, exact."""
        return diagonal.transport(x, y, v)

    def sectional_curvature(self, x: Point, u: Point, v: Point) -> Float[Tensor, "..."]:
        """The curvature of the plane of u and v, between -1/2 and 0."""
        return diagonal.sectional_curvature(x, u, v)

    def egrad2rgrad(self, x: Point, u: Point) -> Float[Tensor, "... 2 d"]:
        """The natural gradient (σ² uμ, σ²/2 uσ) of partial derivatives u."""
        return diagonal.gradient(x, u)

    def proju(self, x: Point, u: Point) -> Float[Tensor, "... 2 d"]:
        """The vector itself: every (..., 2, d) tensor is tangent."""
        diagonal.tangent("u", u, x)
        return u.expand(torch.broadcast_shapes(x.shape, u.shape))

    def projx(self, x: Point) -> Float[Tensor, "... 2 d"]:
        """Points as they are, except that a deviation that is not positive becomes the machine epsilon.

        The manifold is open and has no nearest point for these; as geoopt does for positive definite matrices, a
        small number stands in. NaN stays NaN.
        """
        self._assert_check_shape(tuple(x.shape), "x")  # pyright: ignore[reportArgumentType]
        mean, std = x.unbind(-2)
        return torch.stack([mean, torch.where(std <= 0, torch.finfo(x.dtype).eps, std)], -2)

    def random(
        self,
        *size: int | tuple[int, ...],
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> geoopt.ManifoldTensor:
        """Points with standard normal means and log-normal deviations, of size (..., 2, d)."""
        shape = self._shape(*size)
        mean, log_std = torch.randn(shape, dtype=dtype, device=device, generator=generator).unbind(-2)
        x = torch.stack([mean, log_std.exp()], -2)
        return geoopt.ManifoldTensor(x, manifold=self)  # pyright: ignore[reportCallIssue]

    def origin(
        self,
        *size: int | tuple[int, ...],
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        seed: int | None = 42,
    ) -> geoopt.ManifoldTensor:
        """The standard normal, of size (..., 2, d); nothing is drawn, whatever the seed."""
        one = torch.ones(self._shape(*size), dtype=dtype, device=device)[..., 0, :]
        x = torch.stack([torch.zeros_like(one), one], -2)
        return geoopt.ManifoldTensor(x, manifold=self)  # pyright: ignore[reportCallIssue]

    def _shape(self, *size: int | tuple[int, ...]) -> tuple[int, ...]:
        shape = tuple(size2shape(*size))  # pyright: ignore[reportArgumentType] one number is not all geoopt takes
        self._assert_check_shape(shape, "size")  # pyright: ignore[reportArgumentType]
        return shape

    def _check_shape(self, shape: tuple[int, ...], name: str) -> tuple[bool, str | None]:
        if len(shape) >= 2 and shape[-2] == 2 and shape[-1] > 0:
            return True, None
        return False, f"{name} must have shape (..., 2, d), means above deviations, got {tuple(shape)}"

    def _check_point_on_manifold(
        self, x: Tensor, *, atol: float = 1e-5, rtol: float = 1e-5
    ) -> tuple[bool, str | None]:
        if not bool(x.isfinite().all()):
            return False, "means and deviations must be finite"
        if not bool((x[..., 1, :] > 0).all()):
            return False, f"deviations must be positive, the smallest is {float(x[..., 1, :].min()):.6g}"
        return True, None

    def _check_vector_on_tangent(
        self, x: Tensor, u: Tensor, *, atol: float = 1e-5, rtol: float = 1e-5
    ) -> tuple[bool, str | None]:
        try:
            diagonal.tangent("u", u, x)
        except (TypeError, ValueError) as error:
            return False, str(error)
        return True, None


def _kept(value: Tensor, keepdim: bool) -> Tensor:
    return value[..., None, None] if keepdim else value
