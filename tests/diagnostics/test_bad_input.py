"""Wrong arguments are refused with a sentence that names them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from diagnostics.linear_gaussian import LinearGaussian
from latentgeo.diagnostics import (
    active_units,
    encoded,
    kl_at_ratio,
    latent_correlation,
    latent_kl,
    latent_statistics,
    latent_traversal,
    linear_separability,
    log_likelihood,
    pca_spectrum,
    reconstruction_gain,
    stationary_variance,
)
from latentgeo.models import VAE, Autoencoder, MLPDecoder, MLPEncoder

pytestmark = pytest.mark.usefixtures("unchecked")

MODEL = LinearGaussian.random(2, 3)
X = MODEL.sample(4)
NAN = X.clone()
NAN[1, 1] = torch.nan
ONE = torch.ones(4, 2)


@pytest.mark.parametrize("call", [lambda m, x: log_likelihood(m, x, 3), reconstruction_gain, encoded])
@pytest.mark.parametrize(
    ("model", "x", "error", "message"),
    [
        (object(), X, TypeError, r"model: .*encode\(x\) and decode\(z\), got object"),
        (MODEL, X.numpy(), TypeError, "x: expected a torch tensor .* got ndarray"),
        (MODEL, X.long(), TypeError, r"x: expected floating values, got torch\.int64"),
        (MODEL, NAN, ValueError, "x: expected finite values"),
        (MODEL, X[0], ValueError, r"x: .*got \(3,\)"),
        (MODEL, X[:0], ValueError, r"x: .*got \(0, 3\)"),
    ],
)
def test_models_and_data_are_checked(call, model, x, error, message):
    with pytest.raises(error, match=message):
        call(model, x)


@pytest.mark.parametrize("count", [0, -1, 2.5, True])
def test_counts_are_positive_integers(count):
    with pytest.raises(ValueError, match="num_samples: expected a positive integer"):
        log_likelihood(MODEL, X, count)
    with pytest.raises(ValueError, match="chunk_size: expected a positive integer"):
        log_likelihood(MODEL, X, 3, chunk_size=count)
    with pytest.raises(ValueError, match="num_samples: expected a positive integer"):
        reconstruction_gain(MODEL, X, num_samples=count)


def test_answers_of_a_model_are_checked():
    autoencoder = Autoencoder(nn.Linear(3, 2), nn.Linear(2, 3)).double()
    for call in (lambda: log_likelihood(autoencoder, X, 3), lambda: encoded(autoencoder, X)):
        with pytest.raises(TypeError, match=r"encode\(x\) to answer a Distribution, got Tensor"):
            call()
    with pytest.raises(ValueError, match=r"num_samples: .*not distributions, got 3"):
        reconstruction_gain(autoencoder, X, num_samples=3)
    tensors = SimpleNamespace(encode=MODEL.encode, decode=lambda z: z)
    with pytest.raises(TypeError, match=r"decode\(z\) to answer a Distribution, got Tensor"):
        log_likelihood(tensors, X, 3)
    single = SimpleNamespace(encode=lambda x: Normal(torch.zeros(2), 1.0), decode=MODEL.decode)
    with pytest.raises(ValueError, match=r"one row for each datum, got one over \(2,\)"):
        log_likelihood(single, X, 3)
    with pytest.raises(ValueError, match=r"x: .*decoder's output, \(4, 3\), got \(4, 5\)"):
        log_likelihood(
            SimpleNamespace(encode=lambda x: MODEL.encode(x[:, :3]), decode=MODEL.decode),
            torch.zeros(4, 5).double(),
            1,
        )
    maps = SimpleNamespace(encode=lambda x: Normal(x[:, None], 1.0), decode=MODEL.decode)
    with pytest.raises(ValueError, match=r"latents of shape \(N, d\), got \(4, 1, 3\)"):
        reconstruction_gain(maps, X)


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.BatchNorm1d(3)])
def test_a_model_that_is_random_in_training_mode_is_refused(layer):
    vae = VAE(nn.Sequential(layer, MLPEncoder(3, 2, hidden=())), MLPDecoder(2, 3, hidden=())).double()
    vae.train()
    parts = SimpleNamespace(encode=vae.encode, decode=vae.decode)
    for model in (vae, parts):
        with pytest.raises(ValueError, match=rf"model: .*{type(layer).__name__} in training mode"):
            log_likelihood(model, X, 3)
    with pytest.raises(ValueError, match=r"decode: .*in training mode"):
        latent_traversal(vae.decode, torch.zeros(2).double(), [0], [1.0])
    assert log_likelihood(vae.eval(), X, 3, seed=0)[0].shape == (4,)


class Attention(nn.Module):
    """Its dropout is an attribute of the layer, not a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(2, 1, dropout=0.5, batch_first=True)

    def forward(self, z):
        return self.attention(z[:, None], z[:, None], z[:, None])[0][:, 0]


