"""From encoders of any kind to distances, interpolants, means and clusters of their Gaussians."""

from __future__ import annotations

import types

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

import latentgeo as lg
from latentgeo.gaussians import (
    posterior,
    posterior_distance,
    posterior_interpolation,
    posterior_points,
)
from latentgeo.models import MLPEncoder


def encoder_of(dtype: torch.dtype = torch.float64) -> MLPEncoder:
    torch.manual_seed(0)
    return MLPEncoder(12, 3, hidden=(16,), activation=nn.Tanh).to(dtype).eval()


def data(n: int = 7, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(n, 1, 3, 4, dtype=dtype, generator=torch.Generator().manual_seed(1))


def answers(encoder: MLPEncoder) -> dict:
    """The same posterior in every form that an encoder may answer."""

    def both(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        q = encoder(x)
        return q.mean, q.stddev

    return {
        "pair": both,
        "Normal": lambda x: Normal(*both(x)),
        "Independent": encoder,
        "method of a model": types.SimpleNamespace(encode=encoder.forward).encode,
    }


@pytest.mark.parametrize("form", ["pair", "Normal", "Independent", "method of a model"])
def test_every_form_of_answer_is_the_same_posterior(form):
    encoder = encoder_of()
    q = posterior(answers(encoder)[form], data())
    assert isinstance(q, Independent)
    assert (q.batch_shape, q.event_shape) == ((7,), (3,))
    assert torch.equal(q.mean, encoder(data()).mean)
    assert torch.equal(q.stddev, encoder(data()).stddev)


def test_chunks_of_half_precision_are_answered_as_the_whole_is():
    x = data(dtype=torch.half).flatten(1)
    whole, parts = (posterior(lambda x: (x, x.exp()), x, chunk_size=size) for size in (None, 3))
    assert torch.equal(whole.mean, parts.mean)
    assert torch.equal(whole.stddev, parts.stddev)


def test_chunks_change_nothing():
    encoder, x = encoder_of(), data()
    whole, parts = posterior_points(encoder, x), posterior_points(encoder, x, chunk_size=3)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-14)
    full = lambda x: MultivariateNormal(encoder(x).mean, torch.diag_embed(encoder(x).variance))  # noqa: E731
    torch.testing.assert_close(
        posterior(full, x, chunk_size=2).covariance_matrix, posterior(full, x).covariance_matrix
    )


def test_distance_and_interpolation_are_those_of_the_distributions():
    encoder, x, y = encoder_of(), data(), data(7).flip(0)
    expected = lg.fisher_rao_distance(encoder(x), encoder(y))
    torch.testing.assert_close(posterior_distance(encoder, x, y), expected)
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    way = posterior_interpolation(encoder, x, y, t)
    assert (way.batch_shape, way.event_shape) == ((5, 7), (3,))
    torch.testing.assert_close(way.mean, lg.fisher_rao_geodesic(encoder(x), encoder(y), t).mean)
    # equal steps of distance
    steps = torch.stack(
        [
            lg.fisher_rao_distance(*(Independent(Normal(way.mean[i], way.stddev[i]), 1) for i in (k, k + 1)))
            for k in range(4)
        ]
    )
    torch.testing.assert_close(steps, (expected / 4).expand(4, 7), rtol=1e-9, atol=1e-12)


def test_one_datum_against_many():
    encoder, x = encoder_of(), data()
    torch.testing.assert_close(
        posterior_distance(encoder, x, x[:1]), posterior_distance(encoder, x, x[:1].expand_as(x))
    )


def test_covariances_that_are_not_diagonal_take_the_geometry_of_all_normals():
    """A distribution with `to_multivariate_normal`, as those with a sparse precision have."""
    encoder = encoder_of()

    def chain(x):
        q = encoder(x)
        factor = torch.diag_embed(q.stddev) + 0.3 * torch.diag_embed(q.mean[:, 1:], -1)
        normal = MultivariateNormal(q.mean, scale_tril=factor)
        return types.SimpleNamespace(to_multivariate_normal=lambda: normal)

    x, y = data(3), data(6)[3:]
    p, q = posterior(chain, x), posterior(chain, y)
    assert isinstance(p, MultivariateNormal)
    torch.testing.assert_close(posterior_distance(chain, x, y), lg.fisher_rao_distance(p, q))
    with pytest.raises(TypeError, match=r"Normal or an Independent\(Normal, 1\)"):
        posterior_points(chain, x)


def test_differentiable_in_data_and_parameters():
    encoder, x = encoder_of(), data(4).requires_grad_()
    posterior_distance(encoder, x, data(4).flip(0)).sum().backward()
    assert x.grad.abs().max() > 0
    assert encoder.net[0].weight.grad.abs().max() > 0


def test_frechet_mean_and_clusters_of_posteriors():
    """The estimators of any metric, on the manifold of the encoder's Gaussians."""
    g = torch.Generator().manual_seed(0)
    means = torch.tensor([0.0, 6.0, 0.0]).repeat_interleave(8)[:, None] + 0.3 * torch.randn(
        24, 2, generator=g
    )
    stds = torch.tensor([1.0, 1.0, 30.0]).repeat_interleave(8)[:, None].expand(24, 2)
    x = torch.cat([means, stds], 1)
    points = posterior_points(lambda x: x.split(2, dim=1), x)
    manifold = lg.DiagonalNormal()
    labels = lg.GeodesicKMeans(manifold, 3, random_state=0).fit(points).labels_
    truth = torch.arange(3).repeat_interleave(8)
    assert torch.equal(labels[:, None] == labels, truth[:, None] == truth)
    mean = lg.frechet_mean(manifold, points[:8])
    logs = manifold.logmap(mean.point.expand(8, 2, 2), points[:8]).mean(0)
    assert manifold.norm(mean.point, logs) < 1e-3 * mean.variance.sqrt()


def test_estimators_refuse_what_is_no_normal():
    wrong = torch.zeros(4, 2, 3)
    with pytest.raises(ValueError, match="X must hold points of DiagonalNormal"):
        lg.GeodesicKMeans(lg.DiagonalNormal(), 2).fit(wrong)
    with pytest.raises(ValueError, match=r"X must have shape \(N, ...\) of 3 dimensions"):
        lg.GeodesicKMeans(lg.DiagonalNormal(), 2).fit(wrong[0])


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (lambda x: x, "encoder must answer"),
        (lambda x: (x.flatten(1), x), "mean and std of one shape"),
        (lambda x: (x.flatten(1), -x.flatten(1)), "must be positive"),
        (lambda x: (x.flatten(1)[:2], 1 + x.flatten(1)[:2]), "for each of 7 data"),
        (lambda x: Independent(Normal(x, 1 + x), 3), r"Gaussian of shape \(d,\)"),
        (nn.Sequential(nn.Flatten(), nn.Dropout()), "training mode"),
        (3, "encoder must be a callable"),
    ],
    ids=["tensor", "shapes", "negative", "rows", "event", "training", "number"],
)
def test_wrong_encoders_are_named(unchecked, encoder, message):
    with pytest.raises((TypeError, ValueError), match=message):
        posterior(encoder, data())


def test_data_without_a_batch_are_refused(unchecked):
    with pytest.raises(ValueError, match="x must be a tensor"):
        posterior(encoder_of(), torch.zeros(12))
