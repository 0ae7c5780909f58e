"""The expected pull-back metric: against its definition by sampling, closed forms, and what a decoder may return."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, Normal

import latentgeo as lg
import laws
import reference
from strategies import GaussianDecoder


@pytest.fixture
def points(generator: torch.Generator) -> Tensor:
    return torch.randn(3, 2, generator=generator, dtype=torch.float64)


def test_is_the_mean_of_the_random_metric(points: Tensor, generator: torch.Generator) -> None:
    """X = μ(z) + σ(z) ε with ε drawn once for a decoder: the mean of JᵀJ, within three standard errors."""
    decoder, draws = GaussianDecoder(2, 6), 4000
    mean = reference.jacobian(lambda z: decoder(z)[0], points)
    std = reference.jacobian(lambda z: decoder(z)[1], points)
    noise = torch.randn(draws, 1, 6, 1, generator=generator, dtype=torch.float64)
    j = mean + noise * std
    samples = j.mT @ j
    error = samples.std(0) / draws**0.5
    off = (lg.expected_pullback_metric(decoder)(points) - samples.mean(0)).abs()
    assert (off <= 3 * error).all()
    # and the check can tell: the mean's own metric is outside
    assert ((mean.mT @ mean - samples.mean(0)).abs() > 3 * error).any()


def test_closed_form_of_a_line_with_linear_noise(points: Tensor) -> None:
    """μ = A z and σ = 1 + B z give AᵀA + BᵀB everywhere."""
    a = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]], dtype=torch.float64)
    b = torch.tensor([[0.1, 0.0], [0.2, -0.3], [0.0, 0.4]], dtype=torch.float64)
    metric = lg.expected_pullback_metric(lambda z: (z @ a.T, 1 + z @ b.T))
    laws.assert_near(metric(points), (a.T @ a + b.T @ b).expand(3, 2, 2), laws.rounding(points.dtype))


def test_constant_std_leaves_the_metric_of_the_mean(points: Tensor) -> None:
    mean = GaussianDecoder(2, 6).mean
    expected = lg.expected_pullback_metric(lambda z: (mean(z), torch.full_like(mean(z), 0.3)))
    laws.assert_near(expected(points), lg.pullback_metric(mean)(points), laws.rounding(points.dtype))


RETURNS: dict[str, Callable[[GaussianDecoder, Tensor], object]] = {
    "tuple": lambda d, z: d(z),
    "list": lambda d, z: list(d(z)),
    "Normal": lambda d, z: Normal(*d(z)),
    "Independent": lambda d, z: Independent(Normal(*d(z)), 1),
    "image": lambda d, z: tuple(x.view(-1, 1, 2, 3) for x in d(z)),
    "Independent image": lambda d, z: Independent(Normal(*(x.view(-1, 1, 2, 3) for x in d(z))), 3),
    "Independent twice": lambda d, z: Independent(
        Independent(Normal(*(x.view(-1, 2, 3) for x in d(z))), 1), 1
    ),
}


@pytest.mark.parametrize("form", RETURNS.values(), ids=RETURNS)
def test_every_form_of_gaussian_gives_the_same_metric(form: Callable, points: Tensor) -> None:
    decoder = GaussianDecoder(2, 6)
    expected = lg.expected_pullback_metric(decoder)
    metric = lg.expected_pullback_metric(lambda z: form(decoder, z))
    laws.assert_near(metric(points), expected(points), laws.rounding(points.dtype))
    assert metric.immersion is not None
    laws.assert_near(metric.immersion(points), torch.cat(decoder(points), 1), laws.rounding(points.dtype))


def test_one_std_for_all_coordinates_is_broadcast(points: Tensor) -> None:
    """σ (N, 1) beside μ (N, D) is the same σ in every coordinate."""
    decoder = GaussianDecoder(2, 6)
    narrow = lg.expected_pullback_metric(lambda z: (decoder.mean(z), decoder.std(z)[:, :1]))
    wide = lg.expected_pullback_metric(lambda z: (decoder.mean(z), decoder.std(z)[:, :1].expand(-1, 6)))
    laws.assert_near(narrow(points), wide(points), laws.rounding(points.dtype))


def test_constant_std_without_a_batch_is_understood_or_refused_by_name(
    unchecked: None, points: Tensor
) -> None:
    """A learned scale that is one number, or one vector (D,), is what many decoders return."""
    mean = GaussianDecoder(2, 6).mean
    expected = lg.pullback_metric(mean)(points)
    for std in (torch.tensor(0.5).double(), torch.full((6,), 0.5).double(), torch.full((1, 6), 0.5).double()):
        metric = lg.expected_pullback_metric(lambda z, std=std: (mean(z), std))
        laws.assert_near(metric(points), expected, laws.rounding(points.dtype))


@pytest.mark.parametrize(
    ("wrong", "came"),
    [
        (lambda z: z, "tensor"),
        (lambda z: (z, z, z), "tuple"),
        (lambda z: Bernoulli(logits=z), "Bernoulli"),
        (lambda z: {"mean": z, "std": z}, "dict"),
        (lambda z: None, "NoneType"),
    ],
    ids=["tensor", "three", "Bernoulli", "dict", "None"],
)
def test_other_returns_are_refused(unchecked: None, wrong: Callable, came: str, points: Tensor) -> None:
    with pytest.raises(TypeError, match=rf"decoder must return \(mean, std\) or .*Normal.*got .*{came}"):
        lg.expected_pullback_metric(wrong)(points)


def test_mean_and_std_of_different_sizes_are_refused(unchecked: None, points: Tensor) -> None:
    metric = lg.expected_pullback_metric(lambda z: (z, torch.cat([z, z[:, :1]], 1)))
    with pytest.raises(ValueError, match=r"decoder.*mean.*2\).*std.*3\)"):
        metric(points)


def test_log_variance_in_the_place_of_the_deviation_is_refused(points: Tensor) -> None:
    decoder = GaussianDecoder(2, 6)
    metric = lg.expected_pullback_metric(lambda z: (decoder.mean(z), 2 * decoder.std(z).log()))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"must return a std .* negative, got -.*exp\(log_var / 2\)"):
            metric(points)


def test_training_mode_is_refused() -> None:
    decoder = nn.Sequential(nn.Dropout(0.5), GaussianDecoder(2, 6))
    decoder.train()
    with pytest.raises(ValueError, match=r"\.eval\(\)"):
        lg.expected_pullback_metric(decoder)
