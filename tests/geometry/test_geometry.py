"""Connection, curvature and volume at a point: against computer algebra, known spaces, and their own laws."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import latentgeo as lg
import reference
import spaces
from geometry.symbolic import METRICS, Symbolic
from laws import assert_near, rounding, unwarp, warp, warp_jacobian

SYMBOLIC = pytest.mark.parametrize("case", METRICS, ids=str)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def draw(case: Symbolic, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Points in [0.5, 1.5]^d, where all the metrics are regular."""
    return 0.5 + torch.rand(5, case.dim, dtype=dtype, generator=torch.Generator().manual_seed(1))


def second_derivatives(dtype: torch.dtype) -> float:
    """Rounding of second derivatives that are projected and multiplied, with the ridge of the solve."""
    return 30 * rounding(dtype)


@SYMBOLIC
@DTYPES
def test_tensors_are_those_of_computer_algebra(case, dtype):
    z = draw(case, dtype)
    pairs = {
        "Γ": (lg.christoffel_symbols(case.metric, z), case.christoffel(z)),
        "R": (lg.riemann_tensor(case.metric, z), case.riemann(z)),
        "Ric": (lg.ricci_tensor(case.metric, z), case.ricci(z)),
        "scal": (lg.scalar_curvature(case.metric, z), case.scalar(z)),
        "log vol": (lg.log_volume_element(case.metric, z), case.determinant(z).log() / 2),
        "vol": (lg.volume_element(case.metric, z), case.determinant(z).sqrt()),
    }
    for name, (actual, expected) in pairs.items():
        assert actual.dtype == dtype
        scale = expected.abs().max() + 1
        assert_near(actual, expected, second_derivatives(dtype), name, scale=scale)


@SYMBOLIC
def test_an_immersion_and_its_matrix_have_the_same_geometry(case):
    """The equation of Gauss against derivatives of the Christoffel symbols."""
    z = draw(case)
    bare = lg.metric_from_function(case.metric)
    for function in (lg.christoffel_symbols, lg.riemann_tensor, lg.scalar_curvature, lg.log_volume_element):
        expected = function(bare, z)
        assert_near(
            function(case.metric, z), expected, 1e-9, function.__name__, scale=expected.abs().max() + 1
        )


@pytest.mark.parametrize("space", [s for s in spaces.SPACES if s.curvature is not None], ids=str)
def test_curvature_of_known_spaces(space):
    z = space.points(6, torch.Generator().manual_seed(0))
    metric, d, expected = space.metric(), space.dim, space.curvature(z)
    u, v = torch.randn(2, 6, d, dtype=z.dtype, generator=torch.Generator().manual_seed(2))
    sectional = lg.sectional_curvature(metric, z, u, v)
    assert_near(sectional, expected, 1e-9, "sectional", scale=expected.abs() + 1)
    scalar = lg.scalar_curvature(metric, z)
    # in two dimensions any curvature, in more a constant one
    assert_near(scalar, d * (d - 1) * expected, 1e-9, "scalar", scale=expected.abs() + 1)
    ricci = (d - 1) * expected[:, None, None] * space.matrix(z)
    assert_near(lg.ricci_tensor(metric, z), ricci, 1e-9, "Ricci", scale=space.matrix(z).abs().max())


@SYMBOLIC
def test_symmetries_of_the_riemann_tensor(case):
    z = draw(case)
    lowered = torch.einsum("nal,nlijk->naijk", case.metric(z), lg.riemann_tensor(case.metric, z))
    scale = lowered.abs().max()
    laws = {
        "antisymmetric in j, k": lowered + lowered.transpose(3, 4),
        "antisymmetric in l, i": lowered + lowered.transpose(1, 2),
        "symmetric in pairs": lowered - lowered.permute(0, 3, 4, 1, 2),
        "Bianchi": lowered + lowered.permute(0, 1, 3, 4, 2) + lowered.permute(0, 1, 4, 2, 3),
    }
    for name, zero in laws.items():
        assert_near(zero, torch.zeros_like(zero), 1e-10, name, scale=scale)


