"""Find the latent code of an image: descent on the latent space as the manifold that its decoder makes of it.

To invert a decoder one descends |f(z) - x|² in z, in steps that plain optimisers measure in latent units. On a
`LatentManifold` a step is as long as what it changes in the image. Nothing else changes in the loop.
"""

from pathlib import Path

import geoopt
import torch
from matplotlib.figure import Figure
from torch import nn

from latentgeo import LatentManifold, pullback_metric
from latentgeo.data import load_digits
from latentgeo.plots import COLORS, PALE, bounds_of, curves, metric_map


def train(images: torch.Tensor, epochs: int) -> tuple[nn.Module, nn.Module]:
    """An autoencoder, as you would write it."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(64, 64), nn.Softplus(), nn.Linear(64, 2))
    decoder = nn.Sequential(nn.Linear(2, 64), nn.Softplus(), nn.Linear(64, 64), nn.Sigmoid())
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    for _ in range(epochs):
        for x in images[torch.randperm(len(images))].split(50):
            z = encoder(x) + 0.1 * torch.randn(len(x), 2)
            loss = (decoder(z) - x).square().sum(1).mean() + 0.01 * z.square().sum(1).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
    return encoder.eval(), decoder.eval().requires_grad_(False)


def invert(decoder: nn.Module, images: torch.Tensor, optimizer: torch.optim.Optimizer, steps: int):
    """The codes (steps, N, 2) on the way, and their errors (steps, N)."""
    (code,), path, errors = optimizer.param_groups[0]["params"], [], []
    for _ in range(steps):
        error = (decoder(code) - images).square().sum(1)
        path.append(code.detach().as_subclass(torch.Tensor).clone())
        errors.append(error.detach())
        optimizer.zero_grad()
        error.sum().div(2).backward()
        optimizer.step()
    return torch.stack(path), torch.stack(errors)


def main(epochs: int = 200, steps: int = 120, out: Path = Path("latent_code_on_the_manifold.png")) -> None:
    """Trains, finds the codes of forty images from starts beside them, and draws five of the ways there."""
    digits = load_digits().of_classes((0, 4, 7))
    encoder, decoder = train(digits.images.flatten(1), epochs)
    with torch.no_grad():
        z = encoder(digits.images.flatten(1))[:40]
        images = decoder(z)  # their codes are known, and leave no error
    start = z + 0.5 * z.std(0) * torch.randn(40, 2, generator=torch.Generator().manual_seed(0))

    metric = pullback_metric(decoder)
    on_manifold = geoopt.ManifoldParameter(start.clone(), manifold=LatentManifold(metric, 2))
    flat, flat_too = (start.clone().requires_grad_() for _ in range(2))
    optimizers = (
        torch.optim.Adam([flat], lr=0.2),
        torch.optim.SGD([flat_too], lr=0.3),
        geoopt.optim.RiemannianSGD([on_manifold], lr=0.5),
    )
    plane, chart = (figure := Figure(figsize=(9, 4), layout="constrained")).subplots(1, 2)
    metric_map(plane, metric, bounds_of(z[::8], start[::8], margin=0.3), cmap=PALE)
    for optimizer, color in zip(optimizers, COLORS, strict=False):
        path, errors = invert(decoder, images, optimizer, steps)
        name, missing = type(optimizer).__name__, (errors > 1e-4).any(1)
        print(f"{name}: {missing.sum()} of {steps} steps before all 40 images are matched")
        chart.semilogy(errors.amax(1), color=color, label=name)
        curves(plane, path[:, ::8].movedim(0, 1), color=color, width=1.0, label=name)
    plane.plot(*z[::8].T, "k*", label="codes")
    chart.set(xlabel="steps", ylabel="largest squared error of an image", ylim=(1e-10, None))
    chart.legend()
    figure.savefig(out, dpi=150)


if __name__ == "__main__":
    main()
