"""Clusters of the latent points by geodesic distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentgeo.explorer.tasks import Remarks
from latentgeo.geodesics import MinimizeEnergy
from latentgeo.metrics import Metric
from latentgeo.statistics import GeodesicKMeans

_MOST = 120  # points that are clustered; of more, so many at equal steps of their rows
_SOLVER = MinimizeEnergy(num_segments=16, tol=1e-2)
_TOL = 1e-2  # labels no longer change where centres move less


@dataclass(frozen=True)
class Clusters:
    """What :class:`latentgeo.GeodesicKMeans` found.

    Attributes:
        labels: (N,) cluster of each latent point, -1 for points that were not clustered.
        centers: (K, d).
        inertia: the sum of squared distances to the centres.
        remarks: what was warned of on the way.
    """

    labels: Int[Tensor, " n"]
    centers: Float[Tensor, "k d"]
    inertia: float
    remarks: tuple[str, ...]

    def words(self) -> str:
        """What is drawn."""
        used = int((self.labels >= 0).sum())
        part = (
            "" if used == len(self.labels) else f", the others in grey: there are {len(self.labels)} in all"
        )
        return " ".join(
            [
                f"{len(self.centers)} clusters of {used} latents by geodesic distance, in colours; shapes are the "
                f"labels, stars the centres{part}. Root mean square distance to them "
                f"{(self.inertia / max(used, 1)) ** 0.5:.4g} ambient units.",
                *self.remarks,
            ]
        )


def cluster(metric: Metric, latents: Float[Tensor, "n d"], count: int) -> Clusters:
    """Clusters the points by k-means from medoids of their graph, the same in every run.

    Args:
        metric: the metric.
        latents: (N, d).
        count: the number K of clusters.

    Raises:
        ValueError: the points are fewer than the clusters.

    Example:
        >>> import torch
        >>> from latentgeo import EuclideanMetric
        >>> points = torch.tensor([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0]])
        >>> cluster(EuclideanMetric(2), points, 2).centers.sort(0).values.round(decimals=2)
        tensor([[0.0500, 0.0000],
                [5.0500, 5.0000]])
    """
    rows = spread(len(latents), _MOST).to(latents.device)
    estimator = GeodesicKMeans(metric, count, init="k-medoids", solver=_SOLVER, tol=_TOL, random_state=0)
    with Remarks() as remarks:
        found = torch.as_tensor(estimator.fit_predict(latents[rows])).to(latents.device)
    labels = torch.full((len(latents),), -1, dtype=torch.int64, device=latents.device)
    labels[rows] = found.long()
    centers = torch.as_tensor(estimator.cluster_centers_).to(latents)
    return Clusters(labels, centers, float(estimator.inertia_), remarks())


def spread(n: int, most: int) -> Int[Tensor, " m"]:
    """At most so many of n rows, at equal steps.

    Example:
        >>> spread(9, 3)
        tensor([0, 4, 8])
    """
    return torch.linspace(0, n - 1, min(n, most), dtype=torch.float64).round().long()