@SYMBOLIC
def test_sectional_curvature_belongs_to_the_plane(case):
    """Any other basis of the plane has the same; and it is the contraction of the Riemann tensor."""
    z = draw(case)
    u, v = torch.randn(2, *z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(3))
    once = lg.sectional_curvature(case.metric, z, u, v)
    again = lg.sectional_curvature(case.metric, z, 3 * u - v, 1e-3 * (u + 2 * v))
    assert_near(again, once, 1e-9, "another basis", scale=once.abs() + 1)
    g = case.metric(z)
    turned = torch.einsum("nlijk,nj,nk,ni->nl", case.riemann(z), u, v, v)
    area = reference.product(g, u, u) * reference.product(g, v, v) - reference.product(g, u, v).square()
    expected = reference.product(g, turned, u) / area
    assert_near(once, expected, 1e-9, "contraction", scale=expected.abs() + 1)


@SYMBOLIC
def test_acceleration_contracts_the_symbols(case):
    z = draw(case)
    v = torch.randn(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(4))
    expected = -torch.einsum("nkij,ni,nj->nk", case.christoffel(z), v, v)
    assert_near(lg.geodesic_acceleration(case.metric, z, v), expected, 1e-10, "-Γ(v, v)")


@SYMBOLIC
def test_scalars_do_not_depend_on_the_coordinates(case):
    z = draw(case)
    w = unwarp(z)
    bent = lg.pullback_metric(warp, ambient=case.metric)
    expected = lg.scalar_curvature(case.metric, z)
    assert_near(lg.scalar_curvature(bent, w), expected, 1e-8, "scalar", scale=expected.abs().max() + 1)
    stretched = torch.linalg.slogdet(warp_jacobian(w)).logabsdet
    volume = lg.log_volume_element(case.metric, z) + stretched
    assert_near(lg.log_volume_element(bent, w), volume, 1e-10, "log volume", scale=volume.abs().max() + 1)


@SYMBOLIC
def test_leading_dimensions_are_batch(case):
    z = draw(case)[:4]
    d = case.dim
    for function, trailing in (
        (lg.christoffel_symbols, 3), (lg.riemann_tensor, 4), (lg.ricci_tensor, 2), (lg.scalar_curvature, 0),
        (lg.log_volume_element, 0), (lg.volume_element, 0),
    ):  # fmt: skip
        together = function(case.metric, z)
        assert together.shape == (4, *[d] * trailing)
        assert function(case.metric, z.reshape(2, 1, 2, d)).shape == (2, 1, 2, *[d] * trailing)
        assert_near(function(case.metric, z[0]), together[0], 1e-12, scale=together.abs().max() + 1)
        assert function(case.metric, z[:0]).shape == (0, *[d] * trailing)


def network(d: int, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(d, 16), nn.Tanh(), nn.Linear(16, 12)).to(dtype)


def test_curvature_of_a_network_in_ten_dimensions():
    """Gauss by hand: the part of the second derivatives normal to the image."""
    net, z = network(10), torch.randn(2, 10, dtype=torch.float64)
    e1, e2 = torch.eye(10, dtype=torch.float64)[:2]
    with torch.no_grad():
        got = lg.sectional_curvature(lg.pullback_metric(net), z, e1, e2)
        jacobian = reference.network_columns([net], z)
        bends = [reference.second_order_push([net], z, e.expand_as(z))[1] for e in (e1, e2, e1 + e2)]
        uu, vv = bends[0], bends[1]
        uv = (bends[2] - uu - vv) / 2
        normal = torch.eye(12, dtype=z.dtype) - jacobian @ torch.linalg.pinv(jacobian)
        uu, vv, uv = (torch.einsum("nab,nb->na", normal, b) for b in (uu, vv, uv))
        g = jacobian.mT @ jacobian
        area = g[:, 0, 0] * g[:, 1, 1] - g[:, 0, 1].square()
        expected = ((uu * vv).sum(1) - uv.square().sum(1)) / area
    assert_near(got, expected, 1e-8, "K", scale=expected.abs() + 1)


def test_volume_knows_dead_latents():
    """A latent that moves the output by 1e-6 of the others counts as it is, in float32 too."""
    scales = torch.tensor([3.0, 1.0, 1e-6])
    metric = lg.pullback_metric(lambda z: z * scales.to(z) @ torch.linalg.qr(torch.ones(3, 3).to(z)).Q)
    got = lg.log_volume_element(metric, torch.zeros(2, 3))
    assert_near(got, scales.double().log().sum().expand(2), 1e-5, "log volume")


