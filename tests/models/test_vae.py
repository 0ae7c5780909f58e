import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal

from latentgeo.models import (
    VAE,
    Autoencoder,
    ConstantStd,
    MLPDecoder,
    MLPEncoder,
    NetworkStd,
    RBFPrecision,
)


def vae(likelihood, variance=None):
    return VAE(
        MLPEncoder(6, 2, hidden=(8,)), MLPDecoder(2, 6, hidden=(8,)), likelihood=likelihood, variance=variance
    )


def rbf(out_features=6):
    return RBFPrecision(torch.randn(3, 2), torch.ones(3), out_features, zeta=0.1)


class ImageDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = MLPDecoder(2, 6, hidden=(8,))

    def forward(self, z):
        return self.mlp(z).reshape(-1, 1, 2, 3)


def test_bernoulli_likelihood_has_the_decoders_outputs_for_logits():
    model, z = vae("bernoulli"), torch.randn(4, 2)
    base = model.decode(z).base_dist
    assert isinstance(base, Bernoulli)
    torch.testing.assert_close(base.logits, model.decoder(z))


@pytest.mark.parametrize("leading", [(), (4,), (2, 4)])
@pytest.mark.parametrize("variance", [None, ConstantStd(0.3, learnable=False), rbf()])
def test_gaussian_likelihood_has_mean_and_std_of_the_outputs_shape(variance, leading):
    model, z = vae("gaussian", variance), torch.randn(*leading, 2)
    likelihood = model.decode(z)
    assert isinstance(likelihood.base_dist, Normal)
    assert likelihood.batch_shape == leading
    assert likelihood.event_shape == (6,)
    torch.testing.assert_close(likelihood.base_dist.scale, model.variance.std(z).expand(*leading, 6))


@pytest.mark.parametrize(
    ("likelihood", "variance"), [("bernoulli", None), ("gaussian", None), ("gaussian", rbf())]
)
def test_a_decoder_of_images_gives_a_likelihood_of_images(likelihood, variance):
    model = VAE(MLPEncoder(6, 2), ImageDecoder(), likelihood=likelihood, variance=variance)
    result = model(torch.rand(4, 1, 2, 3))
    assert result.batch_shape == (4,)
    assert result.event_shape == (1, 2, 3)


@pytest.mark.parametrize("variance", [None, rbf()])
def test_mean_and_std_have_forward_mode_and_double_backward(variance):
    model = vae("gaussian", variance).double()

    def outputs(z):
        base = model.decode(z).base_dist
        return torch.cat([base.loc, base.scale], dim=-1)

    z, v = torch.randn(2, 3, 2, dtype=torch.float64)
    _, forward = torch.func.jvp(outputs, (z,), (v,))
    small = 1e-6
    torch.testing.assert_close(forward, (outputs(z + small * v) - outputs(z - small * v)) / (2 * small))
    jacobians = torch.func.vmap(torch.func.jacfwd(outputs))(z)
    torch.testing.assert_close(torch.einsum("noi,ni->no", jacobians, v), forward)


@pytest.mark.parametrize("variance", [None, NetworkStd(2, 6, hidden=()), rbf()])
def test_under_autocast_a_gaussian_density_is_computed_in_the_dtype_of_the_latents(variance):
    model, z = vae("gaussian", variance), torch.randn(50, 2)
    with torch.autocast("cpu", torch.bfloat16):
        base = model.decode(z).base_dist
        assert base.loc.dtype == base.scale.dtype == torch.float32
        score = base.log_prob(torch.zeros(50, 6))
    torch.testing.assert_close(score, Normal(base.loc, base.scale).log_prob(torch.zeros(50, 6)))


def test_grey_levels_have_a_bernoulli_score():
    assert bool(vae("bernoulli").decode(torch.zeros(4, 2)).log_prob(torch.rand(4, 6)).isfinite().all())


def test_autoencoder_decodes_what_it_encodes():
    model = Autoencoder(MLPEncoder(6, 2, hidden=(8,)), MLPDecoder(2, 6, hidden=(8,)))
    x = torch.rand(4, 6)
    assert model.encode(x).shape == (4, 2)
    torch.testing.assert_close(model(x), model.decode(model.encode(x)))


def test_autoencoder_takes_an_encoder_of_tensors():
    model = Autoencoder(nn.Linear(6, 2), nn.Linear(2, 6))
    assert model(torch.rand(4, 6)).shape == (4, 6)


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"likelihood: .* got 'poisson'"):
        vae("poisson")
    with pytest.raises(ValueError, match="variance"):
        vae("bernoulli", ConstantStd())
    with pytest.raises(TypeError, match=r"variance: .* got Linear"):
        vae("gaussian", nn.Linear(2, 6))
    with pytest.raises(ValueError, match=r"value: .* got 0\.0"):
        ConstantStd(0.0)


def test_constant_std_is_learned_only_where_asked():
    assert len(list(ConstantStd().parameters())) == 1
    assert not list(ConstantStd(learnable=False).parameters())
