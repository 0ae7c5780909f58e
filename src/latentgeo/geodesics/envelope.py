"""Lengths of geodesics as differentiable functions of their ends and of the metric, by the envelope theorem."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.result import GeodesicResult, as_solved
from latentgeo.metrics import Metric
from latentgeo.metrics.metric import root


def differentiable_length(
    metric: Metric, start: Float[Tensor, "b d"], end: Float[Tensor, "b d"], result: GeodesicResult
) -> Float[Tensor, " b"]:
    """The lengths of geodesics, with their first derivatives in the ends and the parameters of the metric.

    Args:
        metric: the metric.
        start: the first points, from which gradients are wanted.
        end: the last points.
        result: the geodesics between them.

    Returns:
        The lengths; those that are not finite have no derivatives.

    References:
        P. Milgrom, I. Segal, "Envelope theorems for arbitrary choice sets", Econometrica 70, 2002,
        doi:10.1111/1468-0262.00296.
    """
    discrete = torch.full_like(result.length, torch.nan)
    for rows, curves in as_solved(result):
        # zero times the derivatives of a lost curve would be NaN in what its mates share with it
        finite = result.length[rows].isfinite()
        if len(rows) and not bool(finite.any()):
            continue
        some, those = rows[finite], curves[finite]
        discrete = discrete.index_put((some,), _discrete_length(metric, start[some], end[some], those))
    return _Envelope.apply(discrete, result.length)


def _discrete_length(
    metric: Metric, start: Float[Tensor, "n d"], end: Float[Tensor, "n d"], curves: Float[Tensor, "n k d"]
) -> Float[Tensor, " n"]:
    """sqrt(2 E) of the discrete energy of curves whose inner points follow the ends as those of a line would.

    It has the right derivative, to the order in which the curve is stationary for that energy.
    """
    t = torch.linspace(0, 1, curves.shape[1], dtype=start.dtype, device=start.device)[:, None]
    moved = (1 - t) * (start - start.detach())[:, None] + t * (end - end.detach())[:, None]
    return root(2 * curve_energy(metric, start, end).energy(curves + moved))


class _Envelope(torch.autograd.Function):
    """The measured lengths, with the derivatives, once, of the discrete ones."""

    @staticmethod
    def forward(discrete: Tensor, length: Tensor) -> Tensor:
        """The right values."""
        return length.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        """Keeps what a second derivative would go through."""
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The right derivatives."""
        return _OnceDifferentiable.apply(gradients[0], *ctx.saved_tensors), None


class _OnceDifferentiable(torch.autograd.Function):
    """A gradient that says so when it is differentiated by anything on which the discrete lengths depend."""

    @staticmethod
    def forward(gradient: Tensor, discrete: Tensor) -> Tensor:
        """The gradient as it is."""
        return gradient.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """Raises: the curve moves with its ends and the decoder, which the envelope theorem leaves out."""
        raise RuntimeError(
            "distance has first derivatives only: its second ones need those of the curve, which it takes as fixed; "
            "use difference quotients of its gradient"
        )
