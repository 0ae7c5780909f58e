"""The same VAE trained on three bounds: the evidence lower bound, importance weighting, and the best of the samples.

The importance-weighted bound is tighter, and so it lets the encoder use more latents (Burda et al. 2016). The
variational Rényi bound of order minus infinity, VR-max, keeps only the best sample and costs less (Li, Turner 2016).

    python examples/compare_bounds.py [directory of MNIST [epochs]]
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import nn

from latentgeo.data import load_digits, load_mnist
from latentgeo.diagnostics import latent_statistics, log_likelihood
from latentgeo.models import VAE, MLPDecoder, MLPEncoder
from latentgeo.plots import spectrum_bars
from latentgeo.training import ELBO, IWAE, Renyi, fit

OBJECTIVES = {"VAE": ELBO(), "IWAE-5": IWAE(5), "VR-max-5": Renyi(-torch.inf, 5, backward="one")}


def main(
    mnist: Path | None = None, epochs: int = 40, latents: int = 50, out: Path = Path("bounds.png")
) -> None:
    """Trains, estimates the likelihood of held-out images, and draws which latents are used."""
    if mnist is None:
        images = load_digits().images.flatten(1)
        train, test = images[:1500], images[1500:]
    else:
        train, test = (load_mnist(split, data_dir=mnist).images.flatten(1) for split in ("train", "test"))
    torch.manual_seed(0)
    test = torch.bernoulli(test[:500])  # black and white, as each training batch is drawn to be

    figure = Figure(figsize=(9, 6), layout="constrained")
    rows = figure.subplots(len(OBJECTIVES), 1, sharex=True, sharey=True)
    for axes, (name, objective) in zip(rows, OBJECTIVES.items(), strict=True):
        torch.manual_seed(0)
        size = train.shape[1]
        model = VAE(
            MLPEncoder(size, latents, activation=nn.Tanh), MLPDecoder(latents, size, activation=nn.Tanh)
        )
        fit(model, train, objective=objective, epochs=epochs, transform=torch.bernoulli, seed=0)

        # how likely held-out images are, in nats, with 5000 samples each, and what these samples are worth
        estimate, effective = log_likelihood(model, test, 5000, seed=0)
        with torch.no_grad():
            q = model.encode(test)
        statistics = latent_statistics(q.mean, q.variance)
        active = int(statistics.active.sum())
        print(
            f"{name:9} log-likelihood {estimate.mean():.2f} (± {estimate.std() / len(test) ** 0.5:.2f} over images), "
            f"effective sample size {effective.median():.0f} of 5000, {active} of {latents} latents active"
        )
        order = statistics.variance_of_means.argsort(descending=True)
        spectrum_bars(axes, statistics.variance_of_means[order])
        axes.set_title(f"{name}: {active} active, log-likelihood {estimate.mean():.1f}", fontsize="medium")
    figure.supylabel("variance of the posterior means")
    rows[-1].set_xlabel("latents, by variance")
    figure.savefig(out, dpi=150)
    print(f"picture: {out}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]), *map(int, sys.argv[2:3]))
