"""What a solver gives back: curves, their measures, and a word on each."""

from __future__ import annotations

import enum
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class ConvergenceWarning(UserWarning):
    """Some curves of a batch are not what was asked for; the result says which and why.

    Example:
        >>> import warnings, torch
        >>> from latentgeo import ConvergenceWarning, MinimizeEnergy, geodesic, metric_from_function
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> start, end = torch.tensor([-1.0, 1.0]), torch.tensor([1.0, 1.0])
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always", ConvergenceWarning)
        ...     result = geodesic(half_plane, start, end, solver=MinimizeEnergy(max_steps=1))
        >>> print(caught[0].message)
        1 of 1 curves did not converge. 1 MAX_STEPS: The curve was still getting shorter when ...
        >>> result.converged
        tensor([False])
    """


class Status(enum.Enum):
    """How the search for one curve ended; the value is a sentence with the advice what to try next.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric, Status, geodesic
        >>> result = geodesic(EuclideanMetric(2), torch.zeros(2), torch.ones(3, 2))
        >>> result.status
        array([Status.CONVERGED, Status.CONVERGED, Status.CONVERGED], dtype=object)
        >>> print(Status.UNRESOLVED)
        UNRESOLVED: The curve is stationary, but its energy changes when more segments measure it: ...
    """

    CONVERGED = (
        "The curve is a geodesic of its solver, to the tolerance asked for or to the rounding of the decoder: "
        "discrete, of the differential equation, or the shortest path of a graph."
    )
    MAX_STEPS = (
        "The curve was still getting shorter when max_steps was reached; "
        "raise max_steps (max_nodes of BoundaryValue), or go on from it with initial=result.points."
    )
    STALLED = (
        "No step shortens the curve further, yet it is not stationary to tol: the metric is not smooth along it "
        "(a ReLU decoder) or this precision is exhausted; use float64, or a larger tol."
    )
    NON_FINITE = (
        "The metric is NaN or infinite at a point of the curve; look at the decoder there, or give initial= a "
        "curve that stays where it is finite."
    )
    UNRESOLVED = (
        "The curve is stationary, but its energy changes when more segments measure it: it turns more sharply "
        "than its segments resolve; raise num_segments."
    )
    DISCONNECTED = (
        "No path of the graph joins the two points, and the curve is the straight line; raise num_neighbors, "
        "or add points to the graph between them."
    )

    def __str__(self) -> str:
        return f"{self.name}: {self.value}"

    def __repr__(self) -> str:
        return f"Status.{self.name}"  # a word for each curve of a batch, not a paragraph


CurvesOfRows = tuple[Int[Tensor, " _"], Float[Tensor, "_ _ d"]]  # row numbers, and their curves


@dataclass(frozen=True, eq=False)
class GeodesicResult:
    """Curves between B pairs of points, with a word on each.

    Attributes:
        points: (B, T+1, d) points of each curve at equal steps of its parameter, ends included.
        length: (B,) length of the curve, in ambient units, of fourth order in 1/T.
        energy: (B,) energy 1/2 ∫ |γ'|² dt over [0, 1] >= length² / 2, with equality at constant speed.
        converged: (B,) whether ``status`` is ``Status.CONVERGED``.
        status: (B,) numpy array of :class:`Status`, one for each curve.
        residual: (B,) relative first-order optimality: the distance to the nearest discrete geodesic, in the norm
            of the energy and relative to the length of the curve, as predicted by the last quadratic model.
        steps: (B,) accepted and rejected steps spent on the curve.
        evaluations: number of latent points at which the decoder (or the metric) was evaluated, for the batch.

    Example:
        Two geodesics of the hyperbolic half-plane, of lengths arcosh 3 and log 2:

        >>> import torch
        >>> from latentgeo import geodesic, metric_from_function
        >>> half_plane = metric_from_function(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2)
        >>> start, end = torch.tensor([[-1.0, 1.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [0.0, 2.0]])
        >>> result = geodesic(half_plane, start, end)
        >>> result
        GeodesicResult(2 curves, 32 segments, d=2: 2 CONVERGED)
        >>> print([f"{length:.3f}" for length in result.length], bool(result.converged.all()))
        ['1.763', '0.693'] True
        >>> middle = result.at(torch.tensor([0.5]))[:, 0]  # (2, 2): half way along each, both at height √2
        >>> print([f"{height:.3f}" for height in middle[:, 1]])
        ['1.414', '1.414']
    """

    points: Float[Tensor, "b t d"]
    length: Float[Tensor, " b"]
    energy: Float[Tensor, " b"]
    converged: Bool[Tensor, " b"]
    status: np.ndarray
    residual: Float[Tensor, " b"]
    steps: Int[Tensor, " b"]
    evaluations: int
    _refined: Float[Tensor, "b k d"]
    _arc_length: Float[Tensor, "b k"]
    _finer: tuple[CurvesOfRows, ...] = ()

    def __len__(self) -> int:
        return self.points.shape[0]

    def __repr__(self) -> str:
        counts = ", ".join(f"{(self.status == s).sum()} {s.name}" for s in Status if (self.status == s).any())
        t, d = self.points.shape[1] - 1, self.points.shape[2]
        return f"GeodesicResult({len(self)} curves, {t} segments, d={d}: {counts or 'empty'})"

    def at(self, t: Float[Tensor, " m"]) -> Float[Tensor, "b m d"]:
        """The points γ(t) of every curve at constant speed: a share t of the length lies before γ(t).

        Args:
            t: (M,) times in [0, 1].

        Raises:
            ValueError: t is not one-dimensional or leaves [0, 1].

        Returns:
            (B, M, d) points.
        """
        t = torch.as_tensor(t, dtype=self.points.dtype, device=self.points.device)
        if t.ndim != 1 or not bool(((t >= 0) & (t <= 1)).all()):
            raise ValueError(f"t must be a vector of times in [0, 1], got {t!r}")
        share = _share(self._arc_length)
        index = torch.searchsorted(share, t.expand(len(self), -1).contiguous(), right=True)
        index = index.clamp(1, share.shape[1] - 1)
        before, after = share.gather(1, index - 1), share.gather(1, index)
        fraction = (t - before) / torch.where(after > before, after - before, 1)
        return _hermite(self._refined, share, index, fraction.clamp(0, 1))


