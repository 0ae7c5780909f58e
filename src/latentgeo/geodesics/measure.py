"""Length and energy of a curve from more points than it was found with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentgeo.geodesics.curve_energy import CurveEnergy
from latentgeo.geodesics.result import GeodesicResult, Status
from latentgeo.geodesics.spline import resample

_RESOLUTION = 0.01  # relative difference of discrete and refined energy from which a curve is unresolved


@dataclass(frozen=True)
class Measure:
    """A curve on twice its segments, and its measures there.

    Attributes:
        points: (b, 2T+1, d) the spline through the curve.
        arc_length: (b, 2T+1) length of the curve up to each of them.
        length: (b,).
        energy: (b,), at least length² / 2.
    """

    points: Float[Tensor, "b k d"]
    arc_length: Float[Tensor, "b k"]
    length: Float[Tensor, " b"]
    energy: Float[Tensor, " b"]


def measure(objective: CurveEnergy, curve: Float[Tensor, "b t d"]) -> Measure:
    """Measures the cubic spline through the points of a curve, to fourth order in the number of segments.

    Each segment is halved; from the chord c over it and l_1, l_2 over its halves, Richardson's extrapolation gives
    its length λ = (4 (l_1 + l_2) - c) / 3. With T segments, length = Σ λ and energy = T/2 Σ λ² (each λ in two
    parts like its halves), which is exact at constant speed and never below length² / 2. Differentiable in the
    points of the curve and in the parameters of the metric.
    """
    segments = curve.shape[1] - 1
    points = resample(curve, 2 * segments)
    blocks = points.split(objective.curves_at_once(2 * segments, 4))
    measured = [objective.chord_lengths(block) for block in blocks]
    halves, whole = (torch.cat(pieces) for pieces in zip(*measured, strict=True))
    sums = halves[:, ::2] + halves[:, 1::2]
    # an unresolved curve of a metric without immersion may extrapolate below half its chords: never so far
    stretch = torch.maximum(4 * sums - whole, 1.5 * sums) / (3 * torch.where(sums > 0, sums, 1))
    parts = halves * stretch.repeat_interleave(2, dim=1)
    arc_length = torch.cat([torch.zeros_like(parts[:, :1]), parts.cumsum(dim=1)], dim=1)
    return Measure(points, arc_length, parts.sum(dim=1), segments * parts.square().sum(dim=1))


def even_steps(
    vertices: Float[Tensor, "b m d"], arc_length: Float[Tensor, "b m"], num_segments: int
) -> Float[Tensor, "b t d"]:
    """Points of polygons at equal steps of the arc length given at their vertices, both ends exact.

    Where all of it is zero, as for a decoder that ignores its latents, steps are equal in latent coordinates.
    """
    along = vertices.diff(dim=1).norm(dim=2).cumsum(dim=1)
    latent = torch.cat([torch.zeros_like(along[:, :1]), along], dim=1)
    arc = torch.where(arc_length[:, -1:] > 0, arc_length, latent)
    wanted = arc[:, -1:] * torch.linspace(0, 1, num_segments + 1, dtype=arc.dtype, device=arc.device)
    after = torch.searchsorted(arc, wanted, right=True).clamp(1, arc.shape[1] - 1)
    left, right = arc.gather(1, after - 1), arc.gather(1, after)
    share = (wanted - left) / torch.where(right > left, right - left, 1)
    index = after[..., None].expand(-1, -1, vertices.shape[2])
    points = torch.lerp(vertices.gather(1, index - 1), vertices.gather(1, index), share[..., None])
    return torch.cat([vertices[:, :1], points[:, 1:-1], vertices[:, -1:]], dim=1)


def agrees(
    objective: CurveEnergy, rows: Int[Tensor, " b"], discrete: Float[Tensor, " b"], measured: Measure
) -> Bool[Tensor, " b"]:
    """Whether the discrete energy of a curve is its energy as measured on more segments: to 1%, up to rounding."""
    rounding = (measured.points.shape[1] - 1) * objective.rounding(rows)
    slack = _RESOLUTION * measured.energy + rounding * (measured.length + rounding)
    return (measured.energy - discrete).abs() <= slack


def mark_unresolved(
    status: np.ndarray,
    objective: CurveEnergy,
    rows: Int[Tensor, " b"],
    discrete: Float[Tensor, " b"],
    measured: Measure,
) -> None:
    """Makes ``Status.UNRESOLVED``, in place, of curves that converged to an energy that is not theirs."""
    apart = ~agrees(objective, rows, discrete, measured).cpu().numpy()
    status[(status == Status.CONVERGED) & apart] = Status.UNRESOLVED


def measured_result(
    objective: CurveEnergy,
    points: Float[Tensor, "b t d"],
    measured: Measure,
    *,
    status: np.ndarray,
    residual: Float[Tensor, " b"],
    steps: Int[Tensor, " b"],
) -> GeodesicResult:
    """The result of a solver whose curves have been measured."""
    return GeodesicResult(
        points=points,
        length=measured.length,
        energy=measured.energy,
        converged=torch.from_numpy(status == Status.CONVERGED).to(points.device),
        status=status,
        residual=residual,
        steps=steps,
        evaluations=objective.evaluations,
        _refined=measured.points,
        _arc_length=measured.arc_length,
    )
