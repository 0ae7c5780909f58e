"""Between two images in five ways: pixels, latent means, latent samples, and the Fisher-Rao geodesic of posteriors.

The encoder of a VAE answers with a Gaussian. The shortest way from one Gaussian to another, by the Fisher
information, rises in variance on the way (Peste, Malagò, Sârbu 2017, figure 5): its samples vary more, and its means,
at equal steps, cross from one digit to the other faster than a straight line does.

    python examples/fisher_rao_interpolation.py [directory of MNIST]
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from latentgeo import DiagonalNormal, fisher_rao_distance, frechet_mean
from latentgeo.data import load_digits, load_mnist
from latentgeo.gaussians import posterior, posterior_interpolation, posterior_points
from latentgeo.models import VAE, MLPDecoder, MLPEncoder
from latentgeo.plots import image_strip
from latentgeo.training import fit

STEPS = 12


def main(mnist: Path | None = None, epochs: int = 30, out: Path = Path("five_ways.png")) -> None:
    """Trains a VAE, and draws the five ways between two digits."""
    digits = load_digits() if mnist is None else load_mnist("train", data_dir=mnist)
    images, labels = digits.images[:10000].flatten(1), digits.labels[:10000]
    torch.manual_seed(0)
    size = images.shape[1]
    vae = VAE(MLPEncoder(size, 20), MLPDecoder(20, size))
    fit(vae, images, epochs=epochs, seed=0)

    # The two images: the four and the nine whose posteriors are nearest to the means of theirs.
    with torch.no_grad():
        points = posterior_points(vae.encode, images)
        ends = []
        for digit in (4, 9):
            some = points[labels == digit][:200]
            mean = frechet_mean(DiagonalNormal(), some).point
            ends.append(images[labels == digit][DiagonalNormal().dist(some, mean).argmin()][None])
        a, b = ends
        p, q = posterior(vae.encode, a), posterior(vae.encode, b)
        print(f"Fisher-Rao distance of the two posteriors: {float(fisher_rao_distance(p, q)):.2f}")

        # Everything between them at equal steps of t. A geodesic is a distribution with t as first batch dimension.
        t = torch.linspace(0, 1, STEPS)
        way = posterior_interpolation(vae.encode, a, b, t)
        torch.manual_seed(1)
        line = lambda x, y: x + t[:, None] * (y - x)  # noqa: E731
        rows = {
            "pixels": line(a, b),
            "means": vae.decode(line(p.mean, q.mean)).mean,
            "samples": vae.decode(line(p.sample(), q.sample())).mean,
            "geodesic,\nsampled": vae.decode(way.sample()[:, 0]).mean,
            "geodesic\nof means": vae.decode(way.mean[:, 0]).mean,
        }

    side = int(size**0.5)
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    for axes, (name, row) in zip(figure.subplots(len(rows), 1), rows.items(), strict=True):
        image_strip(axes, row.reshape(-1, side, side))
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
        if name in ("means", "geodesic\nof means"):  # the largest change from one image to the next
            step = int(row.diff(dim=0).norm(dim=1).argmax())
            print(
                f"{name!r}: the largest step is {row.diff(dim=0).norm(dim=1).max():.2f}, after image {step + 1}"
            )
            width = (axes.get_xlim()[1] + 0.5) / STEPS
            frame = Rectangle((-0.5 + step * width, -0.5), 2 * width, side, fill=False, color="red", lw=2)
            axes.add_patch(frame).set_clip_on(False)
    figure.savefig(out, dpi=150)
    print(f"picture: {out}")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
