"""What the Fisher metric takes: which decoders, families, dtypes and options, and what it says of others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch import distributions as td

import latentgeo as lg
import laws
from metrics.fisher import DIM
from strategies import network


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


def test_scale_that_begins_to_move_is_noticed(points: Tensor) -> None:
    """As of a VAE whose precision is fitted after its mean."""
    scale = nn.Linear(DIM, DIM).double()
    late = [False]
    make = lambda z: td.Normal(z.sin(), scale(z).exp() if late[0] else torch.ones_like(z))  # noqa: E731
    metric = lg.fisher_pullback_metric(make)
    metric(points)
    assert metric.immersion is not None
    late[0] = True
    laws.assert_near(metric(points), lg.fisher_pullback_metric(make)(points), 1e-12)
    assert metric.immersion is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_points_of_half_precision_are_refused(dtype: torch.dtype) -> None:
    metric = lg.fisher_pullback_metric(lambda z: td.Bernoulli(logits=z))
    with pytest.raises(TypeError, match=r"z must be in float32 or float64, got a b?float16 tensor"):
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
