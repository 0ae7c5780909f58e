import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, StudentT, kl_divergence

from latentgeo.models import VAE, Autoencoder, ConstantStd, MLPDecoder, MLPEncoder
from latentgeo.training import ELBO, IWAE, Renyi, log_weights, renyi_bound
from latentgeo.training.weights import log_likelihoods


def model(likelihood="bernoulli", seed=0):
    torch.manual_seed(seed)
    return VAE(MLPEncoder(6, 2, hidden=(8,)), MLPDecoder(2, 6, hidden=(8,)), likelihood=likelihood).double()


def images(rows=5):
    return torch.rand(rows, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def linear_gaussian(std=0.5):
    """A model whose log-likelihood is known, x = W z + b + std ε, and that distribution."""
    torch.manual_seed(0)
    variance = ConstantStd(std, learnable=False)
    encoder, decoder = MLPEncoder(3, 2, hidden=()), MLPDecoder(2, 3, hidden=())
    vae = VAE(encoder, decoder, likelihood="gaussian", variance=variance).double()
    layer = decoder.net[0]
    covariance = layer.weight @ layer.weight.T + std**2 * torch.eye(3, dtype=torch.float64)
    return vae, MultivariateNormal(layer.bias.detach(), covariance.detach())


class Posterior(nn.Module):
    """The posterior of a linear Gaussian model, exact, or moved and widened by a factor."""

    def __init__(self, decoder, std, *, moved=0.0, widened=1.0):
        super().__init__()
        self.layer, self.std, self.moved, self.widened = decoder.net[0], std, moved, widened

    def forward(self, x):
        w = self.layer.weight
        precision = torch.eye(2, dtype=x.dtype) + w.T @ w / self.std**2
        mean = torch.linalg.solve(precision, w.T @ (x - self.layer.bias).T / self.std**2).T
        return MultivariateNormal(mean + self.moved, precision_matrix=precision / self.widened**2)


def gradients(objective, vae, x, seed=0):
    torch.manual_seed(seed)
    vae.zero_grad()
    loss = objective(vae, x)
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in vae.parameters() if p.grad is not None]


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_log_weights_are_the_formula_written_out(likelihood):
    vae, x = model(likelihood), images()
    torch.manual_seed(0)
    logs = log_weights(vae, x, 7)
    torch.manual_seed(0)
    posterior = vae.encode(x)
    noise = torch.randn(7, 5, 2, dtype=torch.float64)
    z = posterior.mean + posterior.stddev * noise
    if likelihood == "bernoulli":
        p = torch.sigmoid(vae.decoder(z))
        score = (x * p.log() + (1 - x) * (1 - p).log()).sum(-1)
    else:
        score = Normal(vae.decoder(z), 1.0).log_prob(x).sum(-1)
    prior = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
    q = -(0.5 * (noise.square() + math.log(2 * math.pi)) + posterior.stddev.log()).sum(-1)
    expected = score + prior - q
    torch.testing.assert_close(logs, expected)
    parameters = [*vae.encoder.parameters(), *vae.decoder.parameters()]
    ours, theirs = (torch.autograd.grad(value.exp().sum(), parameters) for value in (logs, expected))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("event", [(6,), (1, 2, 3)])
@pytest.mark.parametrize("leading", [(), (4,), (2, 3)])
def test_the_likelihood_of_a_bernoulli_decoder_is_its_log_prob(event, leading):
    vae = VAE(MLPEncoder(6, 2), nn.Sequential(MLPDecoder(2, 6), nn.Unflatten(1, event))).double()
    z, x = torch.randn(*leading, 5, 2, dtype=torch.float64), images()
    expected = vae.decode(z).log_prob(x.reshape(5, *event))
    torch.testing.assert_close(log_likelihoods(vae, z, x), expected)
    torch.testing.assert_close(
        torch.autograd.grad(log_likelihoods(vae, z, x).sum(), vae.decoder.parameters()),
        torch.autograd.grad(expected.sum(), vae.decoder.parameters()),
    )


