"""Lloyd's iterations on a Riemannian manifold: assign by geodesic distance, step to the mean."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from latentgeo.geodesics import ConvergenceWarning, Status
from latentgeo.geodesics.result import advice, failures_of
from latentgeo.statistics.space import Space

_ROUNDING = 64.0  # machine epsilons of the spread, below which a step of a centre is rounding
_LOST = 16.0  # machine epsilons of a sum of squares that are its rounding
_SMALLEST_RATE = 1 / 64  # of a step, after which a centre that cannot get better stays


class Lloyd:
    """Centres, labels, and the geodesic from every centre to every point.

    Args:
        space: where the points are.
        points: (N, m).
        n_clusters: the number K of centres.
        weights: (N,) of the points, in sums of squares and means; ones, if None.

    Attributes:
        centers: (K, d).
        labels: (N,) the nearest centre of each point, -1 where none is at a finite distance.
        distances: (N, K) geodesic distances; where ``exact`` is false a lower bound, by a chord or the triangle
            inequality d(x, μ') >= d(x, μ) - d(μ, μ'), that is not below the distance to the nearest centre.
        iterations: number of iterations so far.
        converged: whether they came to an end.
        settled: whether at that end every centre was where its mean logarithm vanishes, up to the tolerance; false
            also where no shorter step made a sum of squares smaller, as distances were not exact enough.
    """

    def __init__(
        self,
        space: Space,
        points: Float[Tensor, "n d"],
        n_clusters: int,
        *,
        weights: Float[Tensor, " n"] | None = None,
    ) -> None:
        n, d = points.shape
        self._space, self._points = space, points
        self._weights = points.new_ones(n) if weights is None else weights
        self.centers = points.new_zeros(n_clusters, d)
        self.distances = points.new_full((n, n_clusters), torch.inf)
        self.exact = torch.zeros(n, n_clusters, dtype=torch.bool, device=points.device)
        self.labels: Int[Tensor, " n"] = torch.full((n,), -1, device=points.device)
        self._curves = points.new_zeros(n, n_clusters, 0, d)  # (n, K, T+1, d), none before the first solve
        self._tangents = points.new_full(
            (n, n_clusters, d), torch.nan
        )  # logarithms at the centres, where known
        self._rate = points.new_ones(n_clusters)
        self._failures: Counter[Status] = Counter()
        self._solved = 0
        self.iterations = 0
        self.converged = self.settled = False

    @property
    def inertia(self) -> float:
        """The weighted sum of squared distances to the nearest centres, over the points that have one."""
        reached = self.labels >= 0
        return float((self._weights[reached].double() * self._own()[reached].double().square()).sum())

    @property
    def lost(self) -> float:
        """The weight of the points at no finite distance from any centre."""
        return float(self._weights[self.labels < 0].double().sum())

    def place(self, centers: Float[Tensor, "k d"], *, moving: bool = True) -> None:
        """Puts the centres there, for iterations to move or for good, and assigns every point."""
        self.centers = centers.clone()
        self._forget(slice(None))
        self._solve_open(logarithms=moving)
        self._assign()

    def spread(self, random: np.random.RandomState) -> None:
        """Puts the centres on points drawn far apart: each with probability as its squared distance (k-means++).

        Geodesics are solved for the points alone to which the new centre may be nearer than those before.
        """
        n, clusters = self.distances.shape
        own = self._space.mass(self._points, self._weights)
        weights = own
        for k in range(clusters):
            total = weights.sum()
            chosen = random.choice(n, p=weights / total if total > 0 else None)
            self.centers[k] = self._points[chosen]
            known = self.exact & self.exact[chosen]
            apart = torch.where(known, (self.distances - self.distances[chosen]).abs(), 0)
            self._forget(slice(k, k + 1), at_least=torch.where(apart.isfinite(), apart, 0).amax(dim=1))
            self._solve_open()
            nearest = torch.where(self.exact, self.distances, torch.inf).min(dim=1).values.double().square()
            weights = own * torch.where(nearest.isfinite(), nearest, 0).cpu().numpy()
        self._assign()

    def complete(self) -> None:
        """Makes all distances exact."""
        self._solve(*(~self.exact).nonzero(as_tuple=True))

    def iterate(self, max_iter: int, tol: float, bar: tqdm | None = None) -> None:
        """Moves centres and labels until neither changes; the bar moves with them."""
        tol = max(tol, _ROUNDING * torch.finfo(self.centers.dtype).eps)
        for self.iterations in range(1, max_iter + 1):
            if bar is not None:
                bar.update()
            labels = self.labels
            refilled = self._fill_empty_clusters()
            step = self._step()
            self._solve_open()
            self._assign()
            reached = float(self._weights[self.labels >= 0].double().sum())
            settled = step <= tol * (self.inertia / reached if reached else 0.0) ** 0.5
            resting = settled | (self._rate < _SMALLEST_RATE)
            if not refilled and bool((labels == self.labels).all()) and bool(resting.all()):
                self.converged, self.settled = True, bool(settled.all())
                return

    def warn_of_failures(self, *, stacklevel: int) -> None:
        """Gives one ConvergenceWarning for the geodesics that did not converge and the points out of reach."""
        words = []
        if self._failures:
            count = self._failures.total()
            words.append(f"{count} of {self._solved} geodesics did not converge. {advice(self._failures)}")
        lost = int((self.labels < 0).sum())
        if lost:
            words.append(f"{lost} points are at no finite distance from any centre and have label -1.")
        if words:
            warnings.warn(" ".join(words), ConvergenceWarning, stacklevel=stacklevel + 1)

    def _step(self) -> Float[Tensor, " k"]:
        """One step of every centre towards the mean of its points; how far that is, by the mean logarithm."""
        members = self.labels >= 0
        rows, own = members.nonzero()[:, 0], self.labels[members]
        k, d = self.centers.shape
        weights = self._weights[rows]
        total = torch.zeros_like(self._rate).index_add(0, own, weights)
        unknown = self._tangents[rows, own].isnan().any(dim=1)  # of points that have come to another centre
        self._solve(rows[unknown], own[unknown], logarithms=True)
        logs = self._tangents[rows, own]
        mean = logs.new_zeros(k, d).index_add(0, own, weights[:, None] * logs)
        mean = mean / torch.where(total > 0, total, 1)[:, None]
        velocity, length = self._rate[:, None] * mean, self._space.norm(self.centers, mean)
        arrival = self._space.retract(self.centers, velocity)
        moving = arrival.isfinite().all(dim=1) & (length > 0)

        # the step is taken where it lowers the sum of squares of the points that the centre has now
        keep = moving[own]
        rows, own, weights = rows[keep], own[keep], weights[keep]
        centers, pairs = self.centers, (self.distances, self._curves, self._tangents)
        before = [values[rows, own] for values in pairs]
        self.centers = torch.where(moving[:, None], arrival, self.centers)
        old = torch.zeros_like(self._rate).index_add(0, own, weights * before[0].square())
        self._solve(rows, own, logarithms=True)
        new = torch.zeros_like(self._rate).index_add(0, own, weights * self.distances[rows, own].square())
        # a step of less than the root of this changes sums by their rounding alone, and is judged by its length
        taken = moving & (new <= old * (1 + _LOST * torch.finfo(old.dtype).eps))
        back = ~taken[own]
        self.centers = torch.where(taken[:, None], self.centers, centers)
        for values, known in zip(pairs, before, strict=True):
            values[rows[back], own[back]] = known[back]
        self._rate = torch.where(taken, (2 * self._rate).clamp_max(1), self._rate / 2)

        others = taken & (self.labels[:, None] != torch.arange(k, device=taken.device))
        if bool(others.any()):
            # a retraction may lead farther than its velocity is long
            far = self._space.join(centers, self.centers).length
            far = torch.where(far.isfinite(), far, torch.inf)
            bound = torch.maximum(self.distances - far, self._space.lower_bounds(self._points, self.centers))
            self.distances = torch.where(others, bound, self.distances)
            self.exact &= ~others
        return torch.where(total > 0, length, 0)

    def _fill_empty_clusters(self) -> bool:
        """Moves every centre without points to the point farthest from its own centre."""
        filled = False
        for k in range(len(self.centers)):
            if bool((self.labels == k).any()):
                continue
            own = torch.where(self.labels >= 0, self._own(), 0)
            if not bool((own > 0).any()):
                return filled  # fewer distinct points than centres
            self.centers[k] = self._points[own.argmax()]
            self._forget(slice(k, k + 1))
            self._solve_open()
            self._assign()
            filled = True
        return filled

    def _own(self) -> Tensor:
        return self.distances.gather(1, self.labels.clamp_min(0)[:, None])[:, 0]

    def _assign(self) -> None:
        known = torch.where(self.exact, self.distances, torch.inf)
        nearest, labels = known.min(dim=1)
        self.labels = torch.where(nearest.isfinite(), labels, -1)

    def _forget(self, columns: slice, at_least: Tensor | None = None) -> None:
        """Leaves of the geodesics from centres that have jumped nothing but a lower bound."""
        bounds = self._space.lower_bounds(self._points, self.centers[columns])
        self.distances[:, columns] = bounds if at_least is None else torch.maximum(bounds, at_least[:, None])
        self.exact[:, columns] = False
        self._curves[:, columns] = torch.nan

    def _solve_open(self, *, logarithms: bool = False) -> None:
        """Solves, the least bound first, pairs whose bound leaves it open whether the centre is the nearest.

        Logarithms are for the step that follows, which finds those it lacks: of points that have changed over, or
        were tried with many centres.
        """
        while True:
            nearest = torch.where(self.exact, self.distances, torch.inf).min(dim=1).values
            least, column = torch.where(self.exact, torch.inf, self.distances).min(dim=1)
            rows = (least < nearest).nonzero()[:, 0]
            if not len(rows):
                return
            self._solve(rows, column[rows], logarithms=logarithms)

    def _solve(
        self, rows: Int[Tensor, " b"], columns: Int[Tensor, " b"], *, logarithms: bool = False
    ) -> None:
        """Geodesics from centres to points, from the curves of the same pairs where there are any."""
        if not self._curves.shape[2]:
            self._join(rows, columns, None, logarithms)
            return
        curves = self._curves[rows, columns]
        known = curves.isfinite().flatten(1).all(dim=1)
        self._join(rows[known], columns[known], curves[known], logarithms)
        self._join(rows[~known], columns[~known], None, logarithms)

    def _join(self, rows: Tensor, columns: Tensor, initial: Tensor | None, logarithms: bool) -> None:
        if not len(rows):
            return
        start, end = self.centers[columns], self._points[rows]
        joined = self._space.join(start, end, initial)
        if not self._curves.shape[2]:
            shape = (*self.distances.shape, *joined.curves.shape[1:])
            self._curves = torch.full(shape, torch.nan, dtype=end.dtype, device=end.device)
        self._curves[rows, columns] = joined.curves
        self._tangents[rows, columns] = joined.logarithms() if logarithms else torch.nan
        self.distances[rows, columns] = torch.where(joined.length.isnan(), torch.inf, joined.length)
        self.exact[rows, columns] = True
        self._solved += len(rows)
        self._failures.update(failures_of(joined.status))
