"""Clusters by distance along the data against clusters by latent distance.

k-means twice on the codes of a VAE of digits, once with Euclidean distances in latent space and once with
distances of the metric that the decoder pulls back, its variance included: the ridges between classes keep apart what
lies close together, and what is stretched out stays in one cluster.
"""

import warnings
from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.metrics import adjusted_rand_score

from latentgeo import (
    ConvergenceWarning,
    EuclideanMetric,
    GeodesicKMeans,
    MinimizeEnergy,
    expected_pullback_metric,
)
from latentgeo.data import load_digits
from latentgeo.plots import PALE, bounds_of, clusters, metric_map
from latentgeo.training import reference_model


def main(per_class: int = 40, out: Path = Path("clusters.png")) -> None:
    """Clusters the codes both ways, compares with the classes, and draws both."""
    digits, vae = load_digits().of_classes((0, 1, 2), per_class=per_class), reference_model("digits")
    with torch.no_grad():
        z = vae.encode(digits.images.flatten(1)).mean
    metric = expected_pullback_metric(vae.decode)
    solver = MinimizeEnergy(num_segments=16, tol=1e-2)  # enough to tell which centre is nearest

    figure = Figure(figsize=(10, 4.9), layout="constrained")
    distances = {"Euclidean": EuclideanMetric(2), "geodesic": metric}
    for axes, (name, distance) in zip(figure.subplots(1, 2, sharey=True), distances.items(), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a few unresolved curves change no cluster
            found = GeodesicKMeans(distance, 3, n_init=2, solver=solver, tol=1e-2, random_state=0).fit(z)
        score = adjusted_rand_score(digits.labels, found.labels_)
        print(f"{name}: adjusted Rand index {score:.3f}")
        metric_map(axes, metric, bounds_of(z, margin=0.08), cmap=PALE)
        order = found.cluster_centers_[:, 0].argsort()  # from left to right: the same colours in both
        clusters(
            axes, z, order.argsort()[found.labels_], found.cluster_centers_[order], classes=digits.labels
        )
        axes.set(title=f"{name} distance, adjusted Rand index {score:.2f}", xlabel="$z_1$")
    figure.axes[0].set_ylabel("$z_2$")
    figure.savefig(out, dpi=110)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
