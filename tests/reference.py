"""Slow, dense, independent answers: one point at a time, in float64, by other means than the library's.

Nothing here imports latentgeo. Matrices come from per-point reverse-mode Jacobians, geodesics from scipy's
integrators on the geodesic equation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import solve_bvp, solve_ivp
from torch import Tensor, nn

# Relative and absolute error of the integrated geodesics; what they are good for is a hundred times that.
INTEGRATION_RTOL, INTEGRATION_ATOL = 1e-10, 1e-12


def jacobian(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """The Jacobians (..., D, d) of f, one point and one output component at a time."""
    d = z.shape[-1]
    rows = [
        torch.autograd.functional.jacobian(lambda p: f(p[None])[0].flatten(), point)
        for point in z.detach().reshape(-1, d)
    ]
    return torch.stack(rows).reshape(*z.shape[:-1], -1, d)


def finite_difference_jacobian(f: Callable[[Tensor], Tensor], z: Tensor, step: float = 1e-5) -> Tensor:
    """The Jacobians (..., D, d) by central differences: no automatic differentiation at all."""
    d = z.shape[-1]
    points = z.detach().reshape(-1, d)
    with torch.no_grad():
        columns = [(f(points + e) - f(points - e)).flatten(1) / (2 * step) for e in step * torch.eye(d).to(z)]
    return torch.stack(columns, -1).reshape(*z.shape[:-1], -1, d)


def pullback(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """JᵀJ at every point."""
    j = jacobian(f, z)
    return j.mT @ j


def product(matrix: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """uᵀ G v by two dense products."""
    return (u[..., None, :] @ matrix @ v[..., :, None])[..., 0, 0]


def christoffel(matrix: Callable[[Tensor], Tensor], z: Tensor, step: float = 1e-5) -> Tensor:
    """Γ[..., k, i, j] at every point, from central differences of G."""
    basis = step * torch.eye(z.shape[-1]).to(z)
    dg = torch.stack(
        [(matrix(z + e) - matrix(z - e)) / (2 * step) for e in basis], -1
    )  # ∂_c G_ab: [..., a, b, c]
    lowered = 0.5 * (
        torch.einsum("...lji->...lij", dg)
        + torch.einsum("...lij->...lij", dg)
        - torch.einsum("...ijl->...lij", dg)
    )
    return torch.linalg.solve(matrix(z), lowered.flatten(-2)).reshape(lowered.shape)


def acceleration(matrix: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The right-hand side of the geodesic equation by Euler and Lagrange: G a = ∂(½ vᵀGv)/∂z - d(Gv)/dt."""

    def of(z: Tensor, v: Tensor) -> Tensor:
        with torch.enable_grad():
            point = z.detach().requires_grad_()
            (slope,) = torch.autograd.grad(0.5 * product(matrix(point), v, v).sum(), point)
        g, rate = torch.func.jvp(matrix, (z,), (v.clone(),))
        return torch.linalg.solve(g, slope - torch.einsum("...ij,...j->...i", rate, v))

    return of


