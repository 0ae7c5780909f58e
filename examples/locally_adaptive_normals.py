"""Normals that follow the data: a locally adaptive mixture on two moons, against a Gaussian mixture.

The metric is learned from the points alone: the inverse of their local covariance, so that ways along a band are
short and ways across it long (after Arvanitidis, Hansen and Hauberg 2016, who keep its diagonal). Divided by the root
of its determinant it leaves areas as they are, and the density a matter of shape. A normal of that metric, one mean
and one covariance, bends with its band. Those of a Gaussian mixture are ellipses, and take in points of the other.
In the picture colours are components, and shapes of markers the true moons.
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.mixture import GaussianMixture

from latentgeo import LocallyAdaptiveNormalMixture, Metric, MinimizeEnergy, metric_from_function
from latentgeo.data import two_moons
from latentgeo.plots import PALE, clusters

BANDWIDTH, NOISE = 0.2, 0.055  # what is local, and what the points do not tell


def metric_of(data: torch.Tensor) -> Metric:
    """The inverse local covariance at z, scaled to determinant one; far from the data that of flat space."""

    def matrix(z: torch.Tensor) -> torch.Tensor:
        away = data - z[:, None]
        weights = (away.square().sum(-1) / (-2 * BANDWIDTH**2)).exp()
        scatter = torch.einsum("nk,nki,nkj->nij", weights, away, away)
        local = scatter / (weights.sum(1)[:, None, None] + 1e-3) + NOISE**2 * torch.eye(2)
        return torch.linalg.det(local).sqrt()[:, None, None] * torch.linalg.inv(local)

    return metric_from_function(matrix)


def main(
    count: int = 100,
    draws: int = 160,
    max_iter: int = 50,
    resolution: int = 40,
    out: Path = Path("locally_adaptive_normals.png"),
) -> None:
    """Fits both mixtures, compares them on points held out, and draws their densities."""
    generator = torch.Generator().manual_seed(0)
    known, unseen = (two_moons(count, generator=generator) for _ in range(2))
    locally_adaptive = LocallyAdaptiveNormalMixture(
        metric_of(known.latents),
        n_components=2,
        n_samples=draws,
        tol=1e-2,
        max_iter=max_iter,
        solver=MinimizeEnergy(num_segments=8, tol=1e-2),  # enough for ways that bend so little
        random_state=0,
    )
    models = {"Gaussian mixture": GaussianMixture(2, random_state=0), "locally adaptive": locally_adaptive}

    x, y = np.linspace(-1.5, 2.5, resolution), np.linspace(-1.1, 1.5, 2 * resolution // 3)
    plane = np.stack(np.meshgrid(x, y), -1).astype(np.float32)
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for axes, (name, model) in zip(figure.subplots(1, 2, sharey=True), models.items(), strict=True):
        labels = model.fit(known.latents.numpy()).predict(known.latents.numpy())
        order = model.means_[:, 1].argsort()  # from below: the same colours in both
        score = model.score(unseen.latents.numpy())
        right = (model.predict(unseen.latents.numpy()) == unseen.labels.numpy()).mean()
        right = max(right, 1 - right)
        print(f"{name}: log-density of unseen points {score:.2f}, {right:.0%} in the right moon")
        log_density = model.score_samples(plane.reshape(-1, 2)).reshape(plane.shape[:2])
        axes.contourf(x, y, log_density, levels=np.linspace(-3.5, 1, 10), cmap=PALE, extend="max")
        clusters(axes, known.latents, order.argsort()[labels], model.means_[order], classes=known.labels)
        axes.set(title=f"{name}: {right:.0%} in the right moon", xlabel="$z_1$", aspect="equal")
    figure.axes[0].set_ylabel("$z_2$")
    figure.savefig(out, dpi=110)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
