import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from latentgeo.models import VAE, Autoencoder, MLPDecoder, MLPEncoder
from latentgeo.training import ELBO, ReconstructionLoss


def model(likelihood="bernoulli"):
    return VAE(MLPEncoder(6, 2, hidden=(8,)), MLPDecoder(2, 6, hidden=(8,)), likelihood=likelihood).double()


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_elbo_is_the_formula_written_out(likelihood):
    vae, x = model(likelihood), torch.rand(5, 6, dtype=torch.float64)
    torch.manual_seed(0)
    loss = ELBO(beta=2.0)(vae, x)
    torch.manual_seed(0)
    posterior = vae.encode(x)
    mean, std = posterior.mean, posterior.stddev
    z = mean + std * torch.randn(5, 2, dtype=torch.float64)
    divergence = 0.5 * (mean**2 + std**2 - 1 - 2 * std.log()).sum(1)
    if likelihood == "bernoulli":
        p = torch.sigmoid(vae.decoder(z))
        score = (x * p.log() + (1 - x) * (1 - p).log()).sum(1)
    else:
        residual = x - vae.decoder(z)
        score = -0.5 * (residual**2 + torch.log(torch.tensor(2 * torch.pi))).sum(1)
    torch.testing.assert_close(loss, (2.0 * divergence - score).mean())


def test_elbo_bounds_the_log_likelihood_of_a_linear_gaussian_model():
    torch.manual_seed(0)
    vae = VAE(MLPEncoder(3, 2, hidden=()), MLPDecoder(2, 3, hidden=()), likelihood="gaussian").double()
    x = torch.randn(400, 3, dtype=torch.float64)
    layer = vae.decoder.net[0]
    covariance = layer.weight @ layer.weight.T + torch.eye(3, dtype=torch.float64)
    exact = torch.distributions.MultivariateNormal(layer.bias, covariance).log_prob(x).mean()
    bound = -torch.stack([ELBO()(vae, x) for _ in range(20)]).mean()
    assert bound < exact


def test_images_and_vectors_have_the_same_loss():
    vae, x = model(), torch.rand(5, 1, 2, 3, dtype=torch.float64)
    torch.manual_seed(0)
    images = ELBO()(vae, x)
    torch.manual_seed(0)
    torch.testing.assert_close(images, ELBO()(vae, x.flatten(1)))


@pytest.mark.usefixtures("unchecked")
def test_a_plain_autoencoder_is_refused():
    with pytest.raises(TypeError, match="Distribution, got Tensor"):
        ELBO()(Autoencoder(MLPEncoder(6, 2), MLPDecoder(2, 6)), torch.rand(5, 6))


def test_a_negative_beta_is_refused():
    with pytest.raises(ValueError, match="beta"):
        ELBO(beta=-1.0)


def test_parts_of_the_bound_can_be_left_out():
    vae, x = model(), torch.rand(5, 6, dtype=torch.float64)
    posterior = vae.encode(x)
    mean, variance = posterior.mean, posterior.variance
    error = -vae.decode(mean).log_prob(x)
    quadratic = 0.5 * mean.square().sum(1)
    rest = 0.5 * (variance - 1 - variance.log()).sum(1)
    without = {
        penalty: ELBO(3, sample=False, penalty=penalty)(vae, x) for penalty in ("kl", "quadratic", None)
    }
    torch.testing.assert_close(without[None], error.mean())
    torch.testing.assert_close(without["quadratic"], (error + 3 * quadratic).mean())
    torch.testing.assert_close(without["kl"], (error + 3 * (quadratic + rest)).mean())
    torch.manual_seed(0)
    sampled = ELBO(penalty="quadratic")(vae, x)
    torch.manual_seed(0)
    torch.testing.assert_close(sampled - ELBO(penalty=None)(vae, x), quadratic.mean() + 0 * sampled)


@pytest.mark.parametrize("event", [(6,), (1, 2, 3)])
def test_reconstruction_loss_is_the_negative_log_likelihood(event):
    torch.manual_seed(0)
    network = Autoencoder(MLPEncoder(6, 2), MLPDecoder(2, 6)).double()
    x = torch.rand(5, *event, dtype=torch.float64)
    output, flat = network(x), x.flatten(1)
    p = torch.sigmoid(output)
    cross_entropy = -(flat * p.log() + (1 - flat) * (1 - p).log()).sum(1).mean()
    torch.testing.assert_close(ReconstructionLoss("bernoulli")(network, x), cross_entropy)
    gaussian = -Normal(output, 1.0).log_prob(flat).sum(1).mean()
    torch.testing.assert_close(ReconstructionLoss("gaussian")(network, x), gaussian)


def test_reconstruction_loss_stands_beside_the_reconstruction_term_of_the_bound():
    for likelihood in ("bernoulli", "gaussian"):
        vae, x = model(likelihood), torch.rand(5, 6, dtype=torch.float64)
        plain = Autoencoder(vae.encoder, vae.decoder)
        torch.testing.assert_close(
            ReconstructionLoss(likelihood)(plain, x), ELBO(sample=False, penalty=None)(vae, x)
        )


@pytest.mark.usefixtures("unchecked")
def test_models_that_do_not_fit_are_named():
    class Factorized(nn.Module):
        def forward(self, x):
            return Normal(x[:, :2], torch.ones(2))

    x = torch.rand(5, 6)
    with pytest.raises(ValueError, match=r"encode\(x\) of 5 data to have batch shape \(5,\), got \(5, 2\)"):
        ELBO()(VAE(Factorized(), MLPDecoder(2, 6)), x)
    with pytest.raises(ValueError, match=r"x: .* event shape \(7,\), got \(5, 6\)"):
        ELBO()(VAE(MLPEncoder(6, 2), MLPDecoder(2, 7)), x)
    with pytest.raises(TypeError, match="to answer a tensor, got Independent"):
        ReconstructionLoss("bernoulli")(VAE(MLPEncoder(6, 2), MLPDecoder(2, 6)), x)
    with pytest.raises(ValueError, match=r"values of x, \(5, 6\), got \(5, 7\)"):
        ReconstructionLoss("gaussian")(Autoencoder(MLPEncoder(6, 2), MLPDecoder(2, 7)), x)


@pytest.mark.usefixtures("unchecked")
def test_bad_options_are_named():
    with pytest.raises(ValueError, match=r"beta: .* got nan"):
        ELBO(beta=math.nan)
    with pytest.raises(ValueError, match=r"penalty: .* got 'l2'"):
        ELBO(penalty="l2")
    with pytest.raises(ValueError, match=r"likelihood: .* got 'poisson'"):
        ReconstructionLoss("poisson")
