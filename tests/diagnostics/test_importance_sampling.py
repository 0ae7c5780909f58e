"""The importance-sampled log-likelihood against models whose likelihood is known, and what it costs."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal, Uniform

from diagnostics.linear_gaussian import LinearGaussian
from latentgeo.diagnostics import importance_sampling, log_likelihood, scores
from latentgeo.models import VAE, MLPDecoder, MLPEncoder


def standard_error(effective, num_samples):
    return (1 / effective - 1 / num_samples).clamp(min=0).sqrt()


def test_from_the_exact_posterior_every_estimate_is_exact(dtype, device):
    model = LinearGaussian.random(3, 5, dtype=dtype)
    model.weight, model.bias = model.weight.to(device), model.bias.to(device)
    x = model.sample(20).to(device)
    for num_samples in (1, 300):
        estimate, effective = log_likelihood(model, x, num_samples, seed=0)
        assert (estimate.dtype, effective.dtype) == (dtype, dtype)
        assert (estimate.device.type, estimate.shape) == (device.type, (20,))
        tight = {"rtol": 1e-10, "atol": 1e-10} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-4}
        torch.testing.assert_close(estimate, model.exact(x), **tight)
        torch.testing.assert_close(effective, torch.full_like(effective, num_samples), rtol=1e-4, atol=0)


def test_from_a_wrong_posterior_errors_are_what_the_effective_sample_size_says(device):
    model, num_samples = LinearGaussian.random(3, 5, stretch=1.4), 5000
    model.weight, model.bias = model.weight.to(device), model.bias.to(device)
    x = model.sample(200).to(device)
    estimate, effective = log_likelihood(model, x, num_samples, seed=0)
    assert bool((effective < 0.7 * num_samples).all())
    scores = (estimate - model.exact(x)) / standard_error(effective, num_samples)
    assert float(scores.abs().max()) < 4
    assert 0.85 < float(scores.square().mean().sqrt()) < 1.15


def test_few_samples_bound_the_log_likelihood_from_below_and_more_samples_closer():
    model = LinearGaussian.random(2, 4, stretch=2.0)
    x = model.sample(4000)
    gaps = [float((model.exact(x) - log_likelihood(model, x, s, seed=1)[0]).mean()) for s in (1, 4, 16)]
    assert gaps[0] > gaps[1] > gaps[2] > 0


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_of_a_curved_decoder_agrees_with_quadrature_over_the_latent(likelihood):
    torch.manual_seed(0)
    decoder = MLPDecoder(1, 6, hidden=(8,), activation=nn.Tanh)
    vae = VAE(MLPEncoder(6, 1, hidden=()), decoder, likelihood=likelihood).double()
    with torch.no_grad():
        decoder.net[0].weight *= 3
        decoder.net[-1].weight *= 3
    x = torch.rand(10, 6, dtype=torch.float64)
    nodes, weights = (torch.from_numpy(values) for values in np.polynomial.hermite_e.hermegauss(200))
    with torch.no_grad():
        scores = vae.decode(nodes[:, None, None]).log_prob(x)  # (200, 10)
    exact = (scores + weights.log()[:, None]).logsumexp(0) - 0.5 * math.log(2 * math.pi)
    estimate, effective = log_likelihood(vae, x, 20_000, seed=0)
    assert bool(((estimate - exact).abs() < 4 * standard_error(effective, 20_000)).all())


def test_in_one_pass_is_what_all_weights_together_give(monkeypatch):
    model, num_samples = LinearGaussian.random(2, 3, stretch=3.0), 101
    x = model.sample(1)
    for module in (importance_sampling, scores):
        monkeypatch.setattr(module, "LATENT_ROWS", 8)
    estimate, effective = log_likelihood(model, x, num_samples, seed=0)
    z = torch.cat(model.decoded)
    assert len(model.decoded) == 13
    prior = Independent(Normal(torch.zeros(2).double(), 1.0), 1)
    log_weights = model.decode(z).log_prob(x) + prior.log_prob(z) - model.encode(x).log_prob(z)
    torch.testing.assert_close(estimate[0], log_weights.logsumexp(0) - math.log(num_samples))
    torch.testing.assert_close(effective[0], 1 / log_weights.softmax(0).square().sum())


def test_more_samples_than_are_drawn_at_once_all_count():
    model, num_samples = LinearGaussian.random(2, 3), 2 * importance_sampling.LATENT_ROWS + 17
    x = model.sample(2)
    estimate, effective = log_likelihood(model, x, num_samples, seed=0)
    assert sum(map(len, model.decoded)) == 2 * num_samples
    torch.testing.assert_close(estimate, model.exact(x))
    torch.testing.assert_close(effective, torch.full_like(effective, num_samples))


@pytest.mark.parametrize("chunk_size", [1, 7, 64, 10**6])
def test_does_not_depend_on_the_chunk_size(chunk_size):
    model = LinearGaussian.random(2, 3, stretch=1.5)
    x = model.sample(5)
    whole, chunked = (log_likelihood(model, x, 60, chunk_size=size, seed=0) for size in (None, chunk_size))
    torch.testing.assert_close(chunked, whole, rtol=1e-12, atol=1e-12)


def test_decodes_each_sample_once_and_never_more_rows_than_told():
    model = LinearGaussian.random(2, 3)
    x = model.sample(700)
    log_likelihood(model, x, 9, chunk_size=50, seed=0)
    rows = [len(z) for z in model.decoded]
    assert max(rows) == 50
    assert sum(rows) == 700 * 9
    assert max(model.encoded) <= 256
    assert sum(model.encoded) == 700
    model.decoded.clear()
    log_likelihood(model, x[:1], 100_000, chunk_size=10**9, seed=0)
    assert max(len(z) for z in model.decoded) == importance_sampling.LATENT_ROWS


def test_the_default_chunk_has_fewer_rows_of_larger_data():
    largest = []
    for outputs in (1000, 8000):
        model = LinearGaussian.random(1, outputs)
        log_likelihood(model, torch.zeros(1, outputs, dtype=torch.float64), 2000, seed=0)
        largest.append(max(len(z) for z in model.decoded))
    assert largest == [2**20 // 8000, 2**20 // 64000]


def test_a_seed_gives_the_same_again_and_leaves_the_global_generator_where_it_was():
    model = LinearGaussian.random(2, 3, stretch=2.0)
    x = model.sample(4)
    before = torch.get_rng_state()
    first, again, other = (log_likelihood(model, x, 5, seed=seed)[0] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
    log_likelihood(model, x, 5)
    assert not torch.equal(torch.get_rng_state(), before)


def test_samples_without_likelihood_have_no_weight():
    """X given z uniform on [z - 1, z + 1]: p(x) = (Φ(x + 1) - Φ(x - 1)) / 2, from the prior."""
    model = SimpleNamespace(
        encode=lambda x: Normal(torch.zeros_like(x), 1.0),
        decode=lambda z: Uniform(z - 1, z + 1, validate_args=False),
    )
    x = torch.tensor([[0.0], [1.5], [60.0]], dtype=torch.float64)
    num_samples = 20_000
    estimate, effective = log_likelihood(model, x, num_samples, seed=0)
    probability = torch.special.ndtr(x + 1) - torch.special.ndtr(x - 1)
    exact = (probability / 2).log()[:2, 0]
    assert bool(((estimate[:2] - exact).abs() < 4 * standard_error(effective[:2], num_samples)).all())
    torch.testing.assert_close(effective[:2], num_samples * probability[:2, 0], rtol=0.05, atol=0)
    assert estimate[2] == -math.inf
    assert effective[2] == 0


def test_a_datum_that_a_model_answers_with_nan_spoils_no_other():
    model = LinearGaussian.random(2, 3)
    x = model.sample(6)
    spoilt = x[2, 0]

    def encode(x):
        mean = exact(x).mean.masked_fill(x[:, :1] == spoilt, math.nan)
        return Normal(mean, 0.6, validate_args=False)

    def decode(z):
        return Normal(z @ model.weight.T + model.bias, model.std, validate_args=False)

    exact, model.encode, model.decode = model.encode, encode, decode
    estimate, effective = log_likelihood(model, x, 2000, seed=0)
    good = torch.arange(6) != 2
    assert estimate.isnan().tolist() == (~good).tolist()
    assert effective.isnan().tolist() == (~good).tolist()
    error = (estimate - model.exact(x))[good].abs()
    assert bool((error < 4 * standard_error(effective[good], 2000)).all())


def test_factors_may_be_independent_or_batched():
    torch.manual_seed(0)
    vae = VAE(MLPEncoder(6, 2, hidden=(4,)), MLPDecoder(2, 6, hidden=(4,)))
    plain = SimpleNamespace(
        encode=lambda x: vae.encode(x).base_dist, decode=lambda z: Bernoulli(logits=vae.decoder(z))
    )
    x = torch.rand(5, 6).round()
    expected = log_likelihood(vae, x, 30, seed=0)
    torch.testing.assert_close(log_likelihood(plain, x, 30, seed=0), expected)


def test_images_are_as_good_as_vectors():
    torch.manual_seed(0)
    vae = VAE(MLPEncoder(6, 2, hidden=(4,)), MLPDecoder(2, 6, hidden=(4,)))
    images = VAE(vae.encoder, nn.Sequential(vae.decoder, nn.Unflatten(1, (1, 2, 3))))
    x = torch.rand(5, 1, 2, 3)
    expected = log_likelihood(vae, x.flatten(1), 30, seed=0)
    for model in (vae, images):
        torch.testing.assert_close(log_likelihood(model, x, 30, seed=0), expected)


def test_latents_may_be_maps_of_features():
    """One latent of shape (2, 2), and a decoder that knows it as such: the same as four latents."""
    flat = SimpleNamespace(encode=lambda x: Normal(x, 0.5), decode=lambda z: Normal(z, 1.0))
    maps = SimpleNamespace(
        encode=lambda x: Normal(x.unflatten(1, (2, 2)), 0.5), decode=lambda z: Normal(z.flatten(1), 1.0)
    )
    x = torch.randn(3, 4)
    torch.testing.assert_close(log_likelihood(maps, x, 20, seed=0), log_likelihood(flat, x, 20, seed=0))


def test_large_latents_are_drawn_few_at_a_time(monkeypatch):
    monkeypatch.setattr(scores, "_LATENT_BYTES", 2**16)
    drawn = []

    class Noted(Normal):
        def sample(self, sample_shape):
            drawn.append(sample_shape.numel() * self.loc.numel())
            return super().sample(sample_shape)

    model = SimpleNamespace(
        encode=lambda x: Noted(torch.zeros(len(x), 4, 8, 8), 1.0), decode=lambda z: Normal(z[:, 0, 0], 1.0)
    )
    log_likelihood(model, torch.zeros(3, 8), 100, seed=0)
    assert 2**15 < max(drawn) * 4 <= 2**16
    assert sum(drawn) == 3 * 100 * 4 * 8 * 8


@pytest.mark.parametrize("independent", [True, False])
def test_sums_of_half_precision_run_in_single(independent):
    """100,000 pixels of log-density near -1 each: their sum is beyond 65,504, the largest number of float16."""
    pixels = 100_000
    model = SimpleNamespace(
        encode=lambda x: Normal(x[:, :2] * 0, 1.0),
        decode=lambda z: Independent(Normal(z[:, :1].expand(-1, pixels) * 0, 1.0), int(independent)),
    )
    estimate, effective = log_likelihood(model, torch.zeros(1, pixels, dtype=torch.half), 4, seed=0)
    assert effective == 4
    assert estimate == -torch.inf  # in the dtype of the data
    means = {"dtype": torch.bfloat16, "generator": torch.Generator().manual_seed(0)}
    x, weight = torch.randn(3, 784, **means), 0.02 * torch.randn(2, 784, **means)

    def found(dtype):
        likelihood = SimpleNamespace(
            encode=lambda x: Normal(x[:, :2] * 0, 0.3),
            decode=lambda z: Independent(
                Normal((z @ weight).to(dtype), torch.ones((), dtype=dtype)), int(independent)
            ),
        )
        return log_likelihood(likelihood, x, 500, seed=0).effective_sample_size

    torch.testing.assert_close(found(torch.bfloat16), found(torch.float64), rtol=0.1, atol=0)


def test_a_model_may_bring_its_prior():
    """X = z + ε with z ~ N(1, 2²): x ~ N(1, 5); the exact posterior is N((4 x + 1) / 5, 4 / 5)."""
    wide = Normal(torch.tensor([1.0]).double(), 2.0)
    parts = {
        "encode": lambda x: Normal((4 * x + 1) / 5, math.sqrt(0.8)),
        "decode": lambda z: Normal(z, 1.0),
    }
    x = torch.tensor([[-1.0], [3.0]], dtype=torch.float64)
    exact = Normal(1.0, math.sqrt(5)).log_prob(x)[:, 0]
    for prior in (wide, lambda z: wide):
        estimate, _ = log_likelihood(SimpleNamespace(**parts, prior=prior), x, 10, seed=0)
        torch.testing.assert_close(estimate, exact)
    standard, _ = log_likelihood(SimpleNamespace(**parts), x, 10, seed=0)
    assert bool(((standard - exact).abs() > 0.1).all())


def test_no_gradient_is_kept():
    vae = VAE(MLPEncoder(6, 2, hidden=(4,)), MLPDecoder(2, 6, hidden=(4,)))
    result = log_likelihood(vae, torch.rand(5, 6), 3, seed=0)
    assert not result.log_likelihood.requires_grad
    assert result.effective_sample_size.clone().requires_grad_().square().sum().requires_grad


@pytest.mark.parametrize("progress", [True, False])
def test_a_bar_is_shown_where_asked(progress, capsys):
    model = LinearGaussian.random(2, 3)
    log_likelihood(model, model.sample(3), 4, seed=0, progress=progress)
    assert ("12.0/12.0" in capsys.readouterr().err) is progress