@pytest.mark.parametrize(
    "layer",
    [nn.Dropout(), torch.jit.script(nn.Sequential(nn.Dropout())), Attention()],
    ids=["closure", "script", "attention"],
)
def test_layers_in_training_mode_are_found_within_functions(layer):
    layer.train()
    model = SimpleNamespace(encode=lambda x: Normal(x[:, :2], 1.0), decode=lambda z: Normal(layer(z), 1.0))
    with pytest.raises(ValueError, match=r"model: expected eval mode, got a .* in training mode"):
        log_likelihood(model, X.float(), 3)
    with pytest.raises(ValueError, match=r"decode: expected eval mode"):
        latent_traversal(lambda z: layer(z), torch.zeros(2), [0], [1.0])
    layer.eval()
    assert log_likelihood(model, X[:, :2].float(), 3, seed=0)[0].shape == (4,)


def test_distributions_that_take_the_batch_for_an_event_are_refused():
    part = {"encode": lambda x: Normal(x, 1.0), "decode": lambda z: Normal(z, 1.0)}
    for name, call in (("encode", r"encode\(x\)"), ("decode", r"decode\(z\)")):
        swallowed = part | {name: lambda z: Independent(Normal(z, 1.0), 2)}
        with pytest.raises(ValueError, match=rf"model: expected {call} .* begins with \d+.*batch shape \(\)"):
            log_likelihood(SimpleNamespace(**swallowed), X, 3)


def test_images_in_another_order_of_dimensions_are_refused():
    model = SimpleNamespace(
        encode=lambda x: Normal(x.flatten(1), 1.0), decode=lambda z: Normal(z.unflatten(1, (3, 2, 4)), 1.0)
    )
    with pytest.raises(ValueError, match=r"x: .*decoder's output, \(\d+, 3, 2, 4\), got \(\d+, 2, 4, 3\)"):
        log_likelihood(model, torch.zeros(5, 2, 4, 3), 3)


def test_codes_without_a_row_for_each_datum_are_refused():
    model = SimpleNamespace(encode=lambda x: x[:2], decode=lambda z: z)
    with pytest.raises(ValueError, match=r"model: expected 4 latents of shape \(N, d\), got \(2, 3\)"):
        reconstruction_gain(model, X)


@pytest.mark.parametrize("function", [active_units, pca_spectrum, latent_correlation])
def test_latents_are_checked(function):
    with pytest.raises(TypeError, match=r"(means|x): expected a torch tensor \(\.\.\., N, d\), got ndarray"):
        function(np.ones((4, 2)))
    with pytest.raises(TypeError, match=r"(means|x): .*torch\.int64"):
        function(ONE.long())
    with pytest.raises(ValueError, match=r"(means|x): .*at least 2 rows, got \(1, 2\)"):
        function(ONE[:1])
    with pytest.raises(ValueError, match=r"(means|x): .*got \(2,\)"):
        function(ONE[0])
    with pytest.raises(ValueError, match=r"(means|x): expected finite values"):
        function(ONE * torch.inf)


