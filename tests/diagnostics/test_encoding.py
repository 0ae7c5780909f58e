"""What all other diagnostics start from: the posteriors of a data set."""

from __future__ import annotations

import torch

from diagnostics.linear_gaussian import LinearGaussian
from latentgeo.diagnostics import encoded, latent_statistics
from latentgeo.models import VAE, MLPDecoder, MLPEncoder


def test_moments_are_those_of_the_posteriors_and_data_come_in_pieces(dtype):
    model = LinearGaussian.random(2, 3, dtype=dtype)
    x = model.sample(600)
    found = encoded(model, x, seed=0)
    assert max(model.encoded) <= 256
    posterior = model.encode(x)
    torch.testing.assert_close(found.means, posterior.mean)
    torch.testing.assert_close(found.variances, posterior.variance)
    assert not model.decoded


def test_samples_are_drawn_from_the_posteriors():
    model = LinearGaussian.random(2, 3)
    found = encoded(model, model.sample(20_000), seed=0)
    scores = (found.samples - found.means) / found.variances.sqrt()
    assert float(scores.mean(0).abs().max()) < 4 / 20_000**0.5
    torch.testing.assert_close(scores.var(0), torch.ones(2).double(), rtol=0.05, atol=0)
    # Over data of the model itself they are distributed as the prior.
    torch.testing.assert_close(torch.cov(found.samples.T), torch.eye(2).double(), rtol=0.05, atol=0.05)
    sums = latent_statistics(found.means, found.variances).stationary_sums
    torch.testing.assert_close(sums, torch.ones(2).double(), rtol=0.05, atol=0)


def test_a_seed_gives_the_same_again_and_no_gradient_is_kept():
    vae = VAE(MLPEncoder(6, 2, hidden=(4,)), MLPDecoder(2, 6, hidden=(4,)))
    x, before = torch.rand(10, 6), torch.get_rng_state()
    first, again, other = (encoded(vae, x, seed=seed).samples for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not first.requires_grad
