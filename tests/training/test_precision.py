import numpy as np
import pytest
import torch
from torch import nn

import latentgeo.training.precision as precision_module
from latentgeo.data import load_digits
from latentgeo.models import VAE, ConstantStd, MLPDecoder, MLPEncoder, RBFPrecision
from latentgeo.training import ELBO, fit, fit_precision


@pytest.fixture(scope="module")
def images():
    return load_digits().of_classes((0, 1, 2), per_class=100).images


@pytest.fixture(scope="module")
def weights(images):
    """Weights of a Gaussian VAE trained on digits, for every test to load its own model from."""
    model = gaussian_vae()
    adam = torch.optim.Adam(model.parameters(), lr=3e-3)
    fit(model, images, epochs=60, batch_size=50, optimizer=adam, seed=0, progress=False)
    return model.state_dict()


def gaussian_vae():
    torch.manual_seed(0)
    return VAE(
        MLPEncoder(64, 2, hidden=(32,), activation=nn.Tanh),
        MLPDecoder(2, 64, hidden=(32,), activation=nn.Tanh, output_activation=nn.Sigmoid),
        likelihood="gaussian",
    )


@pytest.fixture
def model(weights):
    result = gaussian_vae().eval()
    result.load_state_dict(weights)
    return result


def bound(model, x):
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        return -float(torch.stack([ELBO()(model, x) for _ in range(10)]).mean())


def test_the_precision_becomes_the_models_variance(model, images):
    precision = fit_precision(model, images, num_centers=16, random_state=0)
    assert isinstance(precision, RBFPrecision)
    assert model.variance is precision
    assert not any(module.training for module in model.modules())
    assert model.decode(model.encode(images).mean).stddev.shape == (300, 64)


def test_std_far_from_the_data_is_more_than_ten_times_that_on_it(model, images):
    precision = fit_precision(model, images, num_centers=32, random_state=0)
    with torch.no_grad():
        on_data = precision.std(model.encode(images).mean).mean()
        far = precision.std(torch.tensor([[50.0, 50.0]])).mean()
    assert far > 10 * on_data


def test_the_bound_improves_on_the_constant_variance(model, images):
    before = bound(model, images)
    fit_precision(model, images, num_centers=32, a=2.0, random_state=0)
    assert bound(model, images) > before + 10


