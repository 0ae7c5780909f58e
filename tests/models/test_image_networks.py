"""What holds for the encoders and decoders of images alike: shapes, rows, gradients, the metric of a decoder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import latentgeo as lg
import strategies
from latentgeo.models import (
    VAE,
    Autoencoder,
    ConvDecoder,
    ConvEncoder,
    LeNet5Decoder,
    LeNet5Encoder,
    ResNet18Decoder,
    ResNet18Encoder,
)
from latentgeo.training import ELBO

Network = Callable[..., nn.Module]


def _small(network: Network, **sizes: object) -> Network:
    return lambda *args, **options: network(*args, **(sizes | options))


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(2, channels)


PAIRS: dict[str, tuple[Network, Network]] = {
    "conv": (_small(ConvEncoder, channels=(4, 6, 3)), _small(ConvDecoder, channels=(3, 6, 4))),
    "lenet5": (LeNet5Encoder, LeNet5Decoder),
    "resnet18": (_small(ResNet18Encoder, width=2), _small(ResNet18Decoder, width=2)),
    "resnet18 with GroupNorm": (
        _small(ResNet18Encoder, width=2, normalization=_group_norm),
        _small(ResNet18Decoder, width=2, normalization=_group_norm),
    ),
}


@pytest.fixture(params=PAIRS.values(), ids=PAIRS)
def pair(request: pytest.FixtureRequest) -> tuple[Network, Network]:
    torch.manual_seed(0)
    return request.param


@pytest.mark.parametrize("name", ["conv", "lenet5", "resnet18"])
@given(st.sampled_from((1, 3)), st.integers(8, 32), st.integers(8, 32), strategies.batch_shapes(), st.data())
def test_any_sides_any_batch_any_dtype(name, channels, height, width, batch, data):
    dtype, dim = data.draw(strategies.dtypes()), data.draw(st.integers(1, 5))
    shape = (channels, height, width)
    encoder, decoder = PAIRS[name][0](shape, dim), PAIRS[name][1](dim, shape)
    posterior = encoder.to(dtype).eval()(torch.zeros(*batch, *shape, dtype=dtype))
    assert (posterior.batch_shape, posterior.event_shape, posterior.mean.dtype) == (batch, (dim,), dtype)
    images = decoder.to(dtype).eval()(torch.zeros(*batch, dim, dtype=dtype))
    assert (images.shape, images.dtype) == ((*batch, *shape), dtype)


def test_a_decoder_passes_through_the_sides_of_its_encoder(pair):
    """13 and 9 are halved with remainders."""
    encoder, decoder = pair[0]((2, 13, 9), 3).eval(), pair[1](3, (2, 13, 9)).eval()

    def sides(network: nn.Module, x: torch.Tensor) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = []

        def note(*call: object) -> None:
            size = tuple(call[-1].shape[2:])
            if len(size) == 2 and size not in found:
                found.append(size)

        hooks = [layer.register_forward_hook(note) for layer in network.children()]
        network(x)
        for hook in hooks:
            hook.remove()
        return found

    down = sides(encoder.features, torch.zeros(1, 2, 13, 9))
    up = sides(decoder.net, torch.zeros(1, 3))
    # The encoders' first layer keeps the sides, or is the first to halve them.
    expected = [size for size in down if size != (1, 1)][::-1]
    assert [size for size in up if size in expected] == expected
    assert up[-1] == (13, 9)


def test_an_encoder_sees_the_image_as_it_is(pair):
    encoder, x = pair[0]((3, 9, 13), 2).eval(), torch.rand(4, 3, 9, 13)
    torch.testing.assert_close(encoder(x).mean, encoder.head(encoder.features(x)).mean)


def test_flat_images_and_numbers_of_pixels_serve_too(pair):
    encoder = pair[0](3 * 16 * 16, 2).eval()
    x = torch.rand(2, 4, 3, 16, 16)
    torch.testing.assert_close(encoder(x).mean, encoder(x.flatten(-3)).mean)
    assert pair[1](2, 256).eval()(torch.zeros(5, 2)).shape == (5, 1, 16, 16)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [np.prod((1, 8, 8)), np.array((1, 8, 8))])
def test_numbers_of_numpy_are_sizes_too(shape):
    assert ConvEncoder(shape, np.int64(2), channels=(4,))(torch.zeros(5, 64)).mean.shape == (5, 2)


def test_rows_do_not_influence_one_another_in_eval_mode(pair, device):
    encoder, decoder = (
        network.double().to(device) for network in (pair[0]((1, 8, 10), 3), pair[1](3, (1, 8, 10)))
    )
    x = torch.rand(5, 1, 8, 10, dtype=torch.float64, device=device)
    z = torch.randn(5, 3, dtype=torch.float64, device=device)
    encoder(x), decoder(z)  # in training mode: BatchNorm's statistics are no longer those it began with
    encoder.eval(), decoder.eval()
    torch.testing.assert_close(encoder(x).mean, torch.cat([encoder(row).mean for row in x.split(1)]))
    torch.testing.assert_close(decoder(z), torch.cat([decoder(row) for row in z.split(1)]))


@pytest.mark.parametrize("posterior", ["diagonal", "chain", "grid"])
def test_every_posterior_trains_every_parameter(pair, posterior):
    model = VAE(pair[0]((1, 8, 8), 4, posterior=posterior), pair[1](4, (1, 8, 8)))
    ELBO()(model, torch.rand(6, 1, 8, 8)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


def test_a_step_along_the_gradient_lowers_the_error(pair):
    model = Autoencoder(pair[0]((1, 8, 8), 4, activation=nn.SiLU), pair[1](4, (1, 8, 8), activation=nn.SiLU))
    x = torch.rand(6, 1, 8, 8)

    def error() -> torch.Tensor:
        return (model(x) - x).square().mean()

    before = error()
    before.backward()
    torch.optim.SGD(model.parameters(), lr=1e-3).step()
    assert error() < before


def test_weights_come_back_from_a_state_dict(pair):
    ours, theirs = (VAE(pair[0]((1, 8, 8), 2), pair[1](2, (1, 8, 8))) for _ in range(2))
    x = torch.rand(4, 1, 8, 8)
    ours(x)  # BatchNorm's statistics are part of the state
    theirs.load_state_dict(ours.state_dict())
    ours.eval(), theirs.eval()
    assert torch.equal(ours(x).mean, theirs(x).mean)


def test_a_smooth_decoder_has_the_pullback_metric_of_its_jacobian(pair):
    decoder = pair[1](2, (1, 8, 9), activation=nn.SiLU, output_activation=nn.Sigmoid).double()
    decoder(torch.randn(8, 2, dtype=torch.float64))
    decoder.eval()
    z, small = torch.randn(3, 2, dtype=torch.float64), 1e-5
    with torch.no_grad():
        columns = [
            (decoder(z + small * e) - decoder(z - small * e)).flatten(1) / (2 * small) for e in torch.eye(2)
        ]
    jacobian = torch.stack(columns, dim=2)
    torch.testing.assert_close(lg.pullback_metric(decoder)(z), jacobian.mT @ jacobian, rtol=1e-6, atol=1e-12)


def test_a_smooth_decoder_has_geodesic_acceleration(pair):
    """Second derivatives: -G⁻¹ Jᵀ D²f(v, v), with D²f(v, v) by second differences."""
    decoder = pair[1](2, (1, 8, 9), activation=nn.SiLU).double().eval().requires_grad_(False)
    z, v, small = *torch.randn(2, 3, 2, dtype=torch.float64), 1e-4
    ahead, here, behind = (decoder(z + s * small * v).flatten(1) for s in (1, 0, -1))
    jacobian = torch.func.vmap(torch.func.jacrev(lambda point: decoder(point).flatten()))(z)
    bend = jacobian.mT @ ((ahead - 2 * here + behind) / small**2).unsqueeze(2)
    expected = -torch.linalg.solve(jacobian.mT @ jacobian, bend).squeeze(2)
    found = lg.geodesic_acceleration(lg.pullback_metric(decoder), z, v)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))


def test_batch_norm_in_training_mode_has_no_metric():
    with pytest.raises(ValueError, match="BatchNorm"):
        lg.pullback_metric(ResNet18Decoder(2, (1, 8, 8), width=2))


@pytest.mark.parametrize("encoder", [ConvEncoder, LeNet5Encoder, ResNet18Encoder])
@pytest.mark.parametrize(
    ("shape", "part"),
    [
        ((1, 7, 28), r"got \(1, 7, 28\)"),
        ((0, 28, 28), r"got \(0, 28, 28\)"),
        ((28, 28), r"got \(28, 28\)"),
        (785, "got 785"),
        (-4, "got -4"),
        ((1, 28.0, 28), r"got \(1, 28\.0, 28\)"),
        (784.0, r"got 784\.0"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_shape_that_is_none_is_named(encoder, shape, part):
    with pytest.raises(ValueError, match=f"image_shape: .* {part}"):
        encoder(shape, 2)


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named(pair):
    encoder, decoder = pair
    with pytest.raises(ValueError, match=r"latent_dim: .* got 0"):
        encoder((1, 8, 8), 0)
    with pytest.raises(ValueError, match=r"latent_dim: .* got 0"):
        decoder(0, (1, 8, 8))
    with pytest.raises(ValueError, match=r"posterior: .* got 'full'"):
        encoder((1, 8, 8), 2, posterior="full")
    with pytest.raises(
        ValueError, match=r"x: expected shape \(..., 1, 8, 8\) or \(..., 64\), got \(5, 1, 8, 9\)"
    ):
        encoder((1, 8, 8), 2)(torch.zeros(5, 1, 8, 9))
    with pytest.raises(ValueError, match=r"z: expected shape \(..., 2\), got \(5, 3\)"):
        decoder(2, (1, 8, 8))(torch.zeros(5, 3))


@pytest.mark.usefixtures("unchecked")
def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match=r"channels: expected at most 3 .* got 4"):
        ConvEncoder((1, 8, 28), 2, channels=(4, 4, 4, 4))
    with pytest.raises(ValueError, match=r"channels: .* got \(4, 0\)"):
        ConvDecoder(2, (1, 8, 8), channels=(4, 0))
    with pytest.raises(ValueError, match=r"channels: .* got \(\)"):
        ConvDecoder(2, (1, 8, 8), channels=())
    with pytest.raises(ValueError, match=r"width: .* got 0"):
        ResNet18Encoder((1, 8, 8), 2, width=0)
    with pytest.raises(ValueError, match=r"image_shape: .* at most 32 .* got \(1, 28, 33\)"):
        LeNet5Encoder((1, 28, 33), 2)
    with pytest.raises(ValueError, match=r"image_shape: .* at most 32"):
        LeNet5Decoder(2, (1, 33, 28))
