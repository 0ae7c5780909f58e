"""The Fisher metric: every family against a quadrature of its score, where it saturates, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch import distributions as td

import latentgeo as lg
import laws
import reference
from latentgeo.metrics.family_information import trigamma_excess
from latentgeo.models import VAE, MLPDecoder, MLPEncoder
from metrics.likelihoods import LIKELIHOODS, Likelihood, information
from strategies import GaussianDecoder, network

DIM, OUTPUTS = 2, 4
NAMED = {str(likelihood): likelihood for likelihood in LIKELIHOODS}
SINGLE = [
    NAMED[name]
    for name in ("Bernoulli of logits", "Normal", "Gamma", "Dirichlet", "NegativeBinomial of logits")
]


@pytest.fixture(params=LIKELIHOODS, ids=str)
def likelihood(request: pytest.FixtureRequest) -> Likelihood:
    return request.param


@pytest.fixture
def points(generator: torch.Generator) -> Tensor:
    return torch.randn(3, DIM, generator=generator, dtype=torch.float64)


class Numbers(nn.Module):
    """z -> the free numbers of some outputs of a family, all of them below one and a half."""

    def __init__(self, size: int, outputs: int = OUTPUTS, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight, self.bias = (
            nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
            for shape in ((DIM, outputs * size), (outputs * size,))
        )
        self.size = size

    def forward(self, z: Tensor) -> Tensor:
        x = z @ self.weight.to(z) + self.bias.to(z)
        return 1.5 * x.sin().unflatten(1, (-1, self.size))

    def of(self, output: int) -> Callable[[np.ndarray], np.ndarray]:
        """The numbers of one output at one point, in NumPy."""
        w, b = (p.detach().numpy() for p in (self.weight, self.bias))
        return lambda z: 1.5 * np.sin(z @ w + b).reshape(-1, self.size)[output]


def metric_of(likelihood: Likelihood, numbers: Numbers | None = None, **options: int) -> lg.Metric:
    numbers = Numbers(likelihood.size) if numbers is None else numbers
    return lg.fisher_pullback_metric(lambda z: likelihood.make(numbers(z)), **options)


# --- What it is


def test_is_the_second_moment_of_the_score(
    likelihood: Likelihood, points: Tensor, dtype: torch.dtype
) -> None:
    numbers = Numbers(likelihood.size)
    expected = [
        sum(information(likelihood, numbers.of(k), z) for k in range(OUTPUTS)) for z in points.numpy()
    ]
    expected = torch.from_numpy(np.stack(expected))
    got = metric_of(likelihood, numbers)(points.to(dtype))
    # the score's fourth-order differences leave some 1e-11
    laws.assert_near(got, expected, max(1e-9, laws.rounding(dtype)))


def test_laws_of_a_metric(likelihood: Likelihood, points: Tensor, dtype: torch.dtype) -> None:
    metric, z = metric_of(likelihood), points.to(dtype)
    u, v, w = torch.randn(3, *z.shape, generator=torch.Generator().manual_seed(1)).to(z)
    laws.matrix_is_symmetric_positive_semidefinite(metric, z)
    laws.inner_is_the_matrix_product(metric, z, u, v)
    laws.inner_is_bilinear(metric, z, u, v, w)
    laws.leading_dimensions_are_batch(metric, z)


@pytest.mark.parametrize("first", ["empty", "plain"])
def test_empty_batches(likelihood: Likelihood, first: str, points: Tensor) -> None:
    try:
        likelihood.make(Numbers(likelihood.size)(points[:0]))
    except RuntimeError:
        pytest.skip("torch does not make an empty batch of these")
    metric = metric_of(likelihood)
    if first == "plain":
        metric(points)
    laws.empty_batch_gives_empty_answers(metric, points)


def test_divergence_of_neighbours_is_half_the_squared_length(likelihood: Likelihood, points: Tensor) -> None:
    """KL(p(z + hv) || p(z - hv)) = 1/2 |2hv|² (1 + O(h²)), by torch's closed forms of the divergence."""
    numbers = Numbers(likelihood.size)
    v, h = torch.tensor([[0.6, -0.8]], dtype=torch.float64), 1e-3
    p, q = (likelihood.make(numbers(points + s * h * v)) for s in (1, -1))
    try:
        divergence = td.kl_divergence(p, q).sum(1)
    except NotImplementedError:
        pytest.skip("torch knows no divergence of this family")
    squared = metric_of(likelihood, numbers).norm(points, v).square()
    laws.assert_near(divergence / (2 * h**2), squared, 1e-3)


