"""Nearest neighbours by what the decoder makes of the way, and by latent distance.

A neighbour in latent units may lie across a ridge, where one digit turns into another. Measured by the metric, with
the decoder's variance in it, the way across is long, and the neighbours are those on the same side. The classes of
many codes are told here from a few that are known.
"""

import warnings
from pathlib import Path

import torch
from matplotlib.figure import Figure

from latentgeo import (
    ConvergenceWarning,
    EuclideanMetric,
    GeodesicKNeighborsClassifier,
    expected_pullback_metric,
    geodesic,
)
from latentgeo.data import load_digits
from latentgeo.plots import PALE, bounds_of, curves, latent_scatter, metric_map
from latentgeo.training import reference_model


def main(known: int = 10, asked: int = 30, out: Path = Path("nearest_neighbours.png")) -> None:
    """Learns from a few codes of each class, predicts others, and draws those that latent distance tells wrong."""
    digits, vae = load_digits().of_classes((0, 1, 2), per_class=known + asked), reference_model("digits")
    with torch.no_grad():
        z = vae.encode(digits.images.flatten(1)).mean
    labels, metric = digits.labels, expected_pullback_metric(vae.decode)
    rank = torch.stack([(labels[:i] == label).sum() for i, label in enumerate(labels)])  # within its class
    train, test = z[rank < known], z[rank >= known]

    figure = Figure(figsize=(10, 4.9), layout="constrained")
    distances = {"Euclidean": EuclideanMetric(2), "geodesic": metric}
    for axes, (name, distance) in zip(figure.subplots(1, 2, sharey=True), distances.items(), strict=True):
        classifier = GeodesicKNeighborsClassifier(distance, n_neighbors=3).fit(train, labels[rank < known])
        found = torch.as_tensor(classifier.predict(test))
        wrong = found != labels[rank >= known]
        print(f"{name}: {int(wrong.sum())} of {len(test)} wrong")

        if name == "Euclidean":
            shown = test[wrong]  # in both pictures
        _, rows = classifier.kneighbors(shown)
        ends = train[torch.as_tensor(rows)]
        ways = geodesic(distance, shown[:, None].expand_as(ends).flatten(0, 1), ends.flatten(0, 1))
        metric_map(axes, metric, bounds_of(z, margin=0.08), cmap=PALE)
        latent_scatter(axes, train, labels[rank < known], names=["digit 0", "digit 1", "digit 2"], size=24.0)
        curves(axes, ways.points, width=1.0, label="to neighbours")
        axes.plot(*shown.T, "kx", label="told wrong on the left")
        axes.set(title=f"{name} distance: {int(wrong.sum())} of {len(test)} wrong", xlabel="$z_1$")
    figure.axes[0].set_ylabel("$z_2$")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(out, dpi=110)
    print(f"picture: {out}")


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)  # a few unresolved curves change no neighbour
    main()
