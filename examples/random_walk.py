"""Three random walks from the same digit: in latent units, with the inverse metric, and Brownian motion.

A step of one size in latent units changes the image by much in one place and by nothing in another. Steps drawn with
the inverse of the metric change it alike everywhere: they are short across the ridges between classes and long on the
plains. Brownian motion adds the drift that makes it the same motion in all coordinates of the latent space.

Such a walk need not stay where the data are: in the long run Brownian motion spends its time where the volume of the
metric is, much of which lies off the data.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from latentgeo import expected_pullback_metric, random_walk, volume_element
from latentgeo.data import load_digits
from latentgeo.plots import PALE, bounds_of, metric_map, walk
from latentgeo.training import reference_model


def main(num_steps: int = 2000, num_walks: int = 20, out: Path = Path("random_walk.png")) -> None:
    """Walks from a zero in three ways, says how evenly images change on the way, and draws two walks of each."""
    digits, vae = load_digits().of_classes((0, 1, 2)), reference_model("digits")
    metric = expected_pullback_metric(vae.decode)
    with torch.no_grad():
        z = vae.encode(digits.images.flatten(1)).mean
        start = z[digits.labels == 0].median(0).values
        unit = float(volume_element(metric, z).mean().rsqrt())  # latent length of an ambient unit, on average

    bounds = bounds_of(z, margin=0.35)
    figure = Figure(figsize=(12, 4.1), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, kind in zip(panels, ("euclidean", "inverse-metric", "brownian"), strict=True):
        step = 0.1 * unit if kind == "euclidean" else 0.1
        generator = torch.Generator().manual_seed(0)
        points = random_walk(
            metric, start.expand(num_walks, 2), num_steps, step, kind=kind, generator=generator
        )
        with torch.no_grad():
            change = metric.norm(points[:-1], points.diff(dim=0)).flatten()
        low, middle, high = change.quantile(torch.tensor([0.05, 0.5, 0.95])) / 0.1
        print(
            f"{kind}: a step changes the image by {middle:.2f}, and 9 of 10 by {low:.2f} to {high:.2f}, times 0.1"
        )
        metric_map(axes, metric, bounds, cmap=PALE)
        axes.plot(*z.T, ".", color="0.35", markersize=2, label="codes")
        steps, _ = walk(axes, points[:, :2])
        axes.set(title=kind, xlim=bounds[:, 0].tolist(), ylim=bounds[:, 1].tolist(), xlabel="$z_1$")
    panels[0].set_ylabel("$z_2$")
    panels[0].legend(handles=panels[0].lines, loc="lower left", fontsize="small", markerscale=3)
    figure.colorbar(steps, ax=panels, label="step", shrink=0.8, pad=0.01)
    figure.savefig(out, dpi=110)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
