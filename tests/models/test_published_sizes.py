"""The networks have the layers of their papers, and the widths that documented experiments use."""

import pytest
import torch
from torch import nn

from latentgeo.models import (
    VAE,
    ConvDecoder,
    ConvEncoder,
    LeNet5Decoder,
    LeNet5Encoder,
    MLPDecoder,
    MLPEncoder,
    ResNet18Decoder,
    ResNet18Encoder,
)
from latentgeo.training import ELBO


def weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_lenet5_has_the_papers_weights():
    """C1, C5 and F6 as in its figure 2; C3 sees all six maps, 2416 weights for the paper's 1516."""
    layers = [layer for layer in LeNet5Encoder().features if weights(layer)]
    assert [weights(layer) for layer in layers] == [156, 2416, 48120, 10164]


def test_lenet5_written_out():
    encoder, x = LeNet5Encoder((1, 32, 32), 4), torch.rand(5, 1, 32, 32)
    c1, c3, c5, f6 = (layer for layer in encoder.features if weights(layer))

    def halved(maps: torch.Tensor) -> torch.Tensor:
        return maps.unflatten(-1, (-1, 2)).mean(-1).unflatten(-2, (-1, 2)).mean(-2)

    s2 = halved(nn.functional.conv2d(x, c1.weight, c1.bias).tanh())
    s4 = halved(nn.functional.conv2d(s2, c3.weight, c3.bias).tanh())
    units = (s4.flatten(1) @ c5.weight.flatten(1).T + c5.bias).tanh()
    features = (units @ f6.weight.T + f6.bias).tanh()
    torch.testing.assert_close(encoder(x).mean, encoder.head(features).mean)


def test_lenet5_sees_smaller_images_in_a_margin_of_zeros():
    small, large = (LeNet5Encoder((1, side, side), 4) for side in (27, 32))
    small.load_state_dict(large.state_dict())
    x = torch.rand(5, 1, 27, 27)
    padded = nn.functional.pad(x, (2, 3, 2, 3))
    torch.testing.assert_close(small(x).mean, large(padded).mean)


def test_lenet5_backwards_keeps_the_middle():
    small, large = (LeNet5Decoder(4, (1, side, side)) for side in (27, 32))
    small.load_state_dict(large.state_dict())
    z = torch.randn(5, 4)
    torch.testing.assert_close(small(z), large(z)[..., 2:29, 2:29])


def test_resnet18_has_the_published_weights():
    """The variant for CIFAR-10 has 11,173,962 of them with its 10 classes, 5,130 of these in the last layer."""
    assert weights(ResNet18Encoder().features) == 11_173_962 - 5_130


def test_resnet18_backwards_has_the_stages_of_the_encoder():
    """Sixteen convolutions in blocks of two; channels and sides are those of the encoder, backwards."""
    found = []
    for network, x in (
        (ResNet18Encoder((3, 32, 32), 8, width=2).features, torch.rand(2, 3, 32, 32)),
        (ResNet18Decoder(8, (3, 32, 32), width=2).net, torch.rand(2, 8)),
    ):
        found.append([])
        for layer in network:
            x = layer(x)
            if isinstance(layer, nn.Sequential):
                found[-1].append(tuple(x.shape[1:]))
        kernels = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        assert len(kernels) == 17  # the first or the last one is outside the blocks
    assert found == [
        [(2, 32, 32), (4, 16, 16), (8, 8, 8), (16, 4, 4)],
        [(16, 4, 4), (8, 8, 8), (4, 16, 16), (2, 32, 32)],
    ]


DOCUMENTED = {
    "200-200 ReLU": (784, 20, (200, 200), nn.ReLU),
    "200-200 ELU": (784, 20, (200, 200), nn.ELU),
    "200-200 tanh": (784, 50, (200, 200), nn.Tanh),
    "500": (560, 2, (500,), nn.Tanh),
    "256-64-32-16": (784, 16, (256, 64, 32), nn.ReLU),
    "256-64-16-3": (784, 3, (256, 64, 16), nn.ReLU),
    "64-32 tanh": (784, 2, (64, 32), nn.Tanh),
}


@pytest.mark.parametrize(("values", "dim", "hidden", "activation"), DOCUMENTED.values(), ids=DOCUMENTED)
def test_documented_perceptrons_train(values, dim, hidden, activation):
    torch.manual_seed(0)
    model = VAE(
        MLPEncoder(values, dim, hidden=hidden, activation=activation),
        MLPDecoder(dim, values, hidden=hidden[::-1], activation=activation),
    )
    train_one_step(model, torch.rand(20, values), dim)


DOCUMENTED_IMAGES = {
    "conv, 16": (ConvEncoder, ConvDecoder, 16, (20, 1, 28, 28)),
    "LeNet5, MNIST, 4": (LeNet5Encoder, LeNet5Decoder, 4, (20, 1, 28, 28)),
    "LeNet5, MNIST, 64": (LeNet5Encoder, LeNet5Decoder, 64, (20, 1, 28, 28)),
    "ResNet18, CIFAR-10, 256": (ResNet18Encoder, ResNet18Decoder, 256, (4, 3, 32, 32)),
}


@pytest.mark.parametrize(
    ("encoder", "decoder", "dim", "shape"), DOCUMENTED_IMAGES.values(), ids=DOCUMENTED_IMAGES
)
def test_documented_networks_of_images_train(encoder, decoder, dim, shape):
    torch.manual_seed(0)
    model = VAE(encoder(latent_dim=dim), decoder(dim))
    train_one_step(model, torch.rand(shape), dim)


def train_one_step(model: VAE, x: torch.Tensor, dim: int) -> None:
    """One step of Adam lowers the loss on the batch it was made from, the samples being the same."""

    def loss() -> torch.Tensor:
        torch.manual_seed(0)
        return ELBO()(model, x)

    assert model.encode(x).mean.shape == (len(x), dim)
    assert model(x).event_shape == x.shape[1:]
    before = loss()
    before.backward()
    torch.optim.Adam(model.parameters(), lr=1e-4).step()
    assert loss() < before
