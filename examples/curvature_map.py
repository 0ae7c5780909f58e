"""Curvature: where geodesics draw together, and where they part.

On a hill over the plane the Gaussian curvature is known: positive at the top, where geodesics that pass on either
side meet again, negative on the slope around it. On the surface of images that a decoder spans it changes sign from
place to place: most where one digit turns into another, hardly where the variance alone is left.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from latentgeo import expected_pullback_metric, pullback_metric, sectional_curvature
from latentgeo.data import load_digits
from latentgeo.plots import bounds_of, color_bar, curvature_map, latent_scatter
from latentgeo.training import reference_model


def hill(z: torch.Tensor) -> torch.Tensor:
    """The graph of h(z) = exp(-|z|² / 2), whose curvature is (1 - |z|²) h² / (1 + |z|² h²)²."""
    return torch.cat([z, torch.exp(-z.square().sum(1, keepdim=True) / 2)], 1)


def main(resolution: int = 200, out: Path = Path("curvature_map.png")) -> None:
    """Draws both curvatures, and compares the first with its formula."""
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)

    surface, square = pullback_metric(hill), torch.tensor([[-2.0, -2.0], [2.0, 2.0]])
    z = 4 * torch.rand(1000, 2, generator=torch.Generator().manual_seed(0)) - 2
    square_norm = z.square().sum(1)
    height = torch.exp(-square_norm)
    exact = (1 - square_norm) * height / (1 + square_norm * height) ** 2
    found = sectional_curvature(surface, z, *torch.eye(2))
    print(f"hill: the largest error of the curvature at 1000 points is {(found - exact).abs().max():.0e}")
    image = curvature_map(left, surface, square, resolution=resolution)
    color_bar(left, image, label="Gaussian curvature")
    left.set(title="a hill", xlabel="$z_1$", ylabel="$z_2$")

    digits, vae = load_digits().of_classes((0, 1, 2)), reference_model("digits")
    with torch.no_grad():
        z = vae.encode(digits.images.flatten(1)).mean
    metric = expected_pullback_metric(vae.decode)
    image = curvature_map(right, metric, bounds_of(z, margin=0.05), resolution=resolution)
    latent_scatter(right, z, digits.labels, names=["digit 0", "digit 1", "digit 2"], size=5.0)
    color_bar(right, image, label="Gaussian curvature")
    right.set(title="a decoder of digits", xlabel="$z_1$")
    right.legend(fontsize="small", markerscale=1.6)
    figure.savefig(out, dpi=110)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