def test_singular_metric_has_no_volume_and_says_so_without_nan():
    metric = lg.pullback_metric(lambda z: torch.stack([z[:, 0], z[:, 0]], 1))
    z = torch.zeros(3, 2, requires_grad=True)
    volume = lg.log_volume_element(metric, z)
    assert (volume == -torch.inf).all()
    assert (lg.volume_element(metric, z.detach()) == 0).all()
    for function in (lg.christoffel_symbols, lg.riemann_tensor, lg.scalar_curvature):
        assert function(metric, z.detach()).isfinite().all()


def half_plane(scale: float = 1.0) -> lg.Metric:
    """The hyperbolic one, by its matrix, with x in units of 1/scale."""

    def matrix(z: torch.Tensor) -> torch.Tensor:
        return torch.diag(torch.tensor([scale**2, 1.0]).to(z)) / z[:, 1, None, None] ** 2

    return lg.metric_from_function(matrix)


@pytest.mark.parametrize("scale", [1e4, 1e-4])
@DTYPES
def test_units_of_a_latent_do_not_change_the_geometry(dtype, scale):
    z, up = torch.tensor([0.0, 2.0], dtype=dtype), torch.tensor([0.0, 1.0], dtype=dtype)
    metric = half_plane(scale)
    got = torch.stack(
        [
            lg.christoffel_symbols(metric, z)[1, 1, 1],
            lg.geodesic_acceleration(metric, z, up)[1],
            lg.scalar_curvature(metric, z),
            lg.sectional_curvature(metric, z, torch.tensor([1 / scale, 0.0], dtype=dtype), up),
        ]
    )
    assert_near(got, torch.tensor([-0.5, 0.5, -2.0, -1.0]), rounding(dtype))


def test_a_latent_that_hardly_moves_the_output_keeps_its_connection():
    """G has condition 1e6, and in float32 no more than a few roundings are lost."""
    scales = torch.tensor([1.0, 1e-3], dtype=torch.float64)
    net = network(2)
    z = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = lg.christoffel_symbols(lg.pullback_metric(lambda x: net(x * scales)), z)
    net = net.float()
    got = lg.christoffel_symbols(lg.pullback_metric(lambda x: net(x * scales.to(x))), z.float())
    size = scales[:, None, None] / scales[:, None] / scales  # with which the symbols change
    expected, got = expected * size, got * size
    assert_near(got, expected, 5 * rounding(torch.float32))


@DTYPES
def test_planes_of_small_angles_have_their_curvature(dtype):
    """On a sphere every plane of a tangent space has curvature 1."""
    metric = spaces.SPHERE_5.metric(dtype)
    z, u, v = 0.3 * torch.randn(3, 5, dtype=dtype, generator=torch.Generator().manual_seed(0))
    for angle in (1e-2, 1e3 * torch.finfo(dtype).eps):
        got = lg.sectional_curvature(metric, z, u, 3 * u + angle * v)
        assert_near(got, torch.ones(()), 10 * second_derivatives(dtype))


@pytest.mark.parametrize("space", [spaces.SPHERE, spaces.HALF_PLANE, spaces.SPHERE_5], ids=str)
@DTYPES
def test_parallel_vectors_span_no_plane(space, dtype):
    z = space.points(20, torch.Generator().manual_seed(0)).to(dtype)
    u = torch.randn(20, space.dim, dtype=dtype, generator=torch.Generator().manual_seed(1))
    for factor in (-3, 1 / 7, 0):
        assert lg.sectional_curvature(space.metric(dtype), z, u, factor * u).isnan().all()


def test_volume_of_matrices_that_are_no_metric():
    """Singular, indefinite though of positive determinant, and not finite; none spoils the gradient of the others."""
    factors = torch.tensor([1.0, 0.0, -1.0, torch.nan, torch.inf])
    metric = lg.metric_from_function(lambda z: factors[:, None, None] * torch.eye(2) * z.exp()[:, :1, None])
    z = torch.zeros(5, 2, requires_grad=True)
    volume = lg.log_volume_element(metric, z)
    expected = torch.tensor([0.0, -torch.inf, -torch.inf, torch.nan, torch.nan])
    assert torch.equal(volume.nan_to_num(1.0), expected.nan_to_num(1.0))
    volume[0].backward()
    assert torch.equal(z.grad[0], torch.tensor([1.0, 0.0]))
    assert not z.grad[:3].isnan().any()