def test_steps_never_increase_the_objective_and_converge(model, images):
    scores = [
        bound_of_precision(
            fit_precision(model, images, num_centers=16, epochs=epochs, random_state=0), model, images
        )
        for epochs in (1, 2, 5, 30, 60)
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[3] - scores[4] < 0.01 * (scores[0] - scores[3])


def bound_of_precision(precision, model, images, min_std=1e-2):
    """The objective that fit_precision documents, at its own latent points."""
    with torch.no_grad():
        z, square = latents_and_squares(model, images, min_std)
        beta = precision(z).double()
        return float(0.5 * (beta * square - beta.log()).sum(1).mean())


def latents_and_squares(model, images, min_std=1e-2):
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(int(np.random.RandomState(0).randint(2**31)))
        posterior = model.encode(images)
        z = torch.cat([posterior.mean, posterior.rsample()])
        return z, (images.flatten(1).repeat(2, 1) - model.decoder(z)).square() + min_std**2


def test_it_agrees_with_gradient_descent_on_the_same_objective(model, images):
    precision = fit_precision(model, images, num_centers=8, epochs=200, random_state=0)
    reached = bound_of_precision(precision, model, images)
    z, square = latents_and_squares(model, images)
    adam = torch.optim.Adam(precision.parameters(), lr=0.02)
    for _ in range(100):
        beta = precision(z)
        loss = 0.5 * (beta * square - beta.log()).sum(1).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert bound_of_precision(precision, model, images) == pytest.approx(reached, abs=0.05)


def test_a_known_standard_deviation_is_recovered():
    """The decoder's mean is zero and the data have std 0.1 left and 0.4 right of the origin."""

    class Identity(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(1e-4))

        def forward(self, x):
            normal = torch.distributions.Normal(x[:, :2], self.scale.expand(len(x), 2))
            return torch.distributions.Independent(normal, 1)

    class Zero(nn.Module):
        def forward(self, z):
            return 0.0 * z[:, :1].expand(-1, 4).repeat(1, 2)

    generator = torch.Generator().manual_seed(0)
    side = torch.tensor([-3.0, 3.0]).repeat_interleave(2000)
    z = torch.randn(4000, 2, generator=generator) * 0.3 + torch.stack([side, torch.zeros(4000)], 1)
    std = torch.where(side < 0, 0.1, 0.4).unsqueeze(1)
    noise = torch.randn(4000, 8, generator=generator) * std
    # The first two values are the latent point itself; the decoder explains none of them.
    x = torch.cat([z, noise[:, 2:]], dim=1)
    model = VAE(Identity(), Zero(), likelihood="gaussian")
    precision = fit_precision(model, x, num_centers=16, a=2.0, random_state=0)
    found = precision.std(torch.tensor([[-3.0, 0.0], [3.0, 0.0]]))[:, 2:].mean(1)
    torch.testing.assert_close(found, torch.tensor([0.1, 0.4]), rtol=0.1, atol=0.0)


def test_nothing_else_in_the_model_changes(model, images):
    parts = {name: value.clone() for name, value in model.state_dict().items() if "variance" not in name}
    flags = [value.requires_grad for value in model.encoder.parameters()]
    fit_precision(model, images, num_centers=8, random_state=0)
    for name, value in parts.items():
        assert torch.equal(value, model.state_dict()[name])
    assert [value.requires_grad for value in model.encoder.parameters()] == flags
    assert all(value.requires_grad and value.grad is None for value in model.variance.parameters())


def test_equal_random_states_give_equal_precisions_and_leave_torch_alone(model, images):
    before = torch.get_rng_state()
    first = fit_precision(model, images, num_centers=8, random_state=1)
    second = fit_precision(model, images, num_centers=8, random_state=np.random.RandomState(1))
    assert torch.equal(first.log_weight, second.log_weight)
    assert torch.equal(before, torch.get_rng_state())


def test_posteriors_wider_than_the_functions_give_a_precision_of_the_datas_size(images):
    model = gaussian_vae()  # untrained: means close together, samples far from them
    with torch.no_grad():
        std = fit_precision(model, images, num_centers=32, random_state=0).std(model.encode(images).mean)
    assert float(std.min()) > 1e-3


def test_data_the_decoder_explains_exactly_give_a_finite_precision(images):
    model = gaussian_vae()
    with torch.no_grad():
        exact = model.decoder(model.encode(images).mean)
    precision = fit_precision(model, exact, num_centers=8, random_state=0)
    std = precision.std(model.encode(exact).mean)
    assert bool((std.isfinite() & (std > 0)).all())


def test_as_many_centres_as_points_give_a_finite_precision(model, images):
    precision = fit_precision(model, images[:40], num_centers=40, random_state=0)
    assert bool(precision.log_weight.isfinite().all())
    assert bool(precision.std(model.encode(images).mean).isfinite().all())


def test_functions_that_do_not_reach_the_data_are_refused(model, images):
    before = model.variance
    with pytest.raises(ValueError, match=r"a: expected functions wide enough .* with a=0\.0001"):
        fit_precision(model, images, num_centers=8, a=1e-4, epochs=2, random_state=0)
    assert model.variance is before


def test_an_output_explained_exactly_needs_a_smallest_deviation(images):
    model = gaussian_vae()
    with torch.no_grad():
        model.decoder.net[-2].weight[5] = 0  # the output is one half everywhere
        model.decoder.net[-2].bias[5] = 0
    x, before = images.clone().flatten(1), model.variance
    x[:, 5] = 0.5
    with pytest.raises(ValueError, match=r"min_std: expected a positive .* got 0\.0"):
        fit_precision(model, x, num_centers=8, min_std=0.0, random_state=0)
    assert model.variance is before


def test_the_size_of_the_parts_does_not_matter(model, images, monkeypatch):
    whole = fit_precision(model, images, num_centers=8, epochs=1, random_state=0)
    at_once, basis = [], RBFPrecision.basis
    monkeypatch.setattr(RBFPrecision, "basis", lambda self, z: at_once.append(len(z)) or basis(self, z))
    monkeypatch.setattr(precision_module, "_CHUNK_ROWS", 128)
    parts = fit_precision(model, images, num_centers=8, epochs=1, random_state=0)
    assert max(at_once) <= 128
    torch.testing.assert_close(parts.log_weight, whole.log_weight)


def test_numpy_data_are_taken(model, images):
    fit_precision(model, images.double().numpy(), num_centers=8, epochs=2, random_state=0)


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named(model, images):
    with pytest.raises(ValueError, match="likelihood='gaussian', got 'bernoulli'"):
        fit_precision(VAE(MLPEncoder(64, 2), MLPDecoder(2, 64)), images)
    with pytest.raises(ValueError, match="epochs"):
        fit_precision(model, images, epochs=0)
    with pytest.raises(ValueError, match="min_std"):
        fit_precision(model, images, min_std=-1.0)
    with pytest.raises(ValueError, match="distinct points"):
        fit_precision(model, images[:10], num_centers=11)
    with pytest.raises(ValueError, match=r"data: .* NaN"):
        fit_precision(model, torch.full((50, 64), torch.nan))
    assert isinstance(model.variance, ConstantStd)
