"""One decoder, three metrics: what "near" means depends on what the outputs are taken for.

A decoder with a mean and a variance can be read in three ways. As its mean: the Euclidean pull-back. As a random map:
the expected pull-back, which adds what the standard deviation contributes, and so avoids places without data. As a
family of distributions: the Fisher information, for which a change counts as far as the noise lets it be seen; where
the variance is large nothing can be told apart, and ways become cheap.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import nn

from latentgeo import expected_pullback_metric, fisher_pullback_metric, geodesic, pullback_metric
from latentgeo.data import load_digits
from latentgeo.models import VAE, MLPDecoder, MLPEncoder
from latentgeo.plots import PALE, bounds_of, curves, latent_scatter, metric_map
from latentgeo.training import fit, fit_precision


def main(out: Path = Path("three_metrics.png")) -> None:
    """Trains one VAE, and draws the same pairs of points joined under three metrics."""
    digits = load_digits().of_classes((0, 1, 2))
    images = digits.images.flatten(1)
    torch.manual_seed(0)
    vae = VAE(
        MLPEncoder(64, 2, hidden=(64, 32), activation=nn.Tanh),
        MLPDecoder(2, 64, hidden=(32, 64), activation=nn.Tanh, output_activation=nn.Sigmoid),
        likelihood="gaussian",
    )
    fit(vae, images, epochs=150, batch_size=50, seed=0)
    fit_precision(
        vae, images, num_centers=32, a=2.0, random_state=0
    )  # a variance that grows away from the data
    with torch.no_grad():
        z = vae.encode(images).mean

    metrics = {
        "pullback_metric\n(the mean)": pullback_metric(lambda x: vae.decode(x).mean),
        "expected_pullback_metric\n(a random map)": expected_pullback_metric(vae.decode),
        "fisher_pullback_metric\n(distributions)": fisher_pullback_metric(vae.decode),
    }
    start, end = z[digits.labels == 0][:6], z[digits.labels == 2][:6]
    bounds = bounds_of(z, margin=0.25)
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    for axes, (name, metric) in zip(figure.subplots(1, 3), metrics.items(), strict=True):
        result = geodesic(metric, start, end)
        print(name.replace("\n", " "), result, f"mean length {result.length.mean():.2f}")
        metric_map(axes, metric, bounds, cmap=PALE)
        latent_scatter(axes, z, digits.labels, size=5.0)
        curves(axes, result.points)
        axes.set_title(name, fontsize="medium")
        axes.set(xlim=bounds[:, 0].tolist(), ylim=bounds[:, 1].tolist())
    figure.savefig(out, dpi=150)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
