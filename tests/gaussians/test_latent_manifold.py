"""LatentManifold: the library's geometry in the words of geoopt, and its optimisers on it."""

from __future__ import annotations

import copy

import geoopt
import pytest
import torch
from torch import Tensor

import latentgeo as lg
import reference
from laws import assert_near
from spaces import HALF_PLANE, NETWORKS, SPHERE, Space
from strategies import network

SPACES = pytest.mark.parametrize("space", [SPHERE, HALF_PLANE], ids=str)


def manifold_and_pairs(space: Space) -> tuple[lg.LatentManifold, Tensor, Tensor]:
    x, y = (space.points(6, torch.Generator().manual_seed(s)).reshape(2, 3, -1) for s in (0, 1))
    return lg.LatentManifold(space.metric(), space.dim), x, y


def flat(formula, *points: Tensor) -> Tensor:
    """A formula of the catalogue on points of any batch shape."""
    shape = points[0].shape
    return formula(*(p.reshape(-1, shape[-1]) for p in points)).reshape(*shape[:-1], -1)


# --- Geometry


@SPACES
def test_maps_are_those_of_the_space(space: Space) -> None:
    manifold, x, y = manifold_and_pairs(space)
    velocity = flat(space.formulas.log, x, y)
    distance = flat(space.formulas.distance, x, y)
    assert_near(manifold.logmap(x, y), velocity, 2e-3)  # of the spline through the solver's segments
    assert_near(manifold.expmap(x, velocity), y, 1e-6)
    assert_near(manifold.dist(x, y, keepdim=True), distance, 1e-6)
    assert_near(manifold.dist2(x, y), distance[..., 0].square(), 1e-6)
    assert_near(manifold.norm(x, velocity), distance[..., 0], 1e-12)
    back = flat(space.formulas.log, y, x)
    assert_near(manifold.transp(x, y, velocity), -back, 1e-4)
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    path = manifold.geodesic(t, x, y)
    assert path.shape == (3, *x.shape)
    assert_near(path[1], flat(space.formulas.exp, x, velocity / 2), 1e-5)
    assert torch.equal(manifold.geodesic(t[1], x, y), path[1])
    assert torch.equal(manifold.geodesic(0.5, x, y), path[1])


@SPACES
def test_inner_products_and_gradients_are_dual(space: Space, generator) -> None:
    manifold, x, _ = manifold_and_pairs(space)
    u, v = torch.randn(2, *x.shape, dtype=torch.float64, generator=generator)
    g = manifold.metric(x)
    assert_near(manifold.inner(x, u, v), reference.product(g, u, v), 1e-13)
    assert manifold.inner(x, u, keepdim=True).shape == (2, 3, 1)
    assert_near(manifold.inner(x, manifold.egrad2rgrad(x, u), v), (u * v).sum(-1), 1e-12)


def test_where_the_metric_is_singular_nothing_moves() -> None:
    """A decoder that does not feel its last latent, and one that feels nothing."""
    metric = lg.pullback_metric(lambda z: torch.stack([z[:, 0], z[:, 1].sinh(), 0 * z[:, 2]], 1))
    manifold = lg.LatentManifold(metric, 3)
    x = torch.tensor([0.3, 0.0, -1.0], dtype=torch.float64)
    gradient = manifold.egrad2rgrad(x, torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64))
    assert torch.equal(gradient, torch.tensor([2.0, 3.0, 0.0], dtype=torch.float64))
    nothing = lg.LatentManifold(lg.pullback_metric(lambda z: 0 * z), 3)
    assert torch.equal(nothing.egrad2rgrad(x, x), torch.zeros_like(x))


@SPACES
def test_what_geoopt_asks_of_a_manifold(space: Space, generator) -> None:
    manifold, x, _ = manifold_and_pairs(space)
    u, v = 0.05 * torch.randn(2, *x.shape, dtype=torch.float64, generator=generator)
    assert torch.equal(manifold.projx(x), x)
    assert torch.equal(manifold.proju(x, u), u)
    assert manifold.check_point_on_manifold(x)
    assert manifold.check_vector_on_tangent(x, u)
    assert not manifold.check_point_on_manifold(x * torch.nan)
    assert not manifold.check_point(torch.zeros(3, space.dim + 1))
    end, carried = manifold.retr_transp(x, u, v)
    assert torch.equal(end, manifold.retr(x, u))
    assert torch.equal(manifold.transp_follow_retr(x, u, v), carried)
    for make in (manifold.random, manifold.origin):
        point = make(4, space.dim, dtype=torch.float64)
        assert isinstance(point, geoopt.ManifoldTensor)
        assert (point.shape, point.dtype) == ((4, space.dim), torch.float64)
    many = x.expand(5, *x.shape)
    assert_near(manifold.retr_transp(many, u, v)[1], carried.expand(many.shape), 1e-14)


@SPACES
def test_the_retraction_and_its_transport_are_right_to_first_order(space: Space, generator) -> None:
    manifold, x, _ = manifold_and_pairs(space)
    u, v = torch.randn(2, *x.shape, dtype=torch.float64, generator=generator)
    errors = []
    for h in (1e-2, 1e-3):
        end, carried = manifold.retr_transp(x, h * u, v)
        exact = flat(space.formulas.exp, x, h * u)
        kept = manifold.inner(end, carried, carried) / manifold.inner(x, v, v) - 1
        errors.append((float((end - exact).abs().max()), float(kept.abs().max())))
    assert errors[1][0] < errors[0][0] / 80  # second order
    assert errors[1][1] < errors[0][1] / 1e3 + 1e-13  # isometric to the order of the integrator


