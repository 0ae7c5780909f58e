"""geoopt's optimisers on DiagonalNormal find what they should: posteriors, and Fréchet means."""

from __future__ import annotations

import geoopt
import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from latentgeo import DiagonalNormal, frechet_mean
from laws import assert_near

MANIFOLD = DiagonalNormal()


def linear_regression(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Precision XᵀX + I and pull Xᵀy of the posterior of weights w ~ N(0, I), y = Xw + noise.

    Columns of X differ in size by three orders of magnitude.
    """
    sizes = torch.tensor([30.0, 3.0, 0.3, 0.03], dtype=torch.float64)
    x = torch.randn(50, 4, dtype=torch.float64, generator=generator) * sizes
    y = (x / sizes).sum(1) / 2 + torch.randn(50, dtype=torch.float64, generator=generator)
    return x.mT @ x + torch.eye(4), x.mT @ y


def negative_elbo(q: Independent, precision: Tensor, pull: Tensor) -> Tensor:
    """KL(q, posterior) up to a constant, in closed form."""
    mean, std = q.base_dist.loc, q.base_dist.scale
    return mean @ precision @ mean / 2 - pull @ mean + (precision.diag() * std**2).sum() / 2 - std.log().sum()


def run(optimizer: torch.optim.Optimizer, loss, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def test_natural_gradients_fit_a_posterior(generator) -> None:
    """The best diagonal posterior has the mean of the full one, and the diagonal of its precision."""
    precision, pull = linear_regression(generator)
    narrow = torch.tensor([[0.0], [1e-3]], dtype=torch.float64).expand(2, 4)  # a broad start overshoots
    point = geoopt.ManifoldParameter(narrow.clone(), manifold=MANIFOLD)
    sgd = geoopt.optim.RiemannianSGD([point], lr=0.5)
    run(sgd, lambda: negative_elbo(MANIFOLD.to_distribution(point), precision, pull), 80)
    best = torch.stack([torch.linalg.solve(precision, pull), precision.diag() ** -0.5])
    assert MANIFOLD.dist(point.detach(), best) < 1e-6


def test_plain_gradients_do_not_in_as_many_steps(generator) -> None:
    """The claim of the last test is about the metric: Euclidean steps of any one size are too long or too short."""
    precision, pull = linear_regression(generator)
    best = torch.stack([torch.linalg.solve(precision, pull), precision.diag() ** -0.5])
    for lr in (1e-5, 3e-5, 1e-4, 3e-4, 1e-3):
        start = torch.zeros(4, dtype=torch.float64), torch.full((4,), 1e-3, dtype=torch.float64).log()
        mean, log_std = (x.requires_grad_() for x in start)

        def loss(mean=mean, log_std=log_std):
            return negative_elbo(
                Independent(Normal(mean, log_std.exp(), validate_args=False), 1), precision, pull
            )

        run(torch.optim.SGD([mean, log_std], lr=lr), loss, 80)
        point = torch.stack([mean, log_std.exp()]).detach()
        lost = not point.isfinite().all() or point.abs().max() > 1e6
        assert lost or MANIFOLD.dist(point, best) > 1


def test_adam_finds_the_frechet_mean(generator) -> None:
    """By gradients of squared distances; against the iteration Exp(mean of Log), and that of frechet_mean."""
    points = MANIFOLD.random(30, 2, 5, dtype=torch.float64, generator=generator).as_subclass(Tensor)
    mean = points[0]
    for _ in range(100):
        mean = MANIFOLD.expmap(mean, MANIFOLD.logmap(mean, points).mean(0))
    assert MANIFOLD.norm(mean, MANIFOLD.logmap(mean, points).mean(0)) < 1e-12

    parameter = geoopt.ManifoldParameter(points[0].clone(), manifold=MANIFOLD)
    adam = geoopt.optim.RiemannianAdam([parameter], lr=0.3, betas=(0.9, 0.9))
    slower = torch.optim.lr_scheduler.ExponentialLR(adam, 0.96)
    for _ in range(300):
        run(adam, lambda: MANIFOLD.dist2(parameter, points).mean(), 1)
        slower.step()
    assert MANIFOLD.dist(parameter.detach(), mean) < 1e-5
    assert_near(frechet_mean(MANIFOLD, points, tol=1e-12).point, mean, 1e-9)


def test_the_frechet_mean_is_no_mean_of_parameters(generator) -> None:
    """Equal deviations, means apart: their Fréchet mean is as broad as the half circle is high, not as they are."""
    points = torch.tensor([[[-2.0], [0.5]], [[2.0], [0.5]]], dtype=torch.float64)
    mean = frechet_mean(MANIFOLD, points).point
    assert_near(mean, torch.tensor([[0.0], [(0.25 + 2) ** 0.5]]).double(), 1e-6)


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("RiemannianSGD", {"lr": 0.3}),
        ("RiemannianSGD", {"lr": 0.2, "momentum": 0.4, "stabilize": 10}),
        ("RiemannianSGD", {"lr": 0.2, "momentum": 0.4, "nesterov": True}),
        ("RiemannianAdam", {"lr": 0.1, "betas": (0.5, 0.5)}),
        ("RiemannianAdam", {"lr": 0.1, "betas": (0.5, 0.5), "amsgrad": True, "stabilize": 10}),
    ],
    ids=["plain", "momentum", "nesterov", "Adam", "AMSGrad"],
)
def test_every_optimizer_fits_a_batch_of_posteriors(optimizer, options, generator) -> None:
    standard = MANIFOLD.origin(3, 2, 2, dtype=torch.float64)
    somewhere = MANIFOLD.random(3, 2, 2, dtype=torch.float64, generator=generator)
    targets = MANIFOLD.geodesic(torch.tensor(0.4).double(), standard, somewhere).as_subclass(Tensor)
    goal = MANIFOLD.to_distribution(targets)
    point = geoopt.ManifoldParameter(standard, manifold=MANIFOLD)
    descend = getattr(geoopt.optim, optimizer)([point], **options)
    before = MANIFOLD.dist(point.detach(), targets)
    run(descend, lambda: kl_divergence(MANIFOLD.to_distribution(point), goal).sum(), 40)
    assert (MANIFOLD.dist(point.detach(), targets) < 0.15 * before).all()


def test_a_batch_of_posteriors_is_fitted_as_each_alone(generator) -> None:
    targets = MANIFOLD.random(3, 2, 2, dtype=torch.float64, generator=generator).as_subclass(Tensor)

    def fit(targets: Tensor) -> Tensor:
        point = geoopt.ManifoldParameter(
            MANIFOLD.origin(*targets.shape, dtype=torch.float64), manifold=MANIFOLD
        )
        sgd = geoopt.optim.RiemannianSGD([point], lr=0.3, momentum=0.3)
        goal = MANIFOLD.to_distribution(targets)
        run(sgd, lambda: kl_divergence(MANIFOLD.to_distribution(point), goal).sum(), 20)
        return point.detach().as_subclass(Tensor)

    assert_near(fit(targets), torch.stack([fit(t) for t in targets]), 1e-12)
