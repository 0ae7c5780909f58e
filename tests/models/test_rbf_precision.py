import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from latentgeo.models import RBFPrecision


def module(dtype=torch.float64, clusters=4, out_features=3):
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(clusters, 2, generator=generator, dtype=dtype)
    result = RBFPrecision(centers, torch.full((clusters,), 0.7, dtype=dtype), out_features, zeta=0.01)
    with torch.no_grad():
        result.log_weight.copy_(torch.randn(result.log_weight.shape, generator=generator, dtype=dtype))
    return result


def test_precision_is_the_formula_written_out():
    precision = module()
    z = torch.tensor([0.3, -0.2], dtype=torch.float64)
    weight = precision.log_weight.exp()
    for i in range(3):
        expected = 0.01 + sum(
            weight[i, k] * math.exp(-0.7 * float((z - precision.centers[k]).square().sum())) for k in range(4)
        )
        torch.testing.assert_close(precision(z)[i], torch.as_tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(precision.std(z), precision(z) ** -0.5)


def test_std_far_away_is_that_of_zeta_and_its_jacobian_vanishes():
    precision = module()
    far = torch.tensor([1e3, 1e3], dtype=torch.float64)
    torch.testing.assert_close(precision.std(far), torch.full((3,), 10.0, dtype=torch.float64))
    assert not torch.func.jacfwd(precision.std)(far).any()


@pytest.mark.parametrize("leading", [(), (5,), (2, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype_follow_the_input(leading, dtype):
    out = module(dtype)(torch.randn(*leading, 2, dtype=dtype))
    assert out.shape == (*leading, 3)
    assert out.dtype == dtype


def test_derivatives_are_right_also_at_a_centre():
    precision = module()
    z = torch.cat([precision.centers[:2], torch.randn(2, 2, dtype=torch.float64)]).requires_grad_()
    assert gradcheck(precision.std, (z,), check_forward_ad=True)
    assert gradgradcheck(precision.std, (z,))


def test_jvp_and_vmap_agree_with_reverse_mode():
    precision = module()
    z, v = torch.randn(2, 6, 2, dtype=torch.float64)
    _, forward = torch.func.jvp(precision.std, (z,), (v,))
    jacobian = torch.func.vmap(torch.func.jacrev(precision.std))(z)
    torch.testing.assert_close(forward, torch.einsum("nij,nj->ni", jacobian, v))
    hessian = torch.func.vmap(torch.func.jacfwd(torch.func.jacfwd(precision.std)))(z)
    assert bool(hessian.isfinite().all())


def test_bandwidths_are_the_documented_formula():
    z = torch.tensor([[0.0, 0.0], [0.0, 2.0], [10.0, 0.0], [10.0, 6.0]], dtype=torch.float64)
    precision = RBFPrecision.from_latents(z, 2, 3, a=2.0, random_state=0)
    order = precision.centers[:, 0].argsort()
    expected = torch.tensor([0.5 / (2.0 * 1.0) ** 2, 0.5 / (2.0 * 3.0) ** 2], dtype=torch.float64)
    torch.testing.assert_close(precision.bandwidths[order], expected)


@pytest.mark.parametrize("copies", [1, 3])
def test_a_cluster_without_extent_reaches_to_the_nearest_other_centre(copies):
    # 0.1 three times has a mean that is not exactly 0.1: the extent is rounding error, not zero.
    lonely = torch.full((copies, 2), 0.1, dtype=torch.float64)
    rest = torch.tensor([[30.1, 0.1], [30.1, 2.1]], dtype=torch.float64)
    precision = RBFPrecision.from_latents(torch.cat([lonely, rest]), 2, 3, random_state=0)
    order = precision.centers[:, 0].argsort()
    nearest = math.hypot(30.0, 1.0)
    torch.testing.assert_close(
        precision.bandwidths[order], torch.tensor([0.5 / nearest**2, 0.5], dtype=torch.float64)
    )


def test_as_many_centres_as_points_give_finite_bandwidths():
    z = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    precision = RBFPrecision.from_latents(z, 20, 3, random_state=0)
    assert bool(precision.bandwidths.isfinite().all())
    assert bool(precision.std(z).isfinite().all())


def test_fewer_distinct_points_than_centres_are_refused():
    z = torch.tensor([[0.0, 0.0], [1.0, 0.0]]).repeat(10, 1)
    with pytest.raises(ValueError, match=r"latents: expected at least 3 distinct points .* got 2"):
        RBFPrecision.from_latents(z, 3, 5)
    with pytest.raises(ValueError, match=r"latents: expected at least 2 distinct points .* got 1"):
        RBFPrecision.from_latents(torch.ones(5, 2), 1, 5)


def test_autocast_leaves_the_precision_its_digits():
    precision, z = module(torch.float32), torch.randn(20, 2)
    expected = precision(z)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(precision(z), expected)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(5, 1), (5, 3), ()])
def test_latents_of_another_dimension_are_refused(shape):
    precision = module()
    for function in (precision, precision.std, precision.basis):
        with pytest.raises(ValueError, match=r"z: expected shape \(\.\.\., 2\), got"):
            function(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="bandwidths"):
        RBFPrecision(torch.zeros(2, 2), torch.ones(3), 4, zeta=0.1)
    with pytest.raises(ValueError, match="bandwidths"):
        RBFPrecision(torch.zeros(2, 2), torch.tensor([1.0, math.inf]), 4, zeta=0.1)
    with pytest.raises(ValueError, match=r"zeta: .* got 0\.0"):
        RBFPrecision(torch.zeros(2, 2), torch.ones(2), 4, zeta=0.0)
    with pytest.raises(ValueError, match=r"zeta: expected .* in torch\.float32, got 1e-46"):
        RBFPrecision(torch.zeros(2, 2), torch.ones(2), 4, zeta=1e-46)
    with pytest.raises(ValueError, match=r"bandwidths: expected .* in torch\.float32"):
        RBFPrecision(torch.zeros(1, 2), torch.tensor([1e-50], dtype=torch.float64), 4, zeta=0.1)
    with pytest.raises(ValueError, match=r"centers: .* NaN"):
        RBFPrecision(torch.full((1, 2), math.nan), torch.ones(1), 4, zeta=0.1)
    with pytest.raises(TypeError, match=r"centers: .* torch\.int64"):
        RBFPrecision(torch.zeros(1, 2, dtype=torch.int64), torch.ones(1), 4, zeta=0.1)
    with pytest.raises(TypeError, match=r"latents: expected floating values, got torch\.int64"):
        RBFPrecision.from_latents(torch.arange(20).reshape(10, 2), 2, 4)
    with pytest.raises(ValueError, match=r"a: .* got 0\.0"):
        RBFPrecision.from_latents(torch.randn(9, 2), 2, 4, a=0.0)
    with pytest.raises(ValueError, match=r"latents: .* NaN"):
        RBFPrecision.from_latents(torch.full((9, 2), math.nan), 2, 4)


def test_equal_random_states_give_equal_centres_and_leave_torch_alone():
    z = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    first = RBFPrecision.from_latents(z, 8, 3, random_state=3)
    second = RBFPrecision.from_latents(z, 8, 3, random_state=np.random.RandomState(3))
    torch.testing.assert_close(first.centers, second.centers, rtol=0, atol=0)
    assert torch.equal(before, torch.get_rng_state())


def test_state_dict_carries_all_of_it():
    source, target = module(), RBFPrecision(torch.zeros(4, 2), torch.ones(4), 3, zeta=5.0).double()
    target.load_state_dict(source.state_dict())
    z = torch.randn(5, 2, dtype=torch.float64)
    torch.testing.assert_close(source.std(z), target.std(z), rtol=0, atol=0)
