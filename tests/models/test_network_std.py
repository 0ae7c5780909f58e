import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import latentgeo as lg
import strategies
from latentgeo.models import VAE, ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder, NetworkStd
from latentgeo.training import ELBO


@given(strategies.batch_shapes(), strategies.dtypes(), st.floats(0.0, 6.0), st.sampled_from([0.0, 1e-3, 0.5]))
def test_it_is_positive_above_its_least_value_at_every_scale(batch, dtype, exponent, least):
    variance = NetworkStd(2, 5, hidden=(8,), min_std=least).to(dtype)
    std = variance.std(10.0**exponent * torch.randn(*batch, 2, dtype=dtype))
    assert (std.shape, std.dtype) == ((*batch, 5), dtype)
    assert bool(((std >= least) & (std > 0) & std.isfinite()).all())


def test_it_is_softplus_of_a_perceptron():
    variance, z = NetworkStd(2, 5, hidden=(8,), min_std=0.1), torch.randn(4, 2)
    h = variance.net.net[:-1](z)
    torch.testing.assert_close(variance.std(z), 0.1 + torch.log1p(h.exp()))


def test_it_learns_with_the_mean_where_the_noise_is():
    """Data whose noise depends on x: the standard deviation learned by the bound follows it."""
    torch.manual_seed(0)
    z = torch.rand(4000, 1) * 2 - 1
    noise = 0.1 + 0.4 * (z > 0)
    x = noise * torch.randn(4000, 1)
    variance = NetworkStd(1, 1, hidden=(16,))
    adam = torch.optim.Adam(variance.parameters(), lr=2e-2)
    for _ in range(150):
        loss = -torch.distributions.Normal(torch.zeros(1), variance.std(z)).log_prob(x).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    found = variance.std(torch.tensor([[-0.6], [0.6]])).flatten()
    torch.testing.assert_close(found, torch.tensor([0.1, 0.5]), rtol=0.2, atol=0.0)


def test_it_is_a_variance_of_images():
    model = VAE(
        ConvEncoder((1, 8, 8), 2, channels=(4,)),
        ConvDecoder(2, (1, 8, 8), channels=(4,)),
        likelihood="gaussian",
        variance=NetworkStd(2, 64, hidden=(8,)),
    )
    x = torch.rand(5, 1, 8, 8)
    assert model(x).base_dist.scale.shape == x.shape
    ELBO()(model, x).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_its_jacobian_is_part_of_the_expected_metric():
    model = VAE(
        MLPEncoder(6, 2),
        MLPDecoder(2, 6, hidden=(8,), activation=nn.Tanh),
        likelihood="gaussian",
        variance=NetworkStd(2, 6, hidden=(8,)),
    ).double()
    z = torch.randn(3, 2, dtype=torch.float64)
    of_mean, of_std = (lg.pullback_metric(f)(z) for f in (model.decoder, model.variance))
    torch.testing.assert_close(lg.expected_pullback_metric(model.decode)(z), of_mean + of_std)


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"min_std: .* got -1\.0"):
        NetworkStd(2, 5, min_std=-1.0)
    with pytest.raises(ValueError, match="hidden"):
        NetworkStd(2, 5, hidden=(0,))
    with pytest.raises(ValueError, match=r"variance: .* \(5, 6\), got \(5, 7\)"):
        VAE(MLPEncoder(6, 2), MLPDecoder(2, 6), likelihood="gaussian", variance=NetworkStd(2, 7)).decode(
            torch.zeros(5, 2)
        )
