"""The logarithm of a normal at N(0, I), a boundary value problem, and its derivative by the implicit function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.linalg import solve_triangular

from latentgeo.gaussians.full_fibre import horizontal_height, newton_step, spectrum
from latentgeo.gaussians.full_symmetric_space import Relative, horizontal, lift, logarithm, tangent, turn


def batch_in_front(info: Any, in_dims: tuple, args: tuple) -> tuple[Tensor, ...]:
    """The arguments of a function under vmap, which adds a batch dimension, with that dimension first."""
    return tuple(
        x.expand(info.batch_size, *x.shape) if d is None else x.movedim(d, 0)
        for x, d in zip(args, in_dims, strict=True)
    )


class Logarithm(Function):
    """(μ, Σ - I, L) -> (x, B), the velocity of the geodesic from N(0, I) to N(μ, Σ), its height, and whether found.

    Differentiable once, in μ and Σ - I, which stands for Σ; L is its Cholesky factor.
    """

    @staticmethod
    def forward(mean: Tensor, excess: Tensor, root: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Solves the boundary value problem."""
        normal = Relative(mean, root, excess)
        height, found = horizontal_height(normal)
        x, b, _ = tangent(logarithm(lift(normal, height)))
        return x, b, height, found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple) -> None:
        """Keeps the problem and its solution."""
        x, b, height, found = output
        ctx.mark_non_differentiable(height, found)
        ctx.save_for_backward(*inputs, x, b, height)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """The transposed derivative."""
        return *_Transposed.apply(*ctx.saved_tensors, *gradients[:2]), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *args: Tensor) -> tuple[tuple, tuple]:
        """Everything here is batched already."""
        return Logarithm.apply(*batch_in_front(info, in_dims, args)), (0, 0, 0, 0)


class _Transposed(Function):
    """The transposed derivative of the logarithm, which has none itself.

    Let the end move by r, dR in its own frame, and its lift by a corner C': E = [[-dR - C'], [√2 rᵀ]]. In the
    eigenbasis Q of A at the start and KQ at the end, differences δ of eigenvalues weigh the change of the logarithm:

        dA = Q (φ ∘ (KQ)ᵀ E KQ) Qᵀ,   φ = δ/2 / sinh δ/2.

    C' keeps dA horizontal. Its part in the transpose is a multiplier in the corner at the start, which takes one
    solution with the second derivative H over heights.
    """

    @staticmethod
    def forward(
        mean: Tensor, excess: Tensor, root: Tensor, x: Tensor, b: Tensor, height: Tensor,
        gradient_x: Tensor, gradient_b: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Gradients in μ and Σ - I."""
        k = mean.shape[-1]
        y = horizontal(x, b)
        values, plus, minus = spectrum(y)
        half = (values[..., :, None] - values[..., None, :]) / 2
        weight = torch.where(half == 0, 1, half / torch.where(half == 0, 1, half.sinh()))
        turn_plus, turn_minus = turn(lift(Relative(mean, root, excess), height))

        def carried(cotangent: Tensor) -> Tensor:
            """From the start to the end."""
            product = plus.mT @ cotangent @ minus
            return turn_plus @ plus @ (weight * (product + product.mT)) @ (turn_minus @ minus).mT

        # the inner product of tangents is x·x' + tr BB', that of the matrices Y is twice the first and the second
        start = horizontal(gradient_x / 2, (gradient_b + gradient_b.mT) / 2)
        if k > 1:
            corner = carried(start)[..., :k, :]
            there = solve_triangular(root.mT, (corner - corner.mT) / 2, upper=True)
            there = solve_triangular(root.mT, there.mT, upper=True).mT
            multiplier, _ = newton_step(y.reshape(-1, k + 1, k), there.reshape(-1, k, k))
            start = start + torch.nn.functional.pad(multiplier.reshape(there.shape), (0, 0, 0, 1))
        along_mean, along_cov, _ = tangent(carried(start))
        at_mean = 2 * solve_triangular(root.mT, along_mean[..., None], upper=True)[..., 0]
        half_way = solve_triangular(root.mT, along_cov, upper=True)
        return at_mean, solve_triangular(root.mT, half_way.mT, upper=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        """Refused."""
        raise NotImplementedError(
            "the logarithm of full normals is differentiable once, and so is its use in full_geodesic; "
            "full_distance is differentiable twice"
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *args: Tensor) -> tuple[tuple, tuple]:
        """Everything here is batched already."""
        return _Transposed.apply(*batch_in_front(info, in_dims, args)), (0, 0)