@pytest.mark.parametrize("function", [latent_kl, latent_statistics])
def test_variances_are_checked(function):
    with pytest.raises(ValueError, match=r"variances: expected the shape of means, \(4, 2\), got \(2,\)"):
        function(ONE, ONE[0])
    with pytest.raises(ValueError, match=r"variances: expected non-negative values, got -1\.0"):
        function(ONE, -ONE)
    with pytest.raises(ValueError, match="variances: expected finite values"):
        function(ONE, ONE * torch.nan)


@pytest.mark.parametrize("threshold", [-0.1, float("nan"), float("inf")])
def test_thresholds_are_checked(threshold):
    for call in (
        lambda: active_units(ONE, threshold),
        lambda: latent_statistics(ONE, ONE, threshold=threshold),
        lambda: pca_spectrum(ONE).informative(threshold),
    ):
        with pytest.raises(ValueError, match="threshold: expected a non-negative finite number"):
            call()


def test_ratios_and_variances_of_the_curves_are_checked():
    for ratio in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="ratio: expected positive"):
            kl_at_ratio(ONE, ratio)
        with pytest.raises(ValueError, match="ratio: expected positive"):
            stationary_variance(torch.tensor([1.0, ratio]))
    with pytest.raises(ValueError, match=r"variance: expected non-negative values, got -1\.0"):
        kl_at_ratio(-ONE, 1.0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"features_train": [[1.0]]}, TypeError, "features_train: .*got list"),
        ({"features_train": torch.ones(4)}, ValueError, r"features_train: .*got \(4,\)"),
        ({"features_train": ONE * torch.nan}, ValueError, "features_train: expected finite"),
        ({"features_test": torch.ones(4, 3)}, ValueError, "features_test: expected 2 columns .* got 3"),
        ({"labels_train": torch.arange(3)}, ValueError, r"labels_train: expected shape \(4,\).* got \(3,\)"),
        ({"labels_test": torch.ones(4)}, TypeError, "labels_test: expected integers .* float32"),
        ({"labels_train": torch.ones(4).long()}, ValueError, "labels_train: .*at least two classes"),
        ({"inverse_penalty": 0.0}, ValueError, "inverse_penalty"),
        ({"max_iter": 0}, ValueError, "max_iter"),
    ],
)
def test_features_and_labels_are_checked(arguments, error, message):
    labels = torch.arange(4) % 2
    sound = {"features_train": ONE, "labels_train": labels, "features_test": ONE, "labels_test": labels}
    with pytest.raises(error, match=message):
        linear_separability(**(sound | arguments))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"z": torch.tensor([1, 2])}, TypeError, r"z: expected floating"),
        ({"dims": []}, ValueError, r"dims: expected a sequence of integers from -2 to 1, got \[\]"),
        ({"dims": [1.7]}, ValueError, r"dims: expected .* integers from -2 to 1, got \[1\.7\]"),
        ({"dims": [True, False]}, ValueError, r"dims: .*got \[True, False\]"),
        ({"dims": 0}, ValueError, "dims: .*got 0"),
        ({"dims": [0, 2]}, ValueError, r"dims: .*got \[0, 2\]"),
        ({"values": [float("nan")]}, ValueError, "values: expected finite"),
        ({"values": torch.ones(2, 2)}, ValueError, r"values: expected shape \(V,\)"),
        ({"decode": lambda z: z.numpy()}, TypeError, "decode: .*got ndarray"),
        ({"decode": lambda z: z[:1]}, ValueError, r"decode: expected 4 rows, .*got \(1, 2\)"),
    ],
)
def test_traversals_are_checked(arguments, error, message):
    sound = {"decode": lambda z: z, "z": torch.zeros(2), "dims": [0, 1], "values": [0.0, 1.0]}
    with pytest.raises(error, match=message):
        latent_traversal(**(sound | arguments))
