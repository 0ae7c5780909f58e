"""Bring your own decoder: any callable from a batch of latent points to a batch of outputs.

Nothing in the network below knows of latentgeo. It is plain PyTorch, trained by a plain loop on the 8 x 8 digits that
come with scikit-learn. What latentgeo needs of it is one thing: that `decoder(z)` maps (N, 2) to (N, 64).
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import nn

from latentgeo import geodesic, pullback_metric
from latentgeo.data import load_digits
from latentgeo.plots import PALE, bounds_of, curves, image_strip, latent_scatter, metric_map, straight_lines


def train(images: torch.Tensor, epochs: int) -> tuple[nn.Module, nn.Module]:
    """An autoencoder, as you would write it. Smooth activations make smooth geodesics."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(64, 64), nn.Softplus(), nn.Linear(64, 2))
    decoder = nn.Sequential(nn.Linear(2, 64), nn.Softplus(), nn.Linear(64, 64), nn.Sigmoid())
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    for _ in range(epochs):
        for x in images[torch.randperm(len(images))].split(50):
            z = encoder(x) + 0.1 * torch.randn(len(x), 2)  # some noise, so that neighbours decode alike
            loss = (decoder(z) - x).square().sum(1).mean() + 0.01 * z.square().sum(1).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
    return encoder.eval(), decoder.eval()


def main(epochs: int = 200, out: Path = Path("bring_your_own_decoder.png")) -> None:
    """Trains, joins digits by geodesics, and draws them."""
    digits = load_digits().of_classes((0, 4, 7))
    images = digits.images.flatten(1)
    encoder, decoder = train(images, epochs)
    with torch.no_grad():
        z = encoder(images)

    # The metric that the decoder pulls back to latent space: G(z) = J(z)^T J(z). The decoder is not changed by it.
    metric = pullback_metric(decoder)

    # Five zeros, each to be joined with a seven. All five curves are solved at once, and each says how it ended.
    start, end = z[digits.labels == 0][:5], z[digits.labels == 7][:5]
    result = geodesic(metric, start, end)
    print(result)
    for status, length in zip(result.status, result.length, strict=True):
        print(f"length {length:.3f}  {status}")

    # What the decoder makes of the way: at equal steps of the geodesic, and of the straight line beside it.
    t = torch.linspace(0, 1, 12)
    with torch.no_grad():
        ways = {
            "geodesic": decoder(result.at(t)[0]),
            "straight": decoder(start[0] + t[:, None] * (end[0] - start[0])),
        }

    figure = Figure(figsize=(5, 6.5), layout="constrained")
    plane, *strips = figure.subplots(3, 1, height_ratios=(8, 1, 1))
    metric_map(plane, metric, bounds_of(z, result.points), cmap=PALE)
    latent_scatter(plane, z, digits.labels, size=6.0)
    straight_lines(plane, start, end)
    curves(plane, result.points)
    plane.legend(loc="upper left", fontsize="small")
    for axes, (name, decoded) in zip(strips, ways.items(), strict=True):
        image_strip(axes, decoded.reshape(-1, 8, 8))
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    figure.savefig(out, dpi=150)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