def second_order_push(nets: Sequence[nn.Sequential], z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """J v and d²f(v, v) of the stacked outputs of tanh and softplus networks, by the chain rule written out."""
    pushed, bent = [], []
    for net in nets:
        x, first, second = z, v, torch.zeros_like(v)
        for layer in net:
            if isinstance(layer, nn.Linear):
                x, first, second = layer(x), first @ layer.weight.T, second @ layer.weight.T
            else:
                y = layer(x)
                if isinstance(layer, nn.Tanh):
                    slope, bend = 1 - y**2, -2 * y * (1 - y**2)
                else:  # softplus
                    slope = 1 - torch.exp(-y)
                    bend = slope * (1 - slope)
                x, first, second = y, slope * first, bend * first**2 + slope * second
        pushed.append(first)
        bent.append(second)
    return torch.cat(pushed, -1), torch.cat(bent, -1)


def network_columns(nets: Sequence[nn.Sequential], z: Tensor) -> Tensor:
    """The Jacobians (N, D, d) of stacked networks, by the chain rule written out."""
    n, d = z.shape
    basis = torch.eye(d, dtype=z.dtype).repeat_interleave(n, 0)
    return second_order_push(nets, z.repeat(d, 1), basis)[0].unflatten(0, (d, n)).permute(1, 2, 0)


def network_matrix(*nets: nn.Sequential) -> Callable[[Tensor], Tensor]:
    """The metric JᵀJ of stacked networks, as a function of points (N, d)."""

    def of(z: Tensor) -> Tensor:
        columns = network_columns(nets, z)
        return columns.mT @ columns

    return of


def network_acceleration(*nets: nn.Sequential) -> Callable[[Tensor, Tensor], Tensor]:
    """The same for stacked networks: the ambient acceleration has no tangential part, J a = -d²f(v, v) projected."""

    @torch.no_grad()
    def of(z: Tensor, v: Tensor) -> Tensor:
        bending = second_order_push(nets, z, v)[1][..., None]
        return -torch.linalg.lstsq(network_columns(nets, z), bending).solution[..., 0]

    return of


@dataclass(frozen=True)
class Flow:
    """Geodesics from initial velocities, integrated over [0, 1]."""

    trajectory: Callable[[float], np.ndarray]
    shape: torch.Size

    def at(self, t: Tensor) -> Tensor:
        """The points (B, M, d) at times t (M,)."""
        states = [torch.from_numpy(self.trajectory(float(s))).reshape(2, *self.shape)[0] for s in t]
        return torch.stack(states, 1)


def flow(accelerate: Callable[[Tensor, Tensor], Tensor], z: Tensor, v: Tensor) -> Flow:
    """The geodesics that leave z (B, d) with velocity v (B, d), by an eighth-order Runge-Kutta method."""

    def rate(_: float, state: np.ndarray) -> np.ndarray:
        point, velocity = torch.from_numpy(state).reshape(2, *z.shape)
        return torch.stack([velocity, accelerate(point, velocity)]).detach().numpy().ravel()

    start = torch.stack([z, v]).numpy().ravel()
    solution = solve_ivp(
        rate, (0.0, 1.0), start, "DOP853", rtol=INTEGRATION_RTOL, atol=INTEGRATION_ATOL, dense_output=True
    )
    if not solution.success:
        raise ArithmeticError(solution.message)
    return Flow(solution.sol, z.shape)


def boundary_value(
    matrix: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, tol: float = 1e-8
) -> tuple[Tensor, float]:
    """The geodesic between two points (d,) at 101 even times, and its length, by scipy's collocation on Γ."""
    d = start.shape[0]

    def rate(_: np.ndarray, state: np.ndarray) -> np.ndarray:
        z, v = torch.from_numpy(state.T.copy()).split(d, 1)
        bent = torch.einsum("nkij,ni,nj->nk", christoffel(matrix, z), v, v)
        return torch.cat([v, -bent], 1).numpy().T

    def ends(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.concatenate([a[:d] - start.numpy(), b[:d] - end.numpy()])

    mesh = np.linspace(0.0, 1.0, 33)
    straight = np.concatenate(
        [np.outer(start, 1 - mesh) + np.outer(end, mesh), np.outer(end - start, np.ones_like(mesh))]
    )
    solution = solve_bvp(rate, ends, mesh, straight, tol=tol, max_nodes=20_000)
    if not solution.success:
        raise ArithmeticError(solution.message)
    points, velocity = torch.from_numpy(solution.sol(np.linspace(0.0, 1.0, 101)).T).split(d, 1)
    return points, float(product(matrix(points[:1]), velocity[:1], velocity[:1]).sqrt())


def length_and_energy(
    matrix: Callable[[Tensor], Tensor], curve: Callable[[Tensor], Tensor], pieces: int = 200
) -> tuple[Tensor, Tensor]:
    """L = ∫|γ'| and E = ½∫|γ'|² of smooth curves t (M,) -> (B, M, d) over [0, 1], by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(4)
    left = np.arange(pieces)[:, None] / pieces
    t = torch.from_numpy((left + (nodes + 1) / (2 * pieces)).ravel())
    w = torch.from_numpy(np.tile(weights / (2 * pieces), pieces))
    step = 1e-5
    velocity = (curve(t + step) - curve(t - step)) / (2 * step)
    points = curve(t)
    squared = product(matrix(points.flatten(0, 1)).unflatten(0, points.shape[:2]), velocity, velocity)
    return squared.sqrt() @ w, 0.5 * squared @ w


def polygon_length(matrix: Callable[[Tensor], Tensor], points: Tensor, pieces: int = 2) -> Tensor:
    """The Riemannian length of curves (B, T+1, d) that are straight, in coordinates, between their points."""
    nodes, weights = np.polynomial.legendre.leggauss(4)
    t = torch.from_numpy(((np.arange(pieces)[:, None] + (nodes + 1) / 2) / pieces).ravel())
    w = torch.from_numpy(np.tile(weights / (2 * pieces), pieces))
    a, step = points[:, :-1, None].double(), points.diff(dim=1)[:, :, None].double()
    where = a + t[:, None] * step
    g = matrix(where.flatten(0, 2)).unflatten(0, where.shape[:3])
    return (product(g, step.expand_as(where), step.expand_as(where)).sqrt() @ w).sum(1)