def test_repr_and_copies() -> None:
    manifold = lg.LatentManifold(lg.EuclideanMetric(3), 3, solver=lg.MinimizeEnergy(num_segments=8))
    assert repr(manifold) == "LatentManifold(EuclideanMetric(3), 3) manifold"
    parameter = geoopt.ManifoldParameter(torch.zeros(2, 3), manifold=manifold)
    assert torch.equal(copy.deepcopy(parameter), parameter)
    assert not list(manifold.parameters())  # the decoder's are not its own


# --- Optimisers


def ill_conditioned(d: int = 5) -> tuple:
    """A decoder whose latents differ in effect by three orders of magnitude, codes, and starts on their way."""
    net = network(d, 50, seed=3)
    sizes = torch.logspace(0, -3, d, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    codes = 0.6 * torch.randn(8, d, dtype=torch.float64, generator=generator) / sizes
    start = codes + 0.5 * torch.randn(8, d, dtype=torch.float64, generator=generator) / sizes

    def decoder(z: Tensor) -> Tensor:
        return net(z * sizes)

    return decoder, codes, start


def descend(
    decoder, start: Tensor, goal: Tensor, optimizer: torch.optim.Optimizer, point: Tensor, steps: int
) -> Tensor:
    for _ in range(steps):
        optimizer.zero_grad()
        ((decoder(point) - goal).square().sum() / 2).backward()
        optimizer.step()
    return (decoder(point.detach()) - goal).norm(dim=1).detach().as_subclass(Tensor)


def test_latent_codes_are_found_where_plain_optimisers_are_lost() -> None:
    """20 steps along the decoder's geometry against 400 of Adam, and of descent, at the best of several rates."""
    decoder, codes, start = ill_conditioned()
    goal = decoder(codes)
    manifold = lg.LatentManifold(lg.pullback_metric(decoder), 5)
    point = geoopt.ManifoldParameter(start.clone(), manifold=manifold)
    sgd = geoopt.optim.RiemannianSGD([point], lr=0.5)
    natural = descend(decoder, start, goal, sgd, point, 20)
    first = (decoder(start) - goal).norm(dim=1)
    assert (natural < 1e-4 * first).all()
    for kind, rates in ((torch.optim.Adam, (0.1, 1.0, 10.0)), (torch.optim.SGD, (0.01, 0.03, 0.1))):
        for lr in rates:
            plain = start.clone().requires_grad_()
            left = descend(decoder, start, goal, kind([plain], lr=lr), plain, 400)
            assert left.median() > 100 * natural.median(), (kind, lr)


def test_one_full_step_is_that_of_gauss_and_newton() -> None:
    decoder, codes, start = ill_conditioned()
    goal = decoder(codes)
    manifold = lg.LatentManifold(lg.pullback_metric(decoder), 5)
    point = geoopt.ManifoldParameter(start.clone(), manifold=manifold)
    descend(decoder, start, goal, geoopt.optim.RiemannianSGD([point], lr=1.0), point, 1)
    jacobian = reference.jacobian(decoder, start)
    newton = torch.linalg.lstsq(jacobian, (goal - decoder(start))[..., None]).solution[..., 0]
    assert_near(point.detach().as_subclass(Tensor) - start, newton, 1e-6)


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("RiemannianSGD", {"lr": 0.3, "momentum": 0.3}),
        ("RiemannianSGD", {"lr": 0.3, "momentum": 0.3, "nesterov": True, "stabilize": 5}),
        ("RiemannianAdam", {"lr": 0.2, "betas": (0.5, 0.5)}),
        ("RiemannianAdam", {"lr": 0.2, "betas": (0.5, 0.5), "amsgrad": True}),
    ],
    ids=["momentum", "nesterov", "Adam", "AMSGrad"],
)
def test_optimisers_with_momentum_descend(optimizer, options) -> None:
    decoder, codes, start = ill_conditioned(2)
    goal = decoder(codes)
    manifold = lg.LatentManifold(lg.pullback_metric(decoder), 2)
    point = geoopt.ManifoldParameter((codes + start).div(2), manifold=manifold)
    before = (decoder(point.detach()) - goal).norm(dim=1)
    opt = getattr(geoopt.optim, optimizer)([point], **options)
    assert (descend(decoder, start, goal, opt, point, 30) < 0.5 * before).all()


def test_distances_can_be_minimised() -> None:
    """The mean of two points lies half-way, found by gradients of the library's distance."""
    space = NETWORKS[1]
    ends = space.points(2, torch.Generator().manual_seed(0))
    manifold = lg.LatentManifold(space.metric(), space.dim, solver=lg.MinimizeEnergy(num_segments=16))
    point = geoopt.ManifoldParameter(ends[0] + 0.2 * (ends[1] - ends[0]), manifold=manifold)
    sgd = geoopt.optim.RiemannianSGD([point], lr=0.25)
    for _ in range(15):
        sgd.zero_grad()
        manifold.dist2(point, ends).sum().backward()
        sgd.step()
    to_ends = manifold.dist(point.detach(), ends)
    whole = manifold.dist(*ends)
    assert_near(to_ends, (whole / 2).expand(2), 1e-3)