def test_independent_changes_nothing(likelihood: Likelihood, points: Tensor) -> None:
    numbers = Numbers(likelihood.size)
    metric = lg.fisher_pullback_metric(
        lambda z: td.Independent(td.Independent(likelihood.make(numbers(z)), 0), 1)
    )
    laws.assert_near(metric(points), metric_of(likelihood, numbers)(points), laws.rounding(points.dtype))


def test_images_are_rows_of_numbers(likelihood: Likelihood, points: Tensor) -> None:
    """Events (1, 2, 2) of independent entries, as image decoders make them."""
    numbers = Numbers(likelihood.size)
    image = lambda z: td.Independent(likelihood.make(numbers(z).unflatten(1, (1, 2, 2))), 3)  # noqa: E731
    metric = lg.fisher_pullback_metric(image)
    laws.assert_near(metric(points), metric_of(likelihood, numbers)(points), laws.rounding(points.dtype))
    laws.assert_near(
        metric.norm(points, points),
        metric_of(likelihood, numbers).norm(points, points),
        laws.rounding(points.dtype),
    )


def test_one_output_without_a_dimension_of_its_own(likelihood: Likelihood, points: Tensor) -> None:
    numbers = Numbers(likelihood.size, outputs=1)
    metric = lg.fisher_pullback_metric(lambda z: likelihood.make(numbers(z)[:, 0]))
    laws.assert_near(metric(points), metric_of(likelihood, numbers)(points), laws.rounding(points.dtype))


def test_immersion_is_known_where_there_is_one(likelihood: Likelihood, points: Tensor) -> None:
    metric = metric_of(likelihood)
    immersion = metric.resolved(points).immersion
    assert (immersion is not None) == likelihood.immersed
    assert metric.immersion is immersion
    if immersion is not None:
        jacobian = reference.jacobian(immersion, points)
        laws.assert_near(metric(points), jacobian.mT @ jacobian, laws.rounding(points.dtype))


def test_information_and_immersion_agree_where_the_scale_is_fixed(points: Tensor) -> None:
    """A scale that varies by nothing: the rule for both parameters beside the immersion of the first."""
    mean = Numbers(1)
    for scale in (torch.tensor(0.3), torch.full((OUTPUTS,), 0.3), nn.Parameter(torch.tensor(0.3))):
        still = lg.fisher_pullback_metric(lambda z, s=scale: td.Normal(mean(z)[..., 0], s.double()))
        moving = lg.fisher_pullback_metric(
            lambda z, s=scale: td.Normal(mean(z)[..., 0], s.double() + 0 * z.sum(1, keepdim=True))
        )
        laws.assert_near(still(points), moving(points), laws.rounding(points.dtype))
        assert still.immersion is not None
        assert moving.immersion is None


def test_scale_that_is_only_at_rest_here_is_not_taken_for_fixed() -> None:
    """Clamped at the first points, moving elsewhere."""
    metric = lg.fisher_pullback_metric(lambda z: td.Normal(z, z.clamp(min=1.0)))
    assert not metric(torch.zeros(2, 1)).sub(1).any()
    assert metric.immersion is None
    laws.assert_near(metric(torch.full((1, 1), 2.0)), torch.full((1, 1, 1), 0.75), 1e-6)


def test_models_of_this_library(generator: torch.Generator) -> None:
    encoder = MLPEncoder(9, 2, hidden=(8,))
    z = torch.randn(4, 2, generator=generator)
    for kind in ("bernoulli", "gaussian"):
        model = VAE(encoder, MLPDecoder(2, 9, hidden=(8,), activation=nn.Tanh), likelihood=kind).eval()
        metric = lg.fisher_pullback_metric(model.decode)
        columns = reference.jacobian(model.decoder, z)
        p = model.decoder(z).sigmoid()
        weights = p * (1 - p) if kind == "bernoulli" else torch.ones_like(p)  # its variance is 1
        laws.assert_near(metric(z), columns.mT @ (weights[..., None] * columns), laws.rounding(z.dtype))
        assert metric.immersion is not None