def test_with_the_exact_posterior_every_weight_is_the_likelihood():
    vae, exact = linear_gaussian()
    vae.encoder = Posterior(vae.decoder, 0.5)
    x = torch.randn(8, 3, dtype=torch.float64)
    logs = log_weights(vae, x, 5)
    torch.testing.assert_close(logs, exact.log_prob(x).expand(5, 8))
    for alpha in (-math.inf, -1.0, 0.0, 1.0, 3.0):
        torch.testing.assert_close(-Renyi(alpha, 5)(vae, x), exact.log_prob(x).mean())


def test_importance_weighted_bounds_tighten_from_below_to_the_exact_log_likelihood():
    vae, exact = linear_gaussian()
    vae.encoder = Posterior(vae.decoder, 0.5, moved=0.3, widened=1.5)
    torch.manual_seed(0)
    x = exact.sample((100,))
    gaps, errors = [], []
    with torch.no_grad():
        truth = float(exact.log_prob(x).mean())
        divergence = kl_divergence(vae.encode(x), Posterior(vae.decoder, 0.5)(x)).mean()
        for samples in (1, 10, 100, 1000):
            bounds = -torch.stack([IWAE(samples)(vae, x) for _ in range(20)])
            gaps.append(truth - float(bounds.mean()))
            errors.append(float(bounds.std()) / math.sqrt(20))
    # With one sample the gap is the divergence from the posterior; with many it falls as 1 / S.
    assert abs(gaps[0] - float(divergence)) < 4 * errors[0]
    assert all(after < 0.2 * before for before, after in pairwise(gaps[:3]))
    assert abs(gaps[3]) < 4 * errors[3] + 0.01 * gaps[0]
    assert all(gap > -4 * error for gap, error in zip(gaps, errors, strict=True))


def test_one_importance_weighted_sample_is_the_sampled_evidence_lower_bound():
    vae, x = model(), images()
    torch.manual_seed(0)
    posterior = vae.encode(x)
    z = posterior.rsample()
    likelihood = vae.decode(z).log_prob(x)
    expected = -(likelihood + vae.prior(z).log_prob(z) - posterior.log_prob(z)).mean()
    for objective in (IWAE(1), Renyi(1.0, 1), Renyi(-math.inf, 1), Renyi(5, 1)):
        torch.manual_seed(0)
        torch.testing.assert_close(objective(vae, x), expected)
    # Its mean is that of the bound with the divergence in closed form.
    torch.manual_seed(0)
    with torch.no_grad():
        sampled = torch.stack([IWAE(1)(vae, x) for _ in range(600)])
        closed = torch.stack([ELBO()(vae, x) for _ in range(600)])
    error = math.sqrt((sampled.var() + closed.var()) / 600)
    assert abs(float(sampled.mean() - closed.mean())) < 4 * error


@pytest.mark.parametrize("alpha", [-math.inf, -2, 0, 0.5, 1, 2, math.inf])
def test_renyi_is_the_bound_of_its_log_weights(alpha):
    vae, x = model("gaussian"), images()
    torch.manual_seed(0)
    expected = -renyi_bound(log_weights(vae, x, 6), alpha).mean()
    torch.manual_seed(0)
    assert torch.equal(Renyi(alpha, 6)(vae, x), expected)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_vr_max_through_one_sample_has_the_gradient_of_the_maximum(likelihood):
    vae, x = model(likelihood), images(20)
    everything, whole = gradients(Renyi(-math.inf, 8), vae, x)
    single, one = gradients(Renyi(-math.inf, 8, backward="one"), vae, x)
    torch.testing.assert_close(single, everything)
    assert len(one) == len(whole)
    for ours, theirs in zip(one, whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 1.0])
def test_the_gradient_through_one_sample_is_unbiased(alpha):
    # Many copies of a datum: the gradient of their mean is the mean of the gradient.
    vae, x = model(), images(1).expand(40_000, 6)

    def gap(first, second):
        return math.sqrt(sum(float((a - b).square().sum()) for a, b in zip(first, second, strict=True)))

    loss, one = gradients(Renyi(alpha, 4, backward="one"), vae, x)
    expected, whole = gradients(Renyi(alpha, 4), vae, x, seed=1)
    _, other = gradients(Renyi(alpha + 2.0, 4), vae, x, seed=1)
    assert gap(one, whole) < 0.25 * gap(one, other)
    torch.testing.assert_close(loss, expected, rtol=0.01, atol=0)


