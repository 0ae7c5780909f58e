"""Connections and curvatures by computer algebra, from nothing but a map or a matrix in symbols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import sympy as sp
import torch
from torch import Tensor

import latentgeo as lg


@dataclass(frozen=True)
class Symbolic:
    """A metric in symbols and its tensors as functions of points (N, d), in float64.

    Attributes:
        name: what the tests call it.
        metric: the library's metric, through torch operations.
        christoffel: Γ[n, k, i, j].
        riemann: R[n, l, i, j, k] with R(∂j, ∂k)∂i = R^l_{ijk} ∂l.
        ricci: its contraction of l with j.
        scalar: the trace of ricci.
        determinant: det G.
    """

    name: str
    dim: int
    metric: lg.Metric
    christoffel: Callable[[Tensor], Tensor]
    riemann: Callable[[Tensor], Tensor]
    ricci: Callable[[Tensor], Tensor]
    scalar: Callable[[Tensor], Tensor]
    determinant: Callable[[Tensor], Tensor]

    def __str__(self) -> str:
        return self.name


def from_map(name: str, symbols: str, formulas: list[str]) -> Symbolic:
    """The pull-back metric of a map given by formulas."""
    x = sp.symbols(symbols)
    image = sp.Matrix([sp.sympify(f) for f in formulas])
    jacobian = image.jacobian(x)
    call = sp.lambdify(x, list(image), "torch")
    decoder = lambda z: torch.stack([part + 0 * z[:, 0] for part in call(*z.unbind(1))], 1)  # noqa: E731
    return _of(name, x, sp.Matrix(jacobian.T * jacobian), lg.pullback_metric(decoder))


def from_matrix(name: str, symbols: str, rows: list[list[str]]) -> Symbolic:
    """The metric of a matrix given by formulas, without an immersion."""
    x = sp.symbols(symbols)
    matrix = sp.Matrix([[sp.sympify(entry) for entry in row] for row in rows])
    call = sp.lambdify(x, list(matrix), "torch")
    d = len(x)

    def field(z: Tensor) -> Tensor:
        return torch.stack([part + 0 * z[:, 0] for part in call(*z.unbind(1))], 1).unflatten(1, (d, d))

    return _of(name, x, matrix, lg.metric_from_function(field))


def _of(name: str, x: tuple[sp.Symbol, ...], g: sp.Matrix, metric: lg.Metric) -> Symbolic:
    d = len(x)
    inverse = g.inv()
    gamma, riemann, ricci = (np.zeros((d,) * n, dtype=object) for n in (3, 4, 2))
    for k, i, j in product(range(d), repeat=3):
        gamma[k, i, j] = sum(
            inverse[k, m] * (g[j, m].diff(x[i]) + g[i, m].diff(x[j]) - g[i, j].diff(x[m])) / 2
            for m in range(d)
        )
    for m, i, j, k in product(range(d), repeat=4):
        riemann[m, i, j, k] = (
            sp.diff(gamma[m, k, i], x[j])
            - sp.diff(gamma[m, j, i], x[k])
            + sum(gamma[m, j, a] * gamma[a, k, i] - gamma[m, k, a] * gamma[a, j, i] for a in range(d))
        )
    for i, k in product(range(d), repeat=2):
        ricci[i, k] = sum(riemann[j, i, j, k] for j in range(d))
    scalar = sum(inverse[i, k] * ricci[i, k] for i, k in product(range(d), repeat=2))

    def numbers(array: object) -> Callable[[Tensor], Tensor]:
        entries = np.asarray(array, dtype=object)
        call = sp.lambdify(x, list(entries.flatten()), "numpy", cse=True)

        def of(z: Tensor) -> Tensor:
            values = call(*z.double().numpy().T)
            columns = [np.broadcast_to(v, len(z)) for v in values]
            return torch.from_numpy(np.stack(columns, 1)).reshape(len(z), *entries.shape)

        return of

    return Symbolic(
        name, d, metric, numbers(gamma), numbers(riemann), numbers(ricci), numbers(scalar), numbers(g.det())
    )


METRICS = (
    from_map("torus of revolution", "u v", ["(2 + cos(v))*cos(u)", "(2 + cos(v))*sin(u)", "sin(v)"]),
    from_map("surface of codimension 3", "x y", ["x", "y", "x*y", "sin(x) + y**2", "exp(x/2)*y"]),
    from_map("hypersurface of R^4", "x y z", ["x", "y", "z + x/3", "x*y + z**2/2"]),
    from_map("threefold in R^5", "x y z", ["x", "y + z**2/4", "z", "x*y", "sin(z)*x"]),
    from_matrix("hyperbolic half-plane", "x y", [["1/y**2", "0"], ["0", "1/y**2"]]),
    from_matrix("no coordinates orthogonal", "x y", [["2 + x**2", "x*y/2"], ["x*y/2", "1 + y**2"]]),
    from_matrix(
        "three dimensions by a matrix",
        "x y z",
        [["1 + y**2", "x*y/4", "0"], ["x*y/4", "2 + z**2", "x/5"], ["0", "x/5", "exp(x/2)"]],
    ),
)