def test_gaussian_beside_the_expected_metric(points: Tensor) -> None:
    """J_μᵀ σ⁻² J_μ + 2 J_σᵀ σ⁻² J_σ: each output in units of its own deviation."""
    decoder = GaussianDecoder(DIM, 6)
    mean, std = (reference.jacobian(lambda z, k=k: decoder(z)[k], points) for k in (0, 1))
    weights = decoder(points)[1][..., None] ** -2
    expected = mean.mT @ (weights * mean) + 2 * std.mT @ (weights * std)
    metric = lg.fisher_pullback_metric(lambda z: td.Independent(td.Normal(*decoder(z)), 1))
    laws.assert_near(metric(points), expected, laws.rounding(points.dtype))


# --- At every scale


def test_saturated_logits_keep_their_information(dtype: torch.dtype) -> None:
    """I(x) = p (1 - p) for Bernoulli, 1 - p for Geometric, r p for NegativeBinomial, down to where it underflows."""
    x = torch.cat([torch.linspace(-700, 700, 141), torch.linspace(-20, 20, 81)]).to(dtype)[:, None]
    likely, unlikely = (1 / (1 + (-s * x.double()).exp()) for s in (1, -1))
    for make, expected in (
        (lambda z: td.Bernoulli(logits=z), likely * unlikely),
        (lambda z: td.Geometric(logits=z), unlikely),
        (lambda z: td.NegativeBinomial(5.0, logits=z), 5 * likely),
    ):
        got = lg.fisher_pullback_metric(make)(x)[..., 0]
        allowed = laws.rounding(dtype) * expected + torch.finfo(dtype).tiny
        laws.assert_near(got, expected, 1.0, scale=allowed)


@pytest.mark.parametrize("size", [0.0, 1.0, 30.0, 100.0, 1000.0])
def test_derivatives_of_saturated_metrics_are_finite(size: float, dtype: torch.dtype) -> None:
    z = torch.tensor([[size, -size]], dtype=dtype, requires_grad=True)
    for make in (
        lambda z: td.Bernoulli(logits=z),
        lambda z: td.Bernoulli(z.sigmoid()),
        lambda z: td.Geometric(logits=z),
        lambda z: td.NegativeBinomial(5.0, logits=z),
        lambda z: td.Categorical(logits=z),
        lambda z: td.OneHotCategorical(z.softmax(-1)),
        lambda z: td.Poisson((-z.abs()).exp()),
    ):
        metric = lg.fisher_pullback_metric(make)
        g = metric(z)
        (first,) = torch.autograd.grad(g.sum() + z.sum(), z, create_graph=True)
        (second,) = torch.autograd.grad(first.sum() + z.sum(), z)
        assert metric.immersion is not None
        for value in (g, first, second, metric.norm(z, z.detach()), metric.immersion(z)):
            assert value.isfinite().all()


def test_categories_that_are_never_chosen(dtype: torch.dtype) -> None:
    z = torch.tensor([[0.3, -60.0, 0.0], [40.0, 0.0, -40.0]], dtype=dtype)
    p = z.double().softmax(-1)
    expected = torch.diag_embed(p) - p[..., None] * p[:, None]
    for make in (td.Categorical, td.OneHotCategorical):
        got = lg.fisher_pullback_metric(lambda z, make=make: make(logits=z))(z)
        laws.assert_near(got, expected, laws.rounding(dtype))
        # the information about a rare category is its probability, however rare it is
        laws.assert_near(got[0, 1, 1], p[0, 1], laws.rounding(dtype))


def test_logits_asked_for_probabilities_stay_the_parameters(points: Tensor) -> None:
    """What torch derives it keeps beside what it was given: the one must not be taken for the other."""

    def curious(z: Tensor) -> td.Distribution:
        p = td.Bernoulli(logits=100 * z)
        assert p.probs.shape == z.shape
        return p

    expected = lg.fisher_pullback_metric(lambda z: td.Bernoulli(logits=100 * z))(points)
    assert torch.equal(lg.fisher_pullback_metric(curious)(points), expected)
    assert expected.diagonal(dim1=1, dim2=2).all()


