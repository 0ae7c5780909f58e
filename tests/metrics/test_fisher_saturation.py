"""The Fisher metric keeps its digits at every scale: saturated logits, concentrations and units of any size."""

from __future__ import annotations

import mpmath
import pytest
import torch
from torch import Tensor
from torch import distributions as td

import latentgeo as lg
import laws
from latentgeo.metrics.family_information import trigamma_excess


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
