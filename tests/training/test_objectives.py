import pytest
import torch

from latentgeo.models import VAE, Autoencoder, MLPDecoder, MLPEncoder
from latentgeo.training import ELBO


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
