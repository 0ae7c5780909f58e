"""What every metric and every geodesic must satisfy, as functions that raise AssertionError where it fails.

Tolerances are multiples of machine epsilon, relative to the size of what is compared; what a discretization
adds is named where it enters.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

import latentgeo as lg
import reference

# Roundings that add up in the longest chain of operations here (networks of a few layers, d <= 10).
ROUNDINGS = 200.0


def rounding(dtype: torch.dtype) -> float:
    """The relative error that rounding alone explains."""
    return ROUNDINGS * torch.finfo(dtype).eps


def assert_near(
    actual: Tensor, expected: Tensor, rtol: float, what: str = "values", *, scale: Tensor | None = None
) -> None:
    """|actual - expected| <= rtol * scale everywhere, in float64; the scale is max|expected| where none is given."""
    assert actual.shape == expected.shape, (
        f"{what}: shape {tuple(actual.shape)} is not {tuple(expected.shape)}"
    )
    a, e = actual.detach().double().cpu(), expected.detach().double().cpu()
    if a.numel() == 0:
        return
    assert a.isfinite().all(), f"{what}: not finite: {a}"
    bound = rtol * (e.abs().max() if scale is None else scale.detach().double().cpu())
    excess = (a - e).abs() - bound
    assert (excess <= 0).all(), f"{what}: off by {(a - e).abs().max():.3g}, allowed {bound.max():.3g}"


# --- At a point


def matrix_is_symmetric_positive_semidefinite(metric: lg.Metric, z: Tensor) -> None:
    g = metric(z)
    d = z.shape[-1]
    assert g.shape == (*z.shape, d)
    assert g.dtype == z.dtype
    assert g.device == z.device
    assert_near(g, g.mT, rounding(z.dtype), "G against its transpose")
    values = torch.linalg.eigvalsh(g.double())
    floor = -rounding(z.dtype) * values.abs().amax(-1, keepdim=True)
    assert (values >= floor).all(), f"G has a negative eigenvalue {values.min()}"


def inner_is_the_matrix_product(metric: lg.Metric, z: Tensor, u: Tensor, v: Tensor) -> None:
    g = metric(z).double()
    u64, v64 = u.double(), v.double()
    sizes = (reference.product(g, u64, u64) * reference.product(g, v64, v64)).sqrt()
    got = metric.inner(z, u, v)
    assert got.dtype == z.dtype
    assert_near(got, reference.product(g, u64, v64), rounding(z.dtype), "inner(u, v)", scale=sizes)
    assert_near(metric.inner(z, v, u), got, rounding(z.dtype), "inner(v, u)", scale=sizes)


def inner_is_bilinear(metric: lg.Metric, z: Tensor, u: Tensor, v: Tensor, w: Tensor) -> None:
    parts = 2 * metric.inner(z, u, w) - 3 * metric.inner(z, v, w)
    sizes = (2 * metric.norm(z, u) + 3 * metric.norm(z, v)) * metric.norm(z, w)
    assert_near(metric.inner(z, 2 * u - 3 * v, w), parts, rounding(z.dtype), "inner(2u - 3v, w)", scale=sizes)


def norm_is_homogeneous(metric: lg.Metric, z: Tensor, v: Tensor) -> None:
    norm = metric.norm(z, v)
    assert (norm >= 0).all()
    assert_near(norm.square(), metric.inner(z, v, v), rounding(z.dtype), "|v|²")
    for factor in (-1.0, 0.0, 2.5):
        assert_near(metric.norm(z, factor * v), abs(factor) * norm, rounding(z.dtype), f"|{factor} v|")


def leading_dimensions_are_batch(metric: lg.Metric, z: Tensor) -> None:
    """The matrix at (a, b, d), at (d,) and at (0, d) is the matrix at each point."""
    n, d = z.shape
    together = metric(z)
    tolerance = rounding(z.dtype)
    assert_near(
        metric(z.reshape(1, n, 1, d)), together.reshape(1, n, 1, d, d), tolerance, "G of (1, N, 1, d)"
    )
    for point, g in zip(z, together, strict=True):
        assert_near(metric(point), g, tolerance, "G of (d,)")


def empty_batch_gives_empty_answers(metric: lg.Metric, z: Tensor) -> None:
    d = z.shape[-1]
    none = z[:0]
    assert metric(none).shape == (0, d, d)
    assert metric.inner(none, none, none).shape == (0,)
    assert metric.norm(none.reshape(2, 0, d), none.reshape(2, 0, d)).shape == (2, 0)


def matrix_transforms_with_the_coordinates(metric: lg.Metric, z: Tensor) -> None:
    """G_w = Jφᵀ G_z Jφ for latent coordinates z = φ(w), whether or not the metric has an immersion."""
    w = unwarp(z)
    g_w = lg.pullback_metric(warp, ambient=metric)(w)
    j = warp_jacobian(w)
    assert_near(g_w, j.mT @ metric(warp(w)) @ j, rounding(z.dtype), "G in other coordinates")


def matrix_is_differentiable(metric: lg.Metric, matrix: Callable[[Tensor], Tensor], z: Tensor) -> None:
    """dG/dz by autograd against central differences of the reference, float64 only."""
    step = 1e-5
    basis = step * torch.eye(z.shape[-1]).to(z)
    expected = torch.stack([(matrix(z + e) - matrix(z - e)) / (2 * step) for e in basis], -1)
    weights = torch.arange(1.0, expected[0, ..., 0].numel() + 1).to(z).reshape(expected.shape[1:-1]).sin()
    point = z.clone().requires_grad_()
    weighted = (metric(point) * weights).sum() + 0 * point.sum()  # a constant metric has no graph of its own
    (got,) = torch.autograd.grad(weighted, point)
    # truncation step² G''', rounding eps G / step: both below 1e-8 of the sizes here
    scale = matrix(z).abs().max() + expected.abs().max()
    assert_near(got, torch.einsum("nijk,ij->nk", expected, weights), 1e-8, "dG/dz", scale=scale)


def warp(w: Tensor) -> Tensor:
    """A diffeomorphism of R^d: w + 0.3 sin of the next coordinate."""
    return w + 0.3 * w.roll(1, -1).sin()


def unwarp(z: Tensor) -> Tensor:
    """The inverse of :func:`warp`, a contraction iterated to the last bit."""
    w = z
    for _ in range(60):
        w = z - 0.3 * w.roll(1, -1).sin()
    return w


def warp_jacobian(w: Tensor) -> Tensor:
    """The derivative of :func:`warp`, by hand."""
    d = w.shape[-1]
    eye = torch.eye(d).to(w)
    return eye + 0.3 * w.roll(1, -1).cos()[..., :, None] * eye.roll(1, 0)


# --- Between points. `rtol` is what the discretization and the solver leave, relative to the distance.


def curve_ends_exactly(result: lg.GeodesicResult, start: Tensor, end: Tensor) -> None:
    assert torch.equal(result.points[:, 0], start)
    assert torch.equal(result.points[:, -1], end)
    ends = result.at(torch.tensor([0.0, 1.0], dtype=start.dtype, device=start.device))
    assert torch.equal(ends, torch.stack([start, end], 1))


def speed_is_constant(result: lg.GeodesicResult, matrix: Callable[[Tensor], Tensor], rtol: float) -> None:
    """Equal times of `at` are equal lengths, measured without the library on a polygon of 16 sides a piece."""
    pieces, sides = 8, 16
    t = torch.linspace(0, 1, pieces * sides + 1, dtype=result.points.dtype, device=result.points.device)
    points = result.at(t).double().cpu()
    blocks = torch.cat([points[:, i * sides : (i + 1) * sides + 1] for i in range(pieces)])
    lengths = reference.polygon_length(matrix, blocks, 1).unflatten(0, (pieces, -1))
    assert_near(
        lengths, lengths.mean(0).expand_as(lengths), rtol, "length of equal times", scale=lengths.mean(0)
    )


def energy_is_at_least_half_the_squared_length(result: lg.GeodesicResult, rtol: float) -> None:
    """E >= L²/2 for every curve, with equality at the constant speed of a geodesic."""
    half = result.length.double().square() / 2
    assert (result.energy.double() >= half * (1 - rounding(result.length.dtype))).all()
    assert_near(result.energy, half, rtol, "energy of a geodesic", scale=half)


def length_is_at_most_that_of(
    result: lg.GeodesicResult, curves: Tensor, matrix: Callable[[Tensor], Tensor], rtol: float
) -> None:
    """No curve (B, K+1, d) between the same points is shorter, measured without the library."""
    others = reference.polygon_length(matrix, curves.double().cpu())
    assert (result.length.double().cpu() <= others * (1 + rtol)).all(), "a shorter curve is known"


def distance_is_a_metric(
    distance: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor, c: Tensor, rtol: float
) -> None:
    # in one batch, as solves are what costs
    together = distance(torch.cat([a, b, b, a]), torch.cat([b, a, c, c]))
    ab, ba, bc, ac = together.chunk(4)
    scale = ab + bc
    assert_near(ba, ab, rtol, "d(b, a)", scale=scale)
    assert (ab >= 0).all()
    assert (ac <= scale * (1 + rtol)).all(), f"triangle inequality fails by {(ac - scale).max():.3g}"


def distance_to_itself_is_zero(metric: lg.Metric, z: Tensor, solver: object) -> None:
    """Exactly, without a warning, and with the curve that stays where it is."""
    result = lg.geodesic(metric, z, z, solver=solver)
    assert result.converged.all()
    assert torch.equal(result.length, torch.zeros_like(result.length))
    assert torch.equal(result.points, z[:, None].expand_as(result.points))
    leaf = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(lg.distance(metric, leaf, z, solver=solver).sum(), leaf)
    assert not gradient.any()


def exp_undoes_log(metric: lg.Metric, z: Tensor, w: Tensor, log: Tensor, rtol: float) -> None:
    """Exp_z(Log_z(w)) = w, up to a share rtol of the way between them."""
    arrived = lg.expmap(metric, z, log, rtol=1e-6)
    assert_near(arrived, w, rtol, "exp after log", scale=(w - z).abs().amax(-1, keepdim=True))


def log_is_as_long_as_the_distance(metric: lg.Metric, z: Tensor, log: Tensor, distance: Tensor) -> None:
    assert_near(metric.norm(z, log), distance, rounding(z.dtype), "norm of the logarithm")


def gradient_is_the_unit_velocity(
    metric: lg.Metric,
    distance: Callable[[Tensor, Tensor], Tensor],
    start: Tensor,
    end: Tensor,
    velocity: Tensor,
    rtol: float,
) -> None:
    """∂d/∂start = -G(start) γ'(0) / |γ'(0)|, for the known initial velocity of the geodesic."""
    leaf = start.clone().requires_grad_()
    (got,) = torch.autograd.grad(distance(leaf, end).sum(), leaf)
    covector = (metric(start) @ velocity[..., None])[..., 0] / metric.norm(start, velocity)[:, None]
    assert_near(got, -covector, rtol, "gradient in the start")


def gradient_is_the_difference_quotient(
    distance: Callable[[Tensor, Tensor], Tensor], start: Tensor, end: Tensor, rtol: float, step: float = 1e-4
) -> None:
    """The envelope theorem's derivative of the distance in both ends, against that of distances solved anew."""
    ends = [start.clone().requires_grad_(), end.clone().requires_grad_()]
    got = torch.autograd.grad(distance(*ends).sum(), ends)
    d = start.shape[-1]
    steps = step * torch.cat([torch.eye(d), -torch.eye(d)]).to(start)[:, None]
    moved_start, moved_end = ((x + steps).flatten(0, 1) for x in (start, end))
    still_start, still_end = (x.repeat(2 * d, 1) for x in (start, end))
    solved = distance(torch.cat([moved_start, still_start]), torch.cat([still_end, moved_end])).detach()
    # (which end, sign, coordinate, pair)
    for which, gradient, (ahead, behind) in zip(
        ("start", "end"), got, solved.unflatten(0, (2, 2, d, -1)), strict=True
    ):
        assert_near(gradient, (ahead - behind).T / (2 * step), rtol, f"gradient in the {which}")


def order_of_convergence(errors: Tensor, segments: Tensor) -> float:
    """The slope p of error ~ T^-p, by least squares on logarithms."""
    x, y = -segments.double().log(), errors.double().log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())
