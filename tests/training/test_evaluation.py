import pytest
import torch
from torch import nn

from latentgeo.models import VAE, Autoencoder, MLPDecoder, MLPEncoder
from latentgeo.training import IWAE, ReconstructionLoss, evaluate


def vae():
    torch.manual_seed(0)
    return VAE(MLPEncoder(12, 2, hidden=(8,)), MLPDecoder(2, 12, hidden=(8,)))


@pytest.mark.parametrize("batch_size", [1, 7, 10, 50, 51, None])
def test_the_mean_does_not_depend_on_the_batches(batch_size):
    model = Autoencoder(nn.Linear(12, 2), nn.Linear(2, 12)).double()
    x, loss = torch.rand(50, 12, dtype=torch.float64), ReconstructionLoss("gaussian")
    found = evaluate(model, x, objective=loss, batch_size=batch_size)
    assert found == pytest.approx(float(loss(model, x).detach()), rel=1e-12)


def test_a_seed_decides_and_leaves_the_callers_generator_alone():
    model, x = vae(), torch.rand(50, 12)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    options = {"objective": IWAE(3), "transform": torch.bernoulli}
    first, same, other = (evaluate(model, x, **options, seed=seed) for seed in (1, 1, 2))
    assert first == same != other
    assert torch.equal(before, torch.get_rng_state())
    assert evaluate(model, x, **options) != evaluate(model, x, **options)


def test_the_model_is_left_as_it_is():
    class Watched(nn.Sequential):
        def forward(self, z):
            if self.training or torch.is_grad_enabled():
                raise AssertionError("expected eval mode and no gradients")
            return super().forward(z)

    model = VAE(MLPEncoder(12, 2), Watched(nn.Linear(2, 12), nn.BatchNorm1d(12), nn.Dropout()))
    model.train()
    model.decoder[2].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, torch.rand(50, 12))
    assert (model.training, model.decoder[1].training, model.decoder[2].training) == (True, True, False)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="batch_size"):
        evaluate(vae(), torch.rand(5, 12), batch_size=0)
    with pytest.raises(ValueError, match=r"data: .* N at least 1"):
        evaluate(vae(), torch.rand(0, 12))