def test_through_one_sample_the_decoder_keeps_one_row_a_datum_for_the_backward_pass():
    vae, x, graphs = model(), images(), []

    def count(module, inputs, output):
        graphs.append((len(output), output.requires_grad))

    vae.decoder.net[-1].register_forward_hook(count)
    Renyi(-math.inf, 8, backward="one")(vae, x).backward()
    assert graphs == [(40, False), (5, True)]


def test_without_gradients_both_ways_are_the_bound():
    vae, x = model(), images()
    with torch.no_grad():
        torch.manual_seed(0)
        one = Renyi(-1.0, 8, backward="one")(vae, x)
        torch.manual_seed(0)
        assert torch.equal(one, Renyi(-1.0, 8)(vae, x))


def test_a_spoilt_model_gives_a_loss_that_shows_it():
    vae, x = model(), images()
    with torch.no_grad():
        vae.decoder.net[0].bias.fill_(math.nan)
    for objective in (IWAE(3), Renyi(-math.inf, 3, backward="one"), Renyi(1.0, 3)):
        assert bool(objective(vae, x).isnan())


@pytest.mark.parametrize("objective", [IWAE(4), Renyi(-math.inf, 4, backward="one"), Renyi(-1.0, 4), ELBO()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_decoders_of_one_batch_dimension_serve(objective, dtype):
    class Convolutional(nn.Sequential):
        def forward(self, z):
            if z.dim() != 2:
                raise AssertionError(f"called with {tuple(z.shape)}")
            return super().forward(z)

    decoder = Convolutional(nn.Linear(2, 8), nn.Unflatten(1, (2, 2, 2)), nn.ConvTranspose2d(2, 1, 3))
    vae = VAE(MLPEncoder(16, 2), decoder).to(dtype)
    x = torch.rand(5, 1, 4, 4, dtype=dtype)
    loss, found = gradients(objective, vae, x)
    assert loss.dtype == dtype
    assert all(bool(g.isfinite().all()) for g in found)


def test_families_without_a_closed_divergence_can_be_trained():
    class Heavy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 4)

        def forward(self, x):
            mean, log_scale = self.layer(x).chunk(2, -1)
            return Independent(StudentT(torch.full_like(mean, 9.0), mean, log_scale.exp()), 1)

    vae, x = VAE(Heavy(), MLPDecoder(2, 6)).double(), images(200)
    torch.manual_seed(0)
    with torch.no_grad():
        estimate = torch.stack([ELBO()(vae, x) for _ in range(300)])
        other = torch.stack([Renyi(1.0, 3)(vae, x) for _ in range(300)])
    error = math.sqrt((estimate.var() + other.var()) / 300)
    assert abs(float(estimate.mean() - other.mean())) < 4 * error
    with pytest.raises(NotImplementedError):
        ELBO(sample=False)(vae, x)


@pytest.mark.parametrize("backward", ["all", "one"])
def test_under_autocast_every_parameter_has_a_gradient(backward):
    # Until torch 2.10 the weights that autocast had cast without a graph served the pass with one too.
    vae, x = model().float(), images().float()
    with torch.autocast("cpu", torch.bfloat16):
        loss = Renyi(-math.inf, 4, backward=backward)(vae, x)
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in vae.parameters())


@pytest.mark.usefixtures("unchecked")
def test_numbers_of_numpy_are_numbers_of_samples():
    assert bool(IWAE(np.int64(5))(model(), images()).isfinite())


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named():
    for samples in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="num_samples: expected a positive integer"):
            IWAE(samples)
        with pytest.raises(ValueError, match="num_samples: expected a positive integer"):
            Renyi(0.0, samples)
    with pytest.raises(ValueError, match="num_samples"):
        log_weights(model(), images(), 0)
    with pytest.raises(ValueError, match=r"alpha: .* nan"):
        Renyi(math.nan, 5)
    with pytest.raises(ValueError, match=r"backward: .* got 'some'"):
        Renyi(0.0, 5, backward="some")
    with pytest.raises(TypeError, match="Distribution, got Tensor"):
        IWAE(2)(Autoencoder(MLPEncoder(6, 2), MLPDecoder(2, 6)), images().float())
