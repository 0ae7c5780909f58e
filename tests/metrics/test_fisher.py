"""The Fisher metric: every family against a quadrature of its score, its laws, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch import distributions as td

import latentgeo as lg
import laws
import reference
from latentgeo.models import VAE, MLPDecoder, MLPEncoder
from metrics.fisher import DIM, NAMED, OUTPUTS, Numbers, metric_of
from metrics.likelihoods import LIKELIHOODS, Likelihood, information
from strategies import GaussianDecoder

# torch's validation cannot reshape a batch of no rows into its one-hot outcomes.
WITHOUT_EMPTY_BATCHES = (NAMED["OneHotCategorical of logits"],)
# torch registers no Kullback-Leibler divergence of them.
WITHOUT_DIVERGENCE = (NAMED["NegativeBinomial of logits"], NAMED["NegativeBinomial of probs"])


def all_but(left_out: tuple[Likelihood, ...]) -> list[Likelihood]:
    return [likelihood for likelihood in LIKELIHOODS if likelihood not in left_out]


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
@pytest.mark.parametrize("likelihood", all_but(WITHOUT_EMPTY_BATCHES), ids=str)
def test_empty_batches(likelihood: Likelihood, first: str, points: Tensor) -> None:
    metric = metric_of(likelihood)
    if first == "plain":
        metric(points)
    laws.empty_batch_gives_empty_answers(metric, points)


@pytest.mark.parametrize("likelihood", all_but(WITHOUT_DIVERGENCE), ids=str)
def test_divergence_of_neighbours_is_half_the_squared_length(likelihood: Likelihood, points: Tensor) -> None:
    """KL(p(z + hv) || p(z - hv)) = 1/2 |2hv|² (1 + O(h²)), by torch's closed forms of the divergence."""
    numbers = Numbers(likelihood.size)
    v, h = torch.tensor([[0.6, -0.8]], dtype=torch.float64), 1e-3
    p, q = (likelihood.make(numbers(points + s * h * v)) for s in (1, -1))
    divergence = td.kl_divergence(p, q).sum(1)
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
