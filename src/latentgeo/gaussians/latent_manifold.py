"""Any latent metric as a manifold of geoopt, for its optimisers."""

from __future__ import annotations

import geoopt
import torch
from geoopt.utils import size2shape
from jaxtyping import Float
from torch import Tensor

from latentgeo.gaussians.arguments import as_times
from latentgeo.geodesics import Solver, distance, expmap, geodesic, logmap
from latentgeo.geometry import parallel_transport
from latentgeo.metrics import Metric
from latentgeo.metrics.arguments import check_count, check_points, check_precision, check_tangent, describe
from latentgeo.metrics.metric import check_metric

Point = Float[Tensor, "*#batch d"]
# Eigenvalues of G below this share of the largest, in units of d machine epsilons, are rounding.
_RANK = 16.0


class LatentManifold(geoopt.Manifold):
    """A latent space R^dim with a metric G, on which geoopt's optimisers walk.

    Points are tensors (..., dim); every tensor is a point, and every tensor of its shape a tangent. The gradient of a
    function with partial derivatives g is G⁺g. Where G = JᵀJ of a decoder f and the function is ½ |f(z) - x|², the
    step -G⁺g is that of Gauss and Newton: steps are as long as what they change in the output, not in the latent.

    Optimisers step along straight latent lines, x + u. That is a retraction, no point is ever outside of it, and long
    steps go astray less often than along x + u - ½ Γ(u, u), which needs an acceleration besides. Momentum
    is carried along that line. :meth:`expmap`, :meth:`logmap`, :meth:`dist`, :meth:`geodesic` and :meth:`transp`
    follow geodesics, with the accuracy of the library's solvers.

    Args:
        metric: the metric G.
        dim: the number of latent coordinates.
        solver: for geodesics between points; ``MinimizeEnergy()``, if None.

    Raises:
        TypeError: ``metric`` is not a Metric; of the methods, where a point is no tensor in float32 or float64.
        ValueError: ``dim`` is not a positive integer; of the methods, where a point has not ``dim`` coordinates, or
            a tangent does not match it.

    References:
        S. Amari, "Natural gradient works efficiently in learning", Neural Computation 10(2), 1998. P.-A. Absil,
        R. Mahony, R. Sepulchre, "Optimization Algorithms on Matrix Manifolds", 2008, chapter 4, for retractions.

    Example:
        The latent code of an output, under a decoder that stretches its latents very differently:

        >>> import geoopt, torch
        >>> from latentgeo import LatentManifold, pullback_metric
        >>> decoder = lambda z: torch.stack([100 * z[:, 0], z[:, 1].sinh()], 1)
        >>> manifold = LatentManifold(pullback_metric(decoder), 2)
        >>> code = geoopt.ManifoldParameter(torch.zeros(1, 2), manifold=manifold)
        >>> optimizer = geoopt.optim.RiemannianSGD([code], lr=1.0)
        >>> for _ in range(6):
        ...     optimizer.zero_grad()
        ...     loss = (decoder(code) - torch.tensor([50.0, 1.0])).square().sum() / 2
        ...     loss.backward()
        ...     _ = optimizer.step()
        >>> code.data  # arsinh(1) = 0.8814
        tensor([[0.5000, 0.8814]])
    """

    name = "LatentManifold"
    ndim = 1
    reversible = False

    def __init__(self, metric: Metric, dim: int, *, solver: Solver | None = None) -> None:
        check_metric(metric)
        check_count("dim", dim)
        super().__init__()
        self.metric, self.dim, self.solver = metric, dim, solver

    def extra_repr(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] geoopt: Literal[""]
        """The metric and the dimension."""
        return f"{self.metric!r}, {self.dim}"

    def inner(
        self, x: Point, u: Point, v: Point | None = None, *, keepdim: bool = False
    ) -> Float[Tensor, "..."]:
        """The inner product uᵀ G(x) v; the square of u without v."""
        self._check("x", x)
        product = self.metric.inner(x, u, u if v is None else v)
        return product[..., None] if keepdim else product

    def egrad2rgrad(self, x: Point, u: Point) -> Float[Tensor, "... d"]:
        """The gradient G⁺u of a function with partial derivatives u.

        G⁺ is the pseudo-inverse: along latents that the decoder does not feel there is no gradient, and optimisers
        leave them as they are. Not differentiable where G is singular.
        """
        self._check("x", x)
        check_tangent(x, "u", u)
        rtol = _RANK * self.dim * torch.finfo(x.dtype).eps
        return (torch.linalg.pinv(self.metric(x), rtol=rtol, hermitian=True) @ u[..., None])[..., 0]

    def dist(self, x: Point, y: Point, *, keepdim: bool = False) -> Float[Tensor, "..."]:
        """The geodesic distance, (...) or, with ``keepdim``, (..., 1); differentiable."""
        batch, x, y = self._pairs(x, y)
        length = distance(self.metric, x, y, solver=self.solver).reshape(batch)
        return length[..., None] if keepdim else length

    def geodesic(self, t: Float[Tensor, " *m"] | float, x: Point, y: Point) -> Float[Tensor, "... d"]:
        """The geodesic from x, t = 0, to y, t = 1, at one time, or at times (M,), the leading dimension."""
        t = as_times(t, x)
        if t.ndim > 1:
            raise ValueError(f"t must be one time or times (M,), got {describe(t)}")
        batch, x, y = self._pairs(x, y)
        points = geodesic(self.metric, x, y, solver=self.solver).at(t.reshape(-1).to(x))
        return points.movedim(1, 0).reshape(*t.shape, *batch, self.dim)

    def expmap(self, x: Point, u: Point) -> Float[Tensor, "... d"]:
        """The exponential map, by integration."""
        self._check("x", x)
        return expmap(self.metric, x, u)

    def logmap(self, x: Point, y: Point) -> Float[Tensor, "... d"]:
        """The logarithm of y at x; not differentiable."""
        self._check("x", x)
        return logmap(self.metric, x, y, solver=self.solver)

    def transp(self, x: Point, y: Point, v: Point) -> Float[Tensor, "... d"]:
        """Parallel transport along the geodesic from x to y."""
        check_tangent(x, "v", v)
        batch, x, y = self._pairs(x, y)
        curve = geodesic(self.metric, x, y, solver=self.solver).points
        return parallel_transport(self.metric, curve.reshape(*batch, *curve.shape[1:]), v)[..., -1, :]

    def retr(self, x: Point, u: Point) -> Float[Tensor, "... d"]:
        """The point x + u, off the geodesic by the second order of u."""
        self._check("x", x)
        check_tangent(x, "u", u)
        return x + u

    def retr_transp(
        self, x: Point, u: Point, v: Point
    ) -> tuple[Float[Tensor, "... d"], Float[Tensor, "... d"]]:
        """The point x + u, and v carried there along the straight step, by one step of Runge and Kutta."""
        end = self.retr(x, u)
        step = torch.stack([x.expand_as(end), end], -2)
        return end, parallel_transport(self.metric, step, v)[..., -1, :]

    def transp_follow_retr(self, x: Point, u: Point, v: Point) -> Float[Tensor, "... d"]:
        """The transport of :meth:`retr_transp` alone."""
        return self.retr_transp(x, u, v)[1]

    def proju(self, x: Point, u: Point) -> Float[Tensor, "... d"]:
        """The vector itself: every one is tangent."""
        self._check("x", x)
        check_tangent(x, "u", u)
        return u.expand(torch.broadcast_shapes(x.shape, u.shape))

    def projx(self, x: Point) -> Float[Tensor, "... d"]:
        """The point itself: every one is on the manifold."""
        self._check("x", x)
        return x

    def random(
        self,
        *size: int | tuple[int, ...],
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> geoopt.ManifoldTensor:
        """Standard normal points of size (..., dim)."""
        shape = self._shape(*size)
        x = torch.randn(shape, dtype=dtype, device=device, generator=generator)
        return geoopt.ManifoldTensor(x, manifold=self)  # pyright: ignore[reportCallIssue]

    def origin(
        self,
        *size: int | tuple[int, ...],
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        seed: int | None = 42,
    ) -> geoopt.ManifoldTensor:
        """Zeros of size (..., dim); nothing is drawn, whatever the seed."""
        x = torch.zeros(self._shape(*size), dtype=dtype, device=device)
        return geoopt.ManifoldTensor(x, manifold=self)  # pyright: ignore[reportCallIssue]

    def _pairs(self, x: Tensor, y: Tensor) -> tuple[torch.Size, Tensor, Tensor]:
        self._check("x", x)
        check_tangent(x, "y", y)  # the same demands as on a tangent
        shape = torch.broadcast_shapes(x.shape, y.shape)
        return shape[:-1], x.expand(shape).reshape(-1, self.dim), y.expand(shape).reshape(-1, self.dim)

    def _check(self, name: str, x: Tensor) -> None:
        check_points(name, x)
        check_precision(name, x)
        if x.shape[-1] != self.dim:
            raise ValueError(f"{name} must have {self.dim} coordinates, got {describe(x)}")

    def _shape(self, *size: int | tuple[int, ...]) -> tuple[int, ...]:
        shape = tuple(size2shape(*size))  # pyright: ignore[reportArgumentType] one number is not all geoopt takes
        self._assert_check_shape(shape, "size")  # pyright: ignore[reportArgumentType]
        return shape

    def _check_shape(self, shape: tuple[int, ...], name: str) -> tuple[bool, str | None]:
        if len(shape) >= 1 and shape[-1] == self.dim:
            return True, None
        return False, f"{name} must have shape (..., {self.dim}), got {tuple(shape)}"

    def _check_point_on_manifold(
        self, x: Tensor, *, atol: float = 1e-5, rtol: float = 1e-5
    ) -> tuple[bool, str | None]:
        return (True, None) if bool(x.isfinite().all()) else (False, "coordinates must be finite")

    def _check_vector_on_tangent(
        self, x: Tensor, u: Tensor, *, atol: float = 1e-5, rtol: float = 1e-5
    ) -> tuple[bool, str | None]:
        try:
            check_tangent(x, "u", u)
        except (TypeError, ValueError) as error:
            return False, str(error)
        return True, None
