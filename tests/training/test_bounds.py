import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentgeo.training import renyi_bound

ORDERS = st.one_of(
    st.floats(allow_nan=False),
    st.floats(-5.0, 5.0),
    st.floats(-12.0, 0.0).map(lambda e: 1.0 + 10.0**e),
    st.floats(-12.0, 0.0).map(lambda e: 1.0 - 10.0**e),
    st.sampled_from(
        [-math.inf, -1e300, -2.0, 0.0, 0.5, 1.0, 1.0 - 2**-53, 1.0 + 2**-52, 2.0, 1e300, math.inf]
    ),
)


@st.composite
def logs(draw, dtype=torch.float64, infinite=False):
    """Logarithms of weights (S, B), about a level, spread by anything from nothing to thousands."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 3)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    spread = draw(st.sampled_from([0.0, 1e-6, 1e-2, 1.0, 30.0, 1e4]))
    values = draw(st.sampled_from([0.0, -90.0, 1e4, -1e4])) + spread * torch.randn(
        shape, dtype=torch.float64, generator=generator
    )
    if infinite:
        values[torch.rand(shape, generator=generator) < 0.3] = -math.inf
    return values.to(dtype)


def precision(*tensors):
    """What rounding allows: a few units in the last place of the largest number."""
    largest = max((float(t[t.isfinite()].abs().max()) for t in tensors if t.isfinite().any()), default=0.0)
    return 8.0 * torch.finfo(tensors[0].dtype).eps * largest


def written_out(values, alpha):
    """The definition in sixty digits."""
    with mpmath.workdps(60):
        order = 1 - mpmath.mpf(alpha)
        columns = [
            mpmath.log(mpmath.fsum(mpmath.exp(order * mpmath.mpf(v)) for v in column) / len(column)) / order
            for column in values.T.tolist()
        ]
    return torch.tensor([float(v) for v in columns], dtype=values.dtype)


@given(logs(), st.lists(ORDERS, min_size=2, max_size=6))
def test_the_bound_never_increases_with_alpha(values, orders):
    bounds = torch.stack([renyi_bound(values, alpha) for alpha in sorted(orders)])
    assert bool((bounds.diff(dim=0) <= precision(values)).all())


@given(logs(), ORDERS)
def test_the_bound_lies_between_the_smallest_and_the_largest(values, alpha):
    bound, slack = renyi_bound(values, alpha), precision(values)
    assert bool(((values.amin(0) - slack <= bound) & (bound <= values.amax(0) + slack)).all())


@given(logs(), ORDERS.filter(lambda alpha: alpha != 1.0 and math.isfinite(alpha)))
def test_the_bound_is_its_definition(values, alpha):
    bound = renyi_bound(values, alpha)
    torch.testing.assert_close(bound, written_out(values, alpha), rtol=0, atol=precision(values))


@given(logs())
def test_the_limits_are_the_mean_and_the_extremes(values):
    assert torch.equal(renyi_bound(values, 1.0), values.mean(0))
    assert torch.equal(renyi_bound(values, -math.inf), values.amax(0))
    assert torch.equal(renyi_bound(values, math.inf), values.amin(0))
    # The bound of a finite order is within log S / |1 - α| of them.
    for alpha, limit in ((-1e12, values.amax(0)), (1e12, values.amin(0))):
        torch.testing.assert_close(renyi_bound(values, alpha), limit, rtol=0, atol=1e-11 + precision(values))


@given(logs(), st.sampled_from([1e-6, 1e-9, 1e-12, 1e-15]), st.sampled_from([-1, 1]))
def test_the_bound_is_continuous_at_one_with_the_slope_of_half_the_variance(values, step, sign):
    # L = mean - (α - 1) var / 2 + O((α - 1)² range³)
    alpha = 1.0 + sign * step
    reach = float(values.max() - values.min())
    expected = values.mean(0) - 0.5 * (alpha - 1.0) * values.var(0, correction=0)
    torch.testing.assert_close(
        renyi_bound(values, alpha), expected, rtol=0, atol=precision(values) + step**2 * reach**3
    )


@given(logs(), ORDERS, st.sampled_from([-1e4, -1.0, 0.5, 300.0]))
def test_a_shift_of_the_logarithms_shifts_the_bound(values, alpha, shift):
    shifted = values + shift
    slack = precision(values) + precision(shifted)
    torch.testing.assert_close(
        renyi_bound(shifted, alpha), renyi_bound(values, alpha) + shift, rtol=0, atol=slack
    )


@given(logs(infinite=True), ORDERS)
def test_the_order_of_the_samples_does_not_matter(values, alpha):
    bound = renyi_bound(values, alpha)
    # Among weights of zero the bound is as large as log S / (1 - α).
    torch.testing.assert_close(
        renyi_bound(values.flip(0), alpha), bound, rtol=0, atol=precision(values, bound)
    )


@given(logs(), ORDERS)
def test_equal_samples_give_their_value(values, alpha):
    torch.testing.assert_close(renyi_bound(values[:1], alpha), values[0], rtol=1e-15, atol=0)
    torch.testing.assert_close(renyi_bound(values[:1].repeat(7, 1), alpha), values[0], rtol=1e-15, atol=0)


@given(logs(torch.float32), ORDERS)
def test_float32_is_right_to_its_last_digits(values, alpha):
    bound = renyi_bound(values, alpha)
    assert bound.dtype == torch.float32
    exact = renyi_bound(values.double(), alpha)
    torch.testing.assert_close(bound.double(), exact, rtol=0, atol=2 * precision(values))


def test_many_samples_in_float32_lose_no_digits():
    # One sample carries the weight of 100,000: mean(expm1) is -1 + 1e-5 there.
    values = torch.full((100_000, 1), -200.0)
    values[0] = 0.0
    assert float(renyi_bound(values, 0.0)) == pytest.approx(-math.log(1e5), rel=1e-6)


def test_few_bits_give_a_finite_gradient():
    # Here mean(expm1) rounds to -1, where log1p has no derivative.
    values = torch.full((10_000, 1), -200.0, dtype=torch.bfloat16)
    values[0] = 0.0
    (gradient,) = torch.autograd.grad(renyi_bound(values.requires_grad_(), 0.0).sum(), values)
    assert gradient[0] == 1.0
    assert not gradient[1:].any()


@given(logs(infinite=True), ORDERS)
def test_the_gradient_is_softmax_of_the_weighted_logarithms(values, alpha):
    values = values.requires_grad_()
    bound = renyi_bound(values, alpha)
    (gradient,) = torch.autograd.grad(bound.sum(), values)
    assert bool(gradient.isfinite().all())
    torch.testing.assert_close(gradient.sum(0), torch.ones_like(bound))
    order = 1.0 - alpha
    ordinary = bound.isfinite() & bool(abs(order) < 1e300)
    powers = order * (values - values.amax(0))
    # A weight of zero has none in the limit of every order below 1.
    powers = torch.where(values.isinf(), -math.inf if order > 0 else math.inf, powers)
    if order != 0.0:
        expected = torch.softmax(powers, 0)
        torch.testing.assert_close(gradient[:, ordinary], expected[:, ordinary], rtol=1e-9, atol=1e-12)
    else:
        torch.testing.assert_close(gradient, torch.full_like(gradient, 1 / len(values)))


@pytest.mark.parametrize("alpha", [-math.inf, -2.0, 0.0, 0.999999, 1.0, 1.3, 4.0, math.inf])
def test_derivatives_agree_with_finite_differences_twice(alpha):
    values = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: renyi_bound(v, alpha), values)
    assert torch.autograd.gradgradcheck(lambda v: renyi_bound(v, alpha), values)
    mapped = torch.func.vmap(torch.func.grad(lambda v: renyi_bound(v, alpha)), in_dims=1, out_dims=1)(values)
    (whole,) = torch.autograd.grad(renyi_bound(values, alpha).sum(), values)
    torch.testing.assert_close(mapped, whole)


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        (-math.inf, -1.0),
        (0.0, -1.0 - math.log(2)),
        (0.5, -1.0 - 2 * math.log(2)),
        (1.0, -math.inf),
        (2.0, -math.inf),
    ],
)
def test_a_sample_of_weight_zero_counts(alpha, expected):
    values = torch.tensor([-1.0, -math.inf], dtype=torch.float64)
    assert float(renyi_bound(values, alpha)) == pytest.approx(expected)
    assert float(renyi_bound(torch.full((3,), -math.inf), alpha)) == -math.inf


def test_nan_is_not_hidden_and_stays_in_its_column():
    values = torch.tensor([[0.0, math.nan], [1.0, 1.0]])
    for alpha in (-math.inf, -1.0, 0.0, 1.0, 2.0, math.inf):
        bound = renyi_bound(values, alpha)
        assert bool(bound[0].isfinite())
        assert bool(bound[1].isnan())


@pytest.mark.parametrize("alpha", [1 - 1e-9, 1 + 1e-9])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_near_one_few_bits_give_the_mean(dtype, alpha):
    bound = renyi_bound(torch.tensor([[-1.0], [-3.0]], dtype=dtype), alpha)
    assert bound.dtype == dtype
    assert float(bound) == pytest.approx(-2.0)


@pytest.mark.parametrize("batch", [(), (4,), (2, 0), (2, 3)])
def test_any_leading_shape_is_a_batch(batch):
    values = torch.randn(6, *batch)
    bound = renyi_bound(values, -2)
    assert bound.shape == batch
    flat = renyi_bound(values.reshape(6, -1), -2)
    torch.testing.assert_close(bound.reshape(-1), flat)


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"alpha: .* nan"):
        renyi_bound(torch.zeros(2, 3), math.nan)
    with pytest.raises(ValueError, match=r"log_weights: .*S at least 1"):
        renyi_bound(torch.zeros(0, 3), 0.0)
    with pytest.raises(TypeError, match="log_weights: expected floating"):
        renyi_bound(torch.zeros(2, 3, dtype=torch.int64), 0.0)