def as_solved(result: GeodesicResult) -> Iterator[CurvesOfRows]:
    """The curves on the segments on which they were found, row numbers first, in groups of as many segments.

    On fewer segments, those of ``points``, a refined curve is stationary for no discrete energy, so that neither
    the envelope theorem nor the first variation holds there.
    """
    as_returned = torch.ones_like(result.converged)
    for rows, _ in result._finer:
        as_returned[rows] = False
    if not result._finer or bool(as_returned.any()):
        yield as_returned.nonzero()[:, 0], result.points[as_returned]
    yield from result._finer


def warn_of_failures(result: GeodesicResult, *, stacklevel: int = 3) -> None:
    """Gives one ConvergenceWarning for the batch, if any of its curves needs a word."""
    failed = failures_of(result.status)
    if failed:
        warnings.warn(
            f"{failed.total()} of {len(result)} curves did not converge. {advice(failed)}",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )


def failures_of(status: Iterable[Status]) -> Counter[Status]:
    """How many searches ended how, those that converged left out."""
    return Counter(word for word in status if word is not Status.CONVERGED)


def advice(failed: Counter[Status]) -> str:
    """A sentence for each kind of failure, with its count."""
    return " ".join(f"{failed[status]} {status}" for status in Status if failed[status])


def _share(arc_length: Tensor) -> Tensor:
    """Arc length as a share of the total, strictly usable for searching even where the curve is a point."""
    total = arc_length[:, -1:]
    even = torch.linspace(0, 1, arc_length.shape[1], dtype=arc_length.dtype, device=arc_length.device)
    return torch.where(total > 0, arc_length / torch.where(total > 0, total, 1), even)


def _hermite(points: Tensor, share: Tensor, index: Tensor, fraction: Tensor) -> Tensor:
    """Cubic Hermite interpolation of points given at increasing abscissae ``share``, on intervals ending at index."""
    slopes = _slopes(points, share)

    def pick(values: Tensor, at: Tensor) -> Tensor:
        return values.gather(1, at[..., None].expand(-1, -1, values.shape[-1]))

    width = (share.gather(1, index) - share.gather(1, index - 1))[..., None]
    s = fraction[..., None]
    p0, p1 = pick(points, index - 1), pick(points, index)
    m0, m1 = pick(slopes, index - 1) * width, pick(slopes, index) * width
    return (
        (1 + 2 * s) * (1 - s) ** 2 * p0
        + s * (1 - s) ** 2 * m0
        + s**2 * (3 - 2 * s) * p1
        + s**2 * (s - 1) * m1
    )


def _slopes(points: Tensor, share: Tensor) -> Tensor:
    """Derivatives of second order at unevenly spaced abscissae, one-sided at the ends; zero across no width."""
    width = (share[:, 1:] - share[:, :-1])[..., None]
    chord = torch.where(width > 0, points.diff(dim=1) / torch.where(width > 0, width, 1), 0)
    if points.shape[1] == 2:
        return chord.expand(-1, 2, -1)
    h0, h1 = width[:, :-1], width[:, 1:]
    both = torch.where(h0 + h1 > 0, h0 + h1, 1)
    inner = (chord[:, :-1] * h1 + chord[:, 1:] * h0) / both
    first = chord[:, :1] + (chord[:, :1] - chord[:, 1:2]) * h0[:, :1] / both[:, :1]
    last = chord[:, -1:] + (chord[:, -1:] - chord[:, -2:-1]) * h1[:, -1:] / both[:, -1:]
    return torch.cat([first, inner, last], dim=1)
