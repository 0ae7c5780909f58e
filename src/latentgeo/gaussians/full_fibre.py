"""The lowest lift: which of the lifts of a normal is joined to I by a horizontal geodesic."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentgeo.gaussians.full_symmetric_space import Relative, lift, logarithm, squared_length, tangent

_SOUGHT, _ACCEPTED = 1e-13, 1e-6  # Newton decrements over the distance; its relative error is half the square
_MAX_STEPS, _HALVINGS = 100, 40
_ROUNDING = 1e-11  # of squared lengths, relative
_REACH = 1e120  # of elements of a lift, which squares of lengths are made of
_CHUNK = 2**22  # numbers in one tensor of the second derivative


def horizontal_height(
    normal: Relative, start: Float[Tensor, "*batch k k"] | None = None
) -> tuple[Float[Tensor, "*batch k k"], Bool[Tensor, "*batch"]]:
    """The height Z at which the geodesic from I is horizontal, and where it was found.

    A submersion does not lengthen, so that the distance of normals is the least over the heights of their lifts. The
    derivative of f(Z) = ¼|Y|² is minus the corner C of its logarithm: Newton's method, with f as judge of its steps,
    looks for C = 0. From the height zero it takes two to ten steps for Mahalanobis distances up to 10⁴ from both ends
    and conditions up to 10⁶. Every height on the way gives an upper bound of the distance. Rounding in C grows
    exponentially with the distance; where the last Newton step is longer than 10⁻⁶ of the way, or rounding may hide
    as much, the verdict is false.

    Zero is the answer in every case with a closed form: one dimension, equal means, a difference of means along an
    eigenvector of the relative covariance Σ. Whether all pairs have only one geodesic is not known to us for k >= 2,
    where some curvatures are positive; all starts that were tried lead to the same one.

    Args:
        normal: the normals, seen from where the geodesics begin, (..., k).
        start: (..., k, k) antisymmetric heights to begin with; zero, if None.

    Returns:
        Heights (..., k, k), and booleans (...).

    Raises:
        ValueError: the normals are too far apart for numbers in float64.

    References:
        L. T. Skovgaard, "A Riemannian geometry of the multivariate normal model", Scand. J. Statist. 11, 1984. S.
        Kobayashi, "Geodesics of multivariate normal distributions and a Toda lattice type Lax pair", 2023,
        arXiv:2304.12575, for height zero.

    Example:
        >>> import torch
        >>> cov = torch.tensor([[2.0, 1.0], [1.0, 1.0]]).double()
        >>> normal = Relative(torch.ones(2).double(), torch.linalg.cholesky(cov), cov - torch.eye(2))
        >>> horizontal_height(normal)
        (tensor([[ 0.0000,  0.0672],
                [-0.0672,  0.0000]], dtype=torch.float64), tensor(True))
    """
    batch, k = normal.mean.shape[:-1], normal.mean.shape[-1]
    flat = Relative(
        normal.mean.reshape(-1, k), normal.root.reshape(-1, k, k), normal.excess.reshape(-1, k, k)
    )
    _check_reach(flat)
    height = torch.zeros_like(flat.root) if start is None else start.reshape(-1, k, k).clone()
    found = torch.ones_like(flat.mean[:, 0], dtype=torch.bool)
    previous = torch.full_like(flat.mean[:, 0], torch.inf)
    active = torch.arange(len(found) if k > 1 else 0, device=found.device)
    for _ in range(_MAX_STEPS):
        if not len(active):
            break
        g = lift(Relative(*(part[active] for part in flat)), height[active])
        y = logarithm(g)
        direction, decrement = newton_step(y, -tangent(y)[2])
        length = y.flatten(1).norm(dim=1).clamp_min(torch.finfo(y.dtype).tiny)
        share = decrement / length
        hidden = torch.finfo(y.dtype).eps * g.minus_plus.abs().amax((1, 2)) / length
        found[active] = share.maximum(hidden) <= _ACCEPTED
        exhausted = (share > previous[active] / 2) & ((share <= _ACCEPTED) | (hidden > _ACCEPTED))
        going = ~((share <= _SOUGHT) | exhausted)
        previous[active] = share
        active = active[going]
        height[active], lower = _descend(
            Relative(*(part[active] for part in flat)), height[active], direction[going], decrement[going]
        )
        active = active[lower]
    return height.reshape(*batch, k, k), found.reshape(batch)


def _check_reach(normal: Relative) -> None:
    """Refuses normals so far apart that squares overflow."""
    size = torch.cat([part.flatten(1) for part in lift(normal, torch.zeros_like(normal.root))], 1)
    lost = int((~(size.abs() < _REACH)).any(1).sum())
    if lost:
        raise ValueError(
            f"the normals must lie within the range of float64, but {lost} of {len(size)} pairs are more than 10^60 "
            "standard deviations apart"
        )


def newton_step(
    y: Float[Tensor, "b n k"], gradient: Float[Tensor, "b k k"]
) -> tuple[Float[Tensor, "b k k"], Float[Tensor, " b"]]:
    """The antisymmetric -H⁻¹ g and the decrement √(gᵀ H⁻¹ g), with H the second derivative of f over heights.

    Where H is not positive, its eigenvalues are replaced by their absolute values.
    """
    k = y.shape[-1]
    i, j = torch.triu_indices(k, k, 1, device=y.device)
    steps = []
    for part, g in zip(*(x.split(max(1, _CHUNK // k**4)) for x in (y, gradient[:, i, j])), strict=True):
        second = _second_derivative(part, i, j)
        root, failed = torch.linalg.cholesky_ex(second)
        step = torch.cholesky_solve(g[..., None], root)[..., 0]
        if bool((bent := failed > 0).any()):
            values, axes = torch.linalg.eigh(second[bent])
            values = values.abs().clamp_min(1e-12)
            step[bent] = (axes @ ((axes.mT @ g[bent, :, None]) / values[..., None]))[..., 0]
        steps.append(step)
    step = torch.cat(steps)
    direction = torch.zeros_like(gradient)
    direction[:, i, j], direction[:, j, i] = -step, step
    return direction, (gradient[:, i, j] * step).sum(1).clamp_min(0).sqrt()


def spectrum(
    y: Float[Tensor, "*batch n k"],
) -> tuple[Float[Tensor, "*batch m"], Float[Tensor, "*batch n m"], Float[Tensor, "*batch k m"]]:
    """Eigenvalues of A = [[0, Y], [Yᵀ, 0]], and its eigenvectors in the rows of + and of -."""
    n, k = y.shape[-2:]
    a = torch.cat([torch.nn.functional.pad(y, (n, 0)), torch.nn.functional.pad(y.mT, (0, k))], -2)
    values, vectors = torch.linalg.eigh(a)
    return values, vectors[..., :n, :], vectors[..., n:, :]


def _second_derivative(y: Tensor, i: Tensor, j: Tensor) -> Float[Tensor, "b m m"]:
    """H = -∂C/∂Z over the antisymmetric basis e_i e_jᵀ - e_j e_iᵀ.

    A change of height turns S into (I + N)ᵀ S (I + N), with -dZ in the corner of N. In the eigenbasis of A = log S,
    with differences δ of its eigenvalues, dA = W ∘ N + (W ∘ N)ᵀ where W = δ / (1 - exp(-δ)). All elements of H are
    sums of products of four coordinates of eigenvectors, weighted by W.
    """
    values, plus, minus = spectrum(y)
    first, last = (plus[:, :-1] + minus) / 2**0.5, (plus[:, :-1] - minus) / 2**0.5
    half = (values[:, :, None] - values[:, None, :]) / 2
    weight = half + torch.where(half == 0, 1, half / torch.where(half == 0, 1, half.tanh()))

    def products(a: Tensor, b: Tensor) -> Tensor:
        return (a[:, :, None] * b[:, None]).flatten(1, 2)

    across = products(last, first) @ weight @ products(first, last).mT
    along = products(first, first) @ weight @ products(last, last).mT
    k = y.shape[-1]
    four = (across - along).unflatten(2, (k, k)).unflatten(1, (k, k))
    (a, b), (c, d) = (i[None, :], j[None, :]), (i[:, None], j[:, None])
    return (four[:, c, b, d, a] - four[:, c, a, d, b] - four[:, d, b, c, a] + four[:, d, a, c, b]) / 2


def _descend(
    normal: Relative, height: Tensor, direction: Tensor, decrement: Tensor
) -> tuple[Tensor, Bool[Tensor, " b"]]:
    """The first of the steps 1, ½, ¼, ... that lowers f as much as promised, and where there is one."""
    before = squared_length(lift(normal, height)) / 2
    step = torch.ones_like(before)
    high = torch.zeros_like(before, dtype=torch.bool)
    for _ in range(_HALVINGS):
        after = squared_length(lift(normal, height + step[:, None, None] * direction)) / 2
        high = after > before * (1 + _ROUNDING) - 1e-4 * step * decrement.square()
        if not bool(high.any()):
            break
        step = torch.where(high, step / 2, step)
    return torch.where(high[:, None, None], height, height + step[:, None, None] * direction), ~high
