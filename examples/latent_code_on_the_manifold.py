"""Find the latent code of an image: descent on the latent space as the manifold that its decoder makes of it.

To invert a decoder one descends |f(z) - x|² in z. Plain descent takes steps in latent units, which mean much here and
little there. On `LatentManifold` a step is as long as what it changes in the image, and geoopt's optimisers
walk there as they are. Nothing else changes in the loop.
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


def invert(
    decoder: nn.Module, images: torch.Tensor, code: torch.Tensor, optimizer: torch.optim.Optimizer, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The codes (steps + 1, N, 2) on the way, and their median error at each step, beside that of the last."""
    path, errors = [], []
    for _ in range(steps + 1):
        error = (decoder(code) - images).square().sum(1)
        path.append(code.detach().as_subclass(torch.Tensor).clone())
        errors.append(error.detach())
        optimizer.zero_grad()
        error.sum().div(2).backward()
        optimizer.step()
    return torch.stack(path), torch.stack(errors)


def main(epochs: int = 200, steps: int = 200, out: Path = Path("latent_code_on_the_manifold.png")) -> None:
    """Trains, inverts the decoder at images it made itself, and draws the ways there."""
    digits = load_digits().of_classes((0, 4, 7))
    encoder, decoder = train(digits.images.flatten(1), epochs)
    with torch.no_grad():
        z = encoder(digits.images.flatten(1))
        images = decoder(z[:40])  # whose codes are known, so that no error need be left
    start = z[:40] + 0.5 * z.std(0) * torch.randn(40, 2, generator=torch.Generator().manual_seed(0))

    plain = {name: start.clone().requires_grad_() for name in ("SGD", "Adam")}
    manifold = LatentManifold(pullback_metric(decoder), 2)
    natural = geoopt.ManifoldParameter(start.clone(), manifold=manifold)
    runs = {
        "SGD": (plain["SGD"], torch.optim.SGD([plain["SGD"]], lr=0.3)),
        "Adam": (plain["Adam"], torch.optim.Adam([plain["Adam"]], lr=0.3)),
        "RiemannianSGD": (natural, geoopt.optim.RiemannianSGD([natural], lr=0.5)),
    }
    for name,(c,o) in runs.items():
        p,e=invert(decoder,images,c,o,steps)
        print(name,[ (i,round(e[i].median().item(),6), round(e[i].max().item(),3), int((e[i]<1e-4).sum())) for i in (0,5,10,20,50,100,200)])
    G=manifold.metric(z); ev=torch.linalg.eigvalsh(G); print((ev[:,1]/ev[:,0]).median(), ev.median(0).values, z.std(0))
main()
