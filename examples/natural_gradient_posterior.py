"""Fit posteriors by natural gradient: gradient descent on the manifold of normals, with geoopt's own optimiser.

A linear model of the progress of diabetes on age, body mass index and blood pressure, with scikit-learn's patients at
six clinics. What each learns of the coefficients is a normal with independent coordinates, the best of which is known
here, so that one sees how near a fit comes. The Fisher-Rao metric does not depend on units, and neither does the fit.
"""

from pathlib import Path

import geoopt
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes

from latentgeo import DiagonalNormal, fisher_rao_geodesic, frechet_mean
from latentgeo.plots import COLORS, curves

NOISE = 60.0
EVERYDAY, SI = torch.tensor([[1, 1, 1], [3.156e7, 1, 133.3]]).double()  # seconds a year, pascal a mmHg


def clinics(units: torch.Tensor, count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Precision matrices XᵀX / noise² (6, 3, 3) and pulls Xᵀy / noise² (6, 3), a clinic each."""
    data = map(torch.tensor, load_diabetes(scaled=False, return_X_y=True))
    x, y = ((z - z.mean(0))[: len(z) // count * count].unflatten(0, (count, -1)) for z in data)
    x = x[..., [0, 2, 3]] * units
    return x.mT @ x / NOISE**2, (x.mT @ y[..., None])[..., 0] / NOISE**2


def fit(units: torch.Tensor, steps: int, natural: bool) -> tuple[torch.Tensor, list[float]]:
    """The six posteriors as points (6, 2, 3), and before each step how far the worst is from the best possible."""
    precision, pull = clinics(units)
    diagonal = precision.diagonal(dim1=1, dim2=2)
    best = torch.stack([torch.linalg.solve(precision, pull), diagonal**-0.5], 1)
    start = best * torch.tensor([[0.0], [0.1]])
    if natural:  # a parameter on the manifold, and geoopt's optimiser for it: that is all
        normals = geoopt.ManifoldParameter(start, manifold=DiagonalNormal())
        optimizer = geoopt.optim.RiemannianSGD([normals], lr=0.4)
    else:  # means and logarithms of deviations, and Adam
        normals = torch.stack([start[:, 0], start[:, 1].log()], 1).requires_grad_()
        optimizer = torch.optim.Adam([normals], lr=0.1)
    distances = []
    for _ in range(steps):
        mean, std = normals[:, 0], normals[:, 1] if natural else normals[:, 1].exp()
        distances.append(DiagonalNormal().dist(torch.stack([mean, std], 1), best).max().item())
        # E[-log p(y | x, w)] minus the entropy of w ~ N(mean, std²), with a flat prior, up to a constant
        error = ((precision @ mean[..., None])[..., 0] / 2 - pull) * mean
        optimizer.zero_grad()
        (error + diagonal * std**2 / 2 - std.log()).sum().backward()
        optimizer.step()
    return torch.stack([mean, std], 1).detach(), distances


def main(steps: int = 60, out: Path = Path("natural_gradient_posterior.png")) -> None:
    """Fits in two systems of units, averages the clinics, and draws the half-plane of one coefficient."""
    left, right = (figure := Figure(figsize=(9, 3.6), layout="constrained")).subplots(1, 2)
    for name, natural in (("natural gradient", True), ("Adam", False)):
        for unit, units, style in (("years, mmHg", EVERYDAY, "-"), ("seconds, Pa", SI, ".")):
            _, distances = fit(units, steps, natural)
            print(f"{name}, {unit}: Fisher-Rao distance from the best {distances[-1]:.2g}")
            left.semilogy(distances, style, color=COLORS[natural], label=f"{name}, {unit}")
    left.set(xlabel="steps", ylabel="distance from the best posterior")

    # The mean of the six normals is not the normal of the mean parameters: the clinics disagree, and it is broader.
    posteriors, _ = fit(EVERYDAY, steps, natural=True)
    mean = frechet_mean(DiagonalNormal(), posteriors).point
    print(f"std, body mass: {posteriors[:, 1, 1].mean():.2f} at the clinics, {mean[1, 1]:.2f} of their mean")
    ends = (DiagonalNormal.to_distribution(x) for x in (mean, posteriors))
    path = DiagonalNormal.from_distribution(fisher_rao_geodesic(*ends, torch.linspace(0, 1, 50)))
    curves(right, path[..., 1].movedim(0, 1))
    right.plot(*posteriors[:, :, 1].T, "o", color=COLORS[0], label="clinics")
    right.plot(*mean[:, 1], "k*", markersize=12, zorder=9, label="their Fréchet mean")
    right.set(xlabel="coefficient of body mass index: mean", ylabel="standard deviation")
    left.legend(fontsize="small")
    right.legend(loc="lower center")
    figure.savefig(out, dpi=150)


if __name__ == "__main__":
    main()