@pytest.mark.parametrize("categories", [2, 3])
def test_concentrations_of_every_size(
    categories: int, dtype: torch.dtype, generator: torch.Generator
) -> None:
    """Dirichlet and Beta of concentrations from 1e-6 to 1e6 beside mpmath, along three directions.

    Nearly everything may cancel; what is left is right to the rounding of the tangents themselves.
    """
    mpmath = pytest.importorskip("mpmath")
    powers = 12 * torch.rand(20, categories, generator=generator, dtype=torch.float64) - 6
    a = (10**powers).to(dtype)
    trigamma = lambda x: mpmath.zeta(2, x)  # noqa: E731
    for v in (a.log().sin(), torch.ones_like(a), a):
        exact, sizes = [], []
        with mpmath.workdps(60):
            for row, step in zip(a.tolist(), v.tolist(), strict=True):
                terms = [
                    trigamma(mpmath.mpf(x)) * mpmath.mpf(dx) ** 2 for x, dx in zip(row, step, strict=True)
                ]
                total = mpmath.fsum(mpmath.mpf(x) for x in row)
                shared = mpmath.fsum(mpmath.mpf(dx) for dx in step) ** 2 * trigamma(total)
                exact.append(float(mpmath.fsum(terms) - shared))
                sizes.append(float(mpmath.fsum(terms)))
        expected, size = torch.tensor([exact, sizes], dtype=torch.float64)
        got = lg.fisher_pullback_metric(td.Dirichlet).inner(a, v, v)
        # a relative change ε of v changes vᵀ I v by up to 2 ε sqrt(vᵀ I v · vᵀ D v), D the diagonal terms
        laws.assert_near(got, expected, laws.rounding(dtype), scale=(expected * size).sqrt())
        if categories == 2:
            beta = lg.fisher_pullback_metric(lambda z: td.Beta(z[:, 0], z[:, 1])).inner(a, v, v)
            laws.assert_near(beta, got, laws.rounding(dtype), scale=got)


def test_trigamma_is_exact() -> None:
    mpmath = pytest.importorskip("mpmath")
    x = torch.logspace(-30, 12, 85, dtype=torch.float64)
    with mpmath.workdps(80):
        expected = [
            float(mpmath.mpf(v) ** 2 * mpmath.zeta(2, mpmath.mpf(v)) - mpmath.mpf(v)) for v in x.tolist()
        ]
    expected = torch.tensor(expected, dtype=torch.float64)
    laws.assert_near(trigamma_excess(x), expected, 1e-14, scale=expected)
    laws.assert_near(trigamma_excess(x.float()), expected, 1e-6, scale=expected)


@pytest.mark.parametrize("unit", [1e-12, 1e-3, 1e12])
def test_gaussians_do_not_care_for_units(unit: float, dtype: torch.dtype) -> None:
    """Data in other units, the same metric; here for each of the three that have units."""
    z = torch.tensor([[0.3, -0.7], [1.1, 0.2]], dtype=dtype)
    eye = torch.eye(2, dtype=dtype)
    for make in (
        lambda z, c: td.Normal(c * z, c * z.exp()),
        lambda z, c: td.MultivariateNormal(c * z, scale_tril=c * (eye + 0.3 * torch.diag_embed(z.sin()))),
        lambda z, c: td.Gamma(z.exp(), z.cos() / c),
    ):
        one, other = (lg.fisher_pullback_metric(lambda z, c=c, make=make: make(z, c))(z) for c in (1.0, unit))
        laws.assert_near(other, one, laws.rounding(dtype))


# --- Geodesics of decoders that are the identity


def along(make: Callable, start: list[float], end: list[float], dtype: torch.dtype) -> Tensor:
    a, b = (torch.tensor([x], dtype=dtype) for x in (start, end))
    return lg.distance(lg.fisher_pullback_metric(make), a, b)


def test_distances_of_counts_and_waiting_times(dtype: torch.dtype) -> None:
    """Closed forms of Rao's distance: 2|√a - √b|, |log a/b|, and 2√r |artanh √p - artanh √q|."""
    a, b = [0.5, 3.0], [2.0, 1.0]
    roots = np.sqrt(a) - np.sqrt(b)
    cases = [(td.Poisson, a, b, 2 * roots), (td.Exponential, a, b, np.log(a) - np.log(b))]
    p, q = [0.2, 0.9], [0.7, 0.4]
    steps = np.arctanh(np.sqrt(p)) - np.arctanh(np.sqrt(q))
    cases.append((lambda z: td.NegativeBinomial(5.0, z), p, q, 2 * np.sqrt(5) * steps))
    steps = np.arctanh(np.sqrt(1 - np.array(p))) - np.arctanh(np.sqrt(1 - np.array(q)))
    cases.append((td.Geometric, p, q, 2 * steps))
    for make, start, end, per_coordinate in cases:
        expected = torch.tensor([np.linalg.norm(per_coordinate)], dtype=torch.float64)
        laws.assert_near(along(make, start, end, dtype), expected, 1e-4)


