"""The ensemble metric: the mean of the metrics of its members, by one immersion."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import latentgeo as lg
import laws
import reference
from metrics.decoders import KINDS
from strategies import network

MEMBERS = [network(3, out, seed=out) for out in (4, 7, 2)]


@pytest.fixture
def points(generator: torch.Generator) -> Tensor:
    return torch.randn(4, 3, generator=generator, dtype=torch.float64)


def mean_of_members(z: Tensor) -> Tensor:
    return torch.stack([reference.pullback(member, z) for member in MEMBERS]).mean(0)


@pytest.mark.parametrize("container", [list, tuple, nn.ModuleList])
def test_is_the_mean_over_members(container: Callable, points: Tensor, dtype: torch.dtype) -> None:
    members = container([network(3, out, seed=out).to(dtype) for out in (4, 7, 2)])
    metric = lg.ensemble_pullback_metric(members)
    laws.assert_near(metric(points.to(dtype)), mean_of_members(points), laws.rounding(dtype))


def test_laws_of_a_metric(points: Tensor, dtype: torch.dtype) -> None:
    metric, z = (
        lg.ensemble_pullback_metric([net.to(dtype) for net in (network(3, 4), network(3, 2))]),
        points.to(dtype),
    )
    u, v, w = torch.randn(3, *z.shape, generator=torch.Generator().manual_seed(1)).to(z)
    laws.matrix_is_symmetric_positive_semidefinite(metric, z)
    laws.inner_is_the_matrix_product(metric, z, u, v)
    laws.inner_is_bilinear(metric, z, u, v, w)
    laws.leading_dimensions_are_batch(metric, z)
    laws.empty_batch_gives_empty_answers(metric, z)
    laws.matrix_transforms_with_the_coordinates(metric, z)


def test_ensemble_of_one_is_its_member(points: Tensor) -> None:
    got = lg.ensemble_pullback_metric(MEMBERS[:1])
    laws.assert_near(got(points), lg.pullback_metric(MEMBERS[0])(points), laws.rounding(points.dtype))


def test_shapes_dtypes_and_kinds_of_members_may_differ(points: Tensor) -> None:
    """An image in float32, a number, and a module without forward mode: every one keeps its own dtype."""
    scripted, twin = next(k for k in KINDS if k.name == "scripted module").make(torch.float64)
    image = nn.Sequential(network(3, 4), nn.Unflatten(1, (1, 2, 2))).float()
    number = network(3, 1)
    metric = lg.ensemble_pullback_metric([image, lambda z: number(z)[:, 0], scripted])
    expected = [reference.pullback(f, points) for f in (network(3, 4), number, twin)]
    for _ in range(3):
        laws.assert_near(metric(points), sum(expected) / 3, laws.rounding(torch.float32))
    assert metric.immersion is not None
    assert metric.immersion.decoder.output_dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in image.parameters())


def test_second_derivatives_are_right_where_those_of_a_member_need_care(points: Tensor) -> None:
    """Layer norm, whose fused derivatives are wrong of second order, beside a plain member."""
    norm = nn.Sequential(network(3, 5), nn.LayerNorm(5).double()).eval().requires_grad_(False)
    metric = lg.ensemble_pullback_metric([MEMBERS[0], norm])
    v = points.flip(0)

    def matrix(z: Tensor) -> Tensor:
        return (reference.pullback(MEMBERS[0], z) + reference.pullback(norm, z)) / 2

    expected = -torch.einsum("nkij,ni,nj->nk", reference.christoffel(matrix, points), v, v)
    laws.assert_near(lg.geodesic_acceleration(metric, points, v), expected, 1e-6)


def test_matrix_is_differentiable_in_points_and_parameters(points: Tensor) -> None:
    laws.matrix_is_differentiable(lg.ensemble_pullback_metric(MEMBERS), mean_of_members, points[:2])
    members = [network(3, 4, seed=s).requires_grad_() for s in (1, 2)]
    loss = lg.ensemble_pullback_metric(members)(points).sum()
    gradients = torch.autograd.grad(loss, [m[0].weight for m in members])
    for member, got in zip(members, gradients, strict=True):
        alone = lg.pullback_metric(member)(points).sum() / 2
        laws.assert_near(got, torch.autograd.grad(alone, member[0].weight)[0], laws.rounding(points.dtype))


def test_transforms_of_torch(points: Tensor) -> None:
    metric, expected = lg.ensemble_pullback_metric(MEMBERS), mean_of_members(points)
    laws.assert_near(torch.func.vmap(metric)(points), expected, laws.rounding(points.dtype))
    leaf = points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(metric(leaf).sum(), leaf)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        laws.assert_near(transform(lambda z: metric(z).sum())(points), slope, laws.rounding(points.dtype))


def test_distance_is_that_of_the_stacked_decoder(points: Tensor, dtype: torch.dtype) -> None:
    """Members that are isometries of scales 1 and 2: sqrt(5/2) times the Euclidean distance."""
    metric = lg.ensemble_pullback_metric([lambda z: z, lambda z: 2 * z.flip(1)])
    a, b = points[:2].to(dtype), points[2:].to(dtype)
    expected = (2.5**0.5) * (a - b).double().norm(dim=1)
    laws.assert_near(lg.distance(metric, a, b), expected, laws.rounding(dtype))


def test_chunks_bound_the_points_of_a_call(points: Tensor) -> None:
    calls: list[int] = []

    def counting(z: Tensor) -> Tensor:
        calls.append(len(z))
        return MEMBERS[0](z)

    metric = lg.ensemble_pullback_metric([counting, MEMBERS[1], MEMBERS[2]], chunk_size=3)
    assert calls == []
    laws.assert_near(metric(points), mean_of_members(points), laws.rounding(points.dtype))
    calls.clear()
    metric(points)
    assert calls == [3, 1]


@pytest.mark.parametrize(
    ("decoders", "error", "message"),
    [
        ([], ValueError, "decoders must hold at least one decoder, got an empty list"),
        (nn.ModuleList(), ValueError, "at least one"),
        (MEMBERS[0], TypeError, "decoders must be a list of callables.*got torch.nn.*Sequential"),
        (lambda z: z, TypeError, "decoders must be a list of callables.*got function"),
        ("both", TypeError, "decoders must be a list of callables.*got str"),
        (None, TypeError, "decoders must be a list of callables.*got NoneType"),
        ([MEMBERS[0], 3], TypeError, r"decoders\[1\] must be a callable on batches \(N, d\), got int"),
        ([MEMBERS[0], nn.Dropout(0.5)], ValueError, r"decoders\[1\] holds a Dropout layer in training mode"),
    ],
    ids=["empty", "empty modules", "module", "function", "str", "None", "number inside", "training"],
)
def test_lists_that_are_none(unchecked: None, decoders: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        lg.ensemble_pullback_metric(decoders)


def test_wrong_answers_are_told_by_member(unchecked: None, points: Tensor) -> None:
    with pytest.raises(TypeError, match=r"decoders\[1\] must return a tensor \(N, \*event\), got tuple"):
        lg.ensemble_pullback_metric([MEMBERS[0], lambda z: (z, z)])(points)
    with pytest.raises(ValueError, match=r"decoders\[0\] must map a batch .* one row for each point"):
        lg.ensemble_pullback_metric([lambda z: z[:1], MEMBERS[0]])(points)


def test_switching_a_member_to_training_is_refused(points: Tensor) -> None:
    late = nn.Sequential(network(3, 4), nn.Dropout(0.5)).eval()
    metric = lg.ensemble_pullback_metric([MEMBERS[0], late])
    metric(points)
    late.train()
    with pytest.raises(ValueError, match=r"decoders\[1\] holds a Dropout"):
        metric(points)


@pytest.mark.parametrize("chunk_size", [0, 2.5, True])
def test_chunk_size(unchecked: None, chunk_size: object) -> None:
    with pytest.raises(ValueError, match="chunk_size must be a positive integer or None"):
        lg.ensemble_pullback_metric(MEMBERS, chunk_size=chunk_size)
