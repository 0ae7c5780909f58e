"""The reconstruction gain against the closed forms of linear models."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from diagnostics.linear_gaussian import LinearGaussian
from latentgeo.diagnostics import reconstruction_gain
from latentgeo.models import VAE, Autoencoder, MLPDecoder, MLPEncoder


def closed_form(model, x, variance=0.0):
    """E over z ~ N(μ, v) of (|x - f(z with z_i := 0)|² - |x - f(z)|²) / (2 s²), where f(z) = W z + b."""
    mean = model.encode(x).mean
    residual = x - mean @ model.weight.T - model.bias
    size = model.weight.square().sum(0)
    cross = residual @ model.weight * mean - size * variance
    return ((2 * cross + size * (mean.square() + variance)) / (2 * model.std**2)).mean(0)


def test_at_the_means_is_the_closed_form(dtype, device):
    model = LinearGaussian.random(4, 6, dtype=dtype)
    model.weight, model.bias = model.weight.to(device), model.bias.to(device)
    x = model.sample(600).to(device)
    gain = reconstruction_gain(model, x)
    assert (gain.shape, gain.dtype, gain.device.type) == ((4,), dtype, device.type)
    torch.testing.assert_close(gain, closed_form(model, x))


def test_over_samples_is_the_expectation():
    model, x = LinearGaussian.random(3, 5), LinearGaussian.random(3, 5).sample(50)
    exact, std = model.encode, torch.tensor([0.1, 0.5, 1.0]).double()
    model.encode = lambda x: Independent(Normal(exact(x).mean, std), 1)
    runs = torch.stack([reconstruction_gain(model, x, num_samples=10, seed=seed) for seed in range(20)])
    expected, accuracy = closed_form(model, x, std.square()), 4 * runs.std(0) / 20**0.5
    assert bool(((runs.mean(0) - expected).abs() < accuracy).all())
    assert bool(((closed_form(model, x) - expected).abs() > accuracy)[1:].all())


def test_a_latent_that_the_decoder_ignores_gains_nothing():
    model = LinearGaussian.random(3, 5)
    model.weight[:, 1] = 0
    gain = reconstruction_gain(model, model.sample(40), num_samples=3, seed=0)
    assert float(gain[1]) == 0
    assert bool((gain[[0, 2]] > 0.1).all())


@pytest.mark.parametrize("chunk_size", [1, 9, 10**6])
def test_does_not_depend_on_the_chunk_size(chunk_size):
    model = LinearGaussian.random(3, 5)
    x = model.sample(30)
    whole = reconstruction_gain(model, x, num_samples=2, seed=0)
    model.decoded.clear()
    chunked = reconstruction_gain(model, x, num_samples=2, chunk_size=chunk_size, seed=0)
    torch.testing.assert_close(chunked, whole, rtol=1e-12, atol=1e-12)
    rows = [len(z) for z in model.decoded]
    assert max(rows) <= chunk_size
    assert sum(rows) == 30 * 2 * (1 + 3)


def test_many_latents_and_data_are_decoded_in_pieces():
    dim = 100
    decoded = []
    model = SimpleNamespace(
        encode=lambda x: Normal(x, 1.0), decode=lambda z: decoded.append(z) or Normal(z, 1.0)
    )
    x = torch.randn(260, dim, dtype=torch.float64)
    gain = reconstruction_gain(model, x, chunk_size=10**9)
    torch.testing.assert_close(gain, 0.5 * x.square().mean(0))
    assert max(len(z) for z in decoded) <= 16_384


def test_of_a_plain_autoencoder_is_in_squared_errors():
    model = Autoencoder(nn.Linear(6, 2), nn.Linear(2, 6)).double()
    x = torch.rand(20, 6, dtype=torch.float64)
    z, normal = model.encode(x), (model(x) - x).square().sum(1)
    expected = []
    for i in range(2):
        without = z.clone()
        without[:, i] = 0
        expected.append(((model.decode(without) - x).square().sum(1) - normal).mean())
    torch.testing.assert_close(reconstruction_gain(model, x), torch.stack(expected).detach())


def test_of_a_bernoulli_model_is_in_nats():
    torch.manual_seed(0)
    vae = VAE(MLPEncoder(6, 2, hidden=(4,)), MLPDecoder(2, 6, hidden=(4,))).double()
    x = torch.rand(20, 6, dtype=torch.float64)
    mean = vae.encode(x).mean.detach()
    expected = [
        (vae.decode(mean).log_prob(x) - vae.decode(mean * keep).log_prob(x)).mean()
        for keep in (torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]))
    ]
    torch.testing.assert_close(reconstruction_gain(vae, x), torch.stack(expected).detach())
    assert not reconstruction_gain(vae, x).requires_grad