def test_gaussians_of_one_covariance_are_as_far_as_mahalanobis_says(dtype: torch.dtype) -> None:
    covariance = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=dtype)
    a, b = [1.0, -0.5], [-0.3, 2.0]
    got = along(lambda z: td.MultivariateNormal(z, covariance), a, b, dtype)
    step = np.subtract(a, b)
    expected = math.sqrt(step @ np.linalg.inv(covariance.double().numpy()) @ step)
    laws.assert_near(got, torch.tensor([expected], dtype=torch.float64), laws.rounding(dtype))


def test_gaussians_of_one_mean_move_by_the_logarithm_of_the_scale(dtype: torch.dtype) -> None:
    """diag(e^2z) around one mean: sqrt(2) times the Euclidean distance of z, for Normal and MultivariateNormal."""
    a, b = [0.3, -0.5], [-0.4, 0.6]
    expected = torch.tensor([math.sqrt(2) * math.dist(a, b)], dtype=torch.float64)
    for make in (
        lambda z: td.Normal(torch.zeros_like(z), z.exp()),
        lambda z: td.MultivariateNormal(torch.zeros_like(z), scale_tril=torch.diag_embed(z.exp())),
        lambda z: td.LogNormal(torch.zeros_like(z), z.exp()),
    ):
        laws.assert_near(along(make, a, b, dtype), expected, 1e-5)


# --- Transforms and derivatives


def weighted(metric: lg.Metric) -> Callable[[Tensor], Tensor]:
    weights = torch.tensor([[1.0, 0.4], [-0.7, 2.0]], dtype=torch.float64)
    return lambda z: (metric(z) * weights).sum()


def test_transforms_of_torch(likelihood: Likelihood, points: Tensor) -> None:
    """On a metric that was first called inside a transform, and on one that was not."""
    metric, twin = metric_of(likelihood), metric_of(likelihood)
    tolerance = laws.rounding(points.dtype)
    expected = twin(points)
    leaf = points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(weighted(twin)(leaf), leaf)
    laws.assert_near(torch.func.vmap(metric)(points), expected, tolerance, "vmap")
    laws.assert_near(torch.func.vmap(metric.norm)(points, points), twin.norm(points, points), tolerance)
    laws.assert_near(torch.func.grad(weighted(metric))(points), slope, tolerance, "grad")
    laws.assert_near(torch.func.jacfwd(weighted(metric))(points), slope, tolerance, "jacfwd")
    laws.assert_near(torch.func.vmap(twin)(points), expected, tolerance, "vmap after a plain call")