def test_volume_under_derivatives_of_one_point():
    """-2 log y on the half-plane, by the transforms of torch.func."""
    z = torch.tensor([[0.0, 2.0], [0.0, 1.0], [0.0, 0.5]], dtype=torch.float64)
    volume = functools.partial(lg.log_volume_element, half_plane())
    slopes = torch.func.vmap(torch.func.jacfwd(volume))(z)
    assert_near(slopes[:, 1], -2 / z[:, 1], 1e-14)
    bends = torch.func.vmap(torch.func.hessian(volume))(z)
    assert_near(bends[:, 1, 1], 2 / z[:, 1] ** 2, 1e-14)


@pytest.mark.parametrize("function", [lg.scalar_curvature, lg.log_volume_element], ids=lambda f: f.__name__)
def test_differentiable_in_the_point_and_in_the_parameters(function):
    net = network(2)
    metric = lg.pullback_metric(net)
    z = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: function(metric, x), (z,), atol=1e-5)
    function(metric, z).sum().backward()
    assert net[0].weight.grad.isfinite().all()
    assert net[0].weight.grad.abs().max() > 0


def test_under_inference_mode_and_transforms():
    metric = lg.pullback_metric(network(2))
    z = torch.randn(4, 2, dtype=torch.float64)
    for function in (lg.christoffel_symbols, lg.riemann_tensor, lg.scalar_curvature, lg.log_volume_element):
        expected = function(metric, z).detach()
        with torch.inference_mode():
            assert_near(function(metric, z.clone()), expected, 1e-12, function.__name__)
        mapped = torch.func.vmap(functools.partial(function, metric))(z)
        assert_near(mapped, expected, 1e-12, function.__name__)


@pytest.mark.parametrize(
    "function",
    [lg.christoffel_symbols, lg.riemann_tensor, lg.ricci_tensor, lg.scalar_curvature, lg.volume_element],
    ids=lambda f: f.__name__,
)
def test_wrong_arguments_are_named(unchecked, function):
    with pytest.raises(ValueError, match="z must have 3 coordinates"):
        function(lg.EuclideanMetric(3), torch.zeros(2))
    with pytest.raises(TypeError, match="metric must be a latentgeo Metric"):
        function(lambda z: z, torch.zeros(2))
    with pytest.raises(TypeError, match="z must be of a floating-point dtype"):
        function(lg.EuclideanMetric(2), torch.zeros(2, dtype=torch.long))


def test_planes_need_two_dimensions_and_tangents_those_of_z(unchecked):
    line = lg.pullback_metric(lambda z: z)
    with pytest.raises(ValueError, match="at least two coordinates"):
        lg.sectional_curvature(line, torch.zeros(1), torch.ones(1), torch.ones(1))
    with pytest.raises(ValueError, match="u must have the 2 coordinates of z"):
        lg.sectional_curvature(line, torch.zeros(2), torch.ones(3), torch.ones(2))
    with pytest.raises(ValueError, match=r"v must broadcast against u of shape \(3, 2\), got .*\(4, 2\)"):
        lg.sectional_curvature(line, torch.zeros(2), torch.ones(3, 2), torch.ones(4, 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused(dtype):
    z, metric = torch.ones(4, 2, dtype=dtype), lg.EuclideanMetric(2)
    for function, name in (
        (lambda: lg.christoffel_symbols(metric, z), "z"),
        (lambda: lg.geodesic_acceleration(metric, z, z), "z"),
        (lambda: lg.scalar_curvature(metric, z), "z"),
        (lambda: lg.sectional_curvature(metric, z, z, z), "z"),
        (lambda: lg.parallel_transport(metric, z, z[0]), "curve"),
    ):
        with pytest.raises(TypeError, match=rf"{name} must be in float32 or float64, got a b?float16"):
            function()
