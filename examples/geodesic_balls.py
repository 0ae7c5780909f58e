"""Geodesic balls: what is within reach of a point, and where geodesics stop to be the shortest way.

A ball of the metric holds all codes whose images one reaches by changes of a given size. Around encoded digits balls
spread within a class and stop at the ridge before the next. Behind a hill they close round it from both sides:
geodesics that leave a point at equal angles cross there, and past the crossing end inside the ball, not on its rim.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from latentgeo import expected_pullback_metric, pullback_metric
from latentgeo.data import load_digits
from latentgeo.plots import (
    PALE,
    bounds_of,
    color_bar,
    distance_map,
    geodesic_balls,
    geodesic_fan,
    latent_scatter,
    metric_map,
)
from latentgeo.training import reference_model


def hill(z: torch.Tensor) -> torch.Tensor:
    """The surface of a steep hill over the plane."""
    return torch.cat([z, 2 * torch.exp(-2 * z.square().sum(1, keepdim=True))], 1)


def main(resolution: int = 160, out: Path = Path("geodesic_balls.png")) -> None:
    """Draws balls around three digits, and around a point before a hill."""
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)

    digits, vae = load_digits().of_classes((0, 1, 2)), reference_model("digits")
    with torch.no_grad():
        z = vae.encode(digits.images.flatten(1)).mean
    metric, bounds = expected_pullback_metric(vae.decode), bounds_of(z, margin=0.05)
    centers = torch.stack([z[digits.labels == label].median(0).values for label in (0, 1, 2)])
    metric_map(left, metric, bounds, resolution=resolution, cmap=PALE)
    latent_scatter(left, z, digits.labels, names=["digit 0", "digit 1", "digit 2"], size=5.0)
    for radius in (1.0, 2.0, 3.0):
        geodesic_balls(left, metric, centers, radius, bounds, resolution=resolution)
    left.set(title="balls of radius 1, 2 and 3", xlabel="$z_1$", ylabel="$z_2$")
    left.legend(fontsize="small", markerscale=1.6)

    surface, start = pullback_metric(hill), torch.tensor([-1.2, 0.0])
    square = torch.tensor([[-2.0, -2.0], [2.0, 2.0]])
    image = distance_map(right, surface, start, square, resolution=resolution)
    geodesic_fan(right, surface, start, 3.2, num_geodesics=48)
    geodesic_balls(
        right, surface, start[None], 3.2, square, resolution=resolution, color="black", filled=False
    )
    color_bar(right, image, label="distance")
    right.set(title="geodesics of length 3.2 past a hill", xlim=(-2, 2), ylim=(-2, 2), xlabel="$z_1$")
    figure.savefig(out, dpi=110)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