@pytest.mark.parametrize("likelihood", SINGLE, ids=str)
def test_gradients_of_first_and_second_order(likelihood: Likelihood, points: Tensor) -> None:
    metric, z = metric_of(likelihood), points[:1].clone().requires_grad_()
    v = torch.tensor([[0.3, -1.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(metric, z)
    assert torch.autograd.gradcheck(metric.inner, (z, v, v.detach().flip(1).requires_grad_()))
    assert torch.autograd.gradgradcheck(weighted(metric), z)


@pytest.mark.parametrize("likelihood", SINGLE, ids=str)
def test_derivatives_in_the_parameters(likelihood: Likelihood, points: Tensor) -> None:
    numbers = Numbers(likelihood.size)
    metric = metric_of(likelihood, numbers)
    (gradient,) = torch.autograd.grad(weighted(metric)(points), numbers.weight)
    step = torch.zeros_like(gradient)
    step[0, 1] = step[1, 0] = 1e-5
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            numbers.weight += sign * step
            ends.append(weighted(metric)(points))
            numbers.weight -= sign * step
    slope = (ends[0] - ends[1]) / 2
    laws.assert_near((gradient * step).sum(), slope, 1e-6)


@pytest.mark.parametrize("likelihood", [*SINGLE, NAMED["MultivariateNormal of precision"]], ids=str)
def test_acceleration_is_that_of_the_matrix(likelihood: Likelihood, points: Tensor) -> None:
    """By the immersion or by derivatives of G, as that of the same matrices without a decoder."""
    metric, v = metric_of(likelihood), points.flip(0)
    got = lg.geodesic_acceleration(metric, points, v)
    expected = -torch.einsum("nkij,ni,nj->nk", reference.christoffel(metric, points), v, v).detach()
    laws.assert_near(got, expected, 1e-6)


# --- Cost


def test_making_a_metric_does_not_call_the_decoder() -> None:
    lg.fisher_pullback_metric(lambda z: pytest.fail("called"))


@pytest.mark.parametrize(("name", "passes"), [("Bernoulli of logits", 1), ("Normal", 2)])
def test_points_are_decoded_once_for_an_immersion_and_twice_without(
    name: str, passes: int, generator: torch.Generator
) -> None:
    likelihood, calls = NAMED[name], []
    numbers = Numbers(likelihood.size)

    def counting(z: Tensor) -> td.Distribution:
        calls.append(len(z))
        return likelihood.make(numbers(z))

    z = torch.randn(10, DIM, generator=generator, dtype=torch.float64)
    metric = lg.fisher_pullback_metric(counting)
    for evaluate in (lambda: metric(z), lambda: metric.norm(z, z), lambda: metric.inner(z, z, z.flip(0))):
        evaluate()
        calls.clear()
        evaluate()
        assert calls == [10] * passes
    parts = lg.fisher_pullback_metric(counting, chunk_size=4)
    parts(z)
    calls.clear()
    laws.assert_near(parts(z), metric(z), laws.rounding(z.dtype))
    laws.assert_near(parts.norm(z, z), metric.norm(z, z), laws.rounding(z.dtype))
    assert max(calls[: 3 * passes]) == 4


@pytest.mark.parametrize(
    ("inside", "outside"), [("float32", "float64"), ("float64", "float32"), ("bfloat16", "float32")]
)
def test_decoder_keeps_its_dtype_and_the_answer_follows_the_points(
    inside: str, outside: str, generator: torch.Generator
) -> None:
    net = network(DIM, 6).to(getattr(torch, inside))
    z = torch.randn(3, DIM, generator=generator, dtype=torch.float64).to(getattr(torch, outside))
    for make in (
        lambda x: td.Bernoulli(logits=x),
        lambda x: td.Normal(x, x.exp()),
        lambda x: td.Dirichlet(x.exp()),
    ):
        metric = lg.fisher_pullback_metric(lambda z, make=make: make(net(z)))
        expected = lg.fisher_pullback_metric(lambda z, make=make: make(network(DIM, 6)(z)))(z.double())
        assert metric(z).dtype == z.dtype
        laws.assert_near(metric(z), expected, 0.1 if inside == "bfloat16" else laws.rounding(torch.float32))


# --- Bad input


def test_nan_of_a_decoder_stays_in_its_row(dtype: torch.dtype) -> None:
    z = torch.tensor([[0.4, 0.2], [-1.0, 0.3], [0.3, 0.5]], dtype=dtype)
    for make in (
        lambda z: td.Bernoulli(z.sqrt(), validate_args=False),
        lambda z: td.Normal(z, z.sqrt(), validate_args=False),
    ):
        metric = lg.fisher_pullback_metric(make)
        got = metric(z)
        assert not got[1].isfinite().all()
        laws.assert_near(got[[0, 2]], metric(z[[0, 2]]), laws.rounding(dtype))


def _mixture(z: Tensor) -> td.Distribution:
    return td.MixtureSameFamily(td.Categorical(logits=z), td.Normal(z, 1.0))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda z: td.Laplace(z, 1.0), "Laplace"),
        (lambda z: td.Independent(td.StudentT(z.exp()), 1), "StudentT"),
        (lambda z: td.HalfNormal(z.exp()), "HalfNormal"),
        (lambda z: td.ContinuousBernoulli(logits=z), "ContinuousBernoulli"),
        (_mixture, "MixtureSameFamily"),
        (
            lambda z: td.TransformedDistribution(td.Normal(z, 1.0), td.SigmoidTransform()),
            "TransformedDistribution",
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_other_families_are_refused_by_a_list_of_those_there_are(
    make: Callable, name: str, points: Tensor
) -> None:
    with pytest.raises(
        NotImplementedError, match=rf"family {name}, .* the supported families are Normal, Bern"
    ):
        lg.fisher_pullback_metric(make)(points)


def test_chi_squared_is_a_gamma_distribution(points: Tensor) -> None:
    got = lg.fisher_pullback_metric(lambda z: td.Chi2(z.exp()))(points)
    expected = lg.fisher_pullback_metric(lambda z: td.Gamma(z.exp() / 2, 0.5))(points)
    laws.assert_near(got, expected, laws.rounding(points.dtype))


@pytest.mark.parametrize(
    ("make", "came"),
    [(lambda z: z, "tensor"), (lambda z: (z, z.exp()), "tuple"), (lambda z: [td.Normal(z, 1.0)], "list")],
    ids=["tensor", "pair", "list"],
)
def test_decoder_that_returns_no_distribution(
    unchecked: None, make: Callable, came: str, points: Tensor
) -> None:
    with pytest.raises(
        TypeError, match=rf"must return a torch.distributions.Distribution, got .*{came}.*pullback_met"
    ):
        lg.fisher_pullback_metric(make)(points)


@pytest.mark.parametrize(
    "make",
    [
        lambda z: td.Normal(z[0], 1.0),
        lambda z: td.Independent(td.Normal(z[:, 0], 1.0), 1),
        lambda z: td.MultivariateNormal(z[0], torch.eye(DIM).double()),
        lambda z: td.Categorical(logits=z[0]),
    ],
    ids=["one row", "points taken for an event", "one vector", "one choice"],
)
def test_distributions_must_be_one_for_each_point(make: Callable, points: Tensor) -> None:
    with pytest.raises(
        ValueError, match=r"decoder must map a batch \(\d, 2\) to .*batch shape \(\d, \.\.\.\), one for each"
    ):
        lg.fisher_pullback_metric(make)(points)


@pytest.mark.parametrize(
    "count", [lambda z: z.exp(), lambda z: z.exp().detach(), lambda z: z[:, :1].clamp(min=9.0)]
)
def test_total_count_that_moves_is_refused(count: Callable, points: Tensor) -> None:
    with pytest.raises(ValueError, match="NegativeBinomial whose total_count is the same for every z"):
        lg.fisher_pullback_metric(lambda z: td.NegativeBinomial(count(z), logits=z))(points)


def test_total_count_may_be_learned(points: Tensor) -> None:
    log_count = nn.Parameter(torch.tensor([0.5, 1.5], dtype=torch.float64))
    metric = lg.fisher_pullback_metric(lambda z: td.NegativeBinomial(log_count.exp(), logits=z))
    laws.assert_near(metric(points), torch.diag_embed(log_count.exp() * points.sigmoid()), 1e-12)
    (gradient,) = torch.autograd.grad(metric(points).sum(), log_count)
    laws.assert_near(gradient, (log_count.exp() * points.sigmoid()).sum(0), 1e-12)


def test_family_that_changes_is_refused(points: Tensor) -> None:
    metric = lg.fisher_pullback_metric(
        lambda z: td.Poisson(z.exp()) if z.sum() > 0 else td.Bernoulli(logits=z)
    )
    metric(points.abs())
    for evaluate in (metric, lambda z: metric.norm(z, z)):
        with pytest.raises(
            ValueError, match=r"one family .* a Poisson\(rate\) first and now a Bernoulli\(logits\)"
        ):
            evaluate(-points.abs())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_points_of_half_precision_are_refused(dtype: torch.dtype) -> None:
    metric = lg.fisher_pullback_metric(lambda z: td.Bernoulli(logits=z))
    with pytest.raises(TypeError, match=r"z must be of dtype float32 or float64, got a b?float16 tensor"):
        metric(torch.zeros(3, 2, dtype=dtype))


def test_training_mode_is_refused() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5))
    with pytest.raises(ValueError, match=r"Dropout layer in training mode.*\.eval\(\)"):
        lg.fisher_pullback_metric(lambda z: td.Bernoulli(logits=net(z)))


@pytest.mark.parametrize("chunk_size", [0, -3, 2.5, "all", True])
def test_chunk_size(unchecked: None, chunk_size: object) -> None:
    with pytest.raises(
        ValueError, match=rf"chunk_size must be a positive integer or None, got {chunk_size!r}"
    ):
        lg.fisher_pullback_metric(td.Poisson, chunk_size=chunk_size)


def test_decoder_that_hides_its_gradient(points: Tensor) -> None:
    with pytest.raises(ValueError, match="output is detached from its input"):
        lg.fisher_pullback_metric(lambda z: td.Bernoulli(logits=z.detach()))(points)
