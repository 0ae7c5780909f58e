import pytest
import torch
from torch import nn

from latentgeo.models import MLPDecoder, MLPEncoder


@pytest.mark.parametrize("shape", [(5, 64), (5, 1, 8, 8), (2, 3, 64), (64,)])
def test_encoder_takes_vectors_and_images(shape):
    posterior = MLPEncoder(64, 3, hidden=(16,))(torch.rand(shape))
    batch = shape[:1] if len(shape) == 4 else shape[:-1]
    assert posterior.batch_shape == batch
    assert posterior.event_shape == (3,)
    assert bool((posterior.stddev > 0).all())


def test_without_hidden_layers_the_posterior_mean_is_affine():
    encoder = MLPEncoder(4, 2, hidden=())
    u, v = torch.randn(2, 1, 4)
    torch.testing.assert_close(encoder((u + v) / 2).mean, (encoder(u).mean + encoder(v).mean) / 2)


def test_an_image_is_encoded_as_its_flat_vector():
    encoder = MLPEncoder(64, 2, hidden=(16,))
    x = torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(encoder(x).mean, encoder(x.flatten(1)).mean)


@pytest.mark.parametrize("leading", [(), (5,), (2, 5)])
def test_decoder_keeps_leading_dimensions(leading):
    decoder = MLPDecoder(2, 7, hidden=(16, 8), activation=nn.Tanh, output_activation=nn.Sigmoid)
    out = decoder(torch.randn(*leading, 2))
    assert out.shape == (*leading, 7)
    assert bool(((out > 0) & (out < 1)).all())


def test_without_hidden_layers_the_decoder_is_affine():
    decoder = MLPDecoder(2, 3, hidden=())
    u, v = torch.randn(2, 1, 2)
    torch.testing.assert_close(decoder((u + v) / 2), (decoder(u) + decoder(v)) / 2)


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="latent_dim"):
        MLPEncoder(4, 0)
    with pytest.raises(ValueError, match="hidden"):
        MLPDecoder(2, 4, hidden=(8, 0))
    with pytest.raises(ValueError, match=r"x: expected shape .* got \(5, 3\)"):
        MLPEncoder(4, 2)(torch.zeros(5, 3))
    with pytest.raises(ValueError, match=r"z: expected shape .* got \(5, 3\)"):
        MLPDecoder(2, 4)(torch.zeros(5, 3))
