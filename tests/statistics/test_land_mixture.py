"""Mixtures of locally adaptive normals: what scikit-learn finds in flat coordinates, and what is left of bad ones."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

import latentgeo as lg
from latentgeo import ConvergenceWarning, EuclideanMetric, LocallyAdaptiveNormalMixture
from latentgeo.data import two_moons

_BEND = 1.5


def straightened(z: torch.Tensor) -> torch.Tensor:
    """Parabolas y = 1.5 x² + c become lines: an isometry, in coordinates of which two bent clusters are normal."""
    return torch.stack([z[:, 0], z[:, 1] - _BEND * z[:, 0] ** 2], 1)


def bent(w: torch.Tensor) -> torch.Tensor:
    return torch.stack([w[:, 0], w[:, 1] + _BEND * w[:, 0] ** 2], 1)


def flat_clusters(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two flat ellipses above each other."""
    labels = torch.arange(n) % 2
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return noise * torch.tensor([1.0, 0.25]).double() + labels[:, None] * torch.tensor([0.2, 1.6]), labels


@functools.cache
def bent_fit() -> LocallyAdaptiveNormalMixture:
    points = bent(flat_clusters(100, 0)[0])
    return LocallyAdaptiveNormalMixture(
        lg.pullback_metric(straightened), 2, random_state=0, n_samples=1024, tol=1e-4
    ).fit(points)


def reference() -> GaussianMixture:
    return GaussianMixture(2, tol=1e-8, random_state=0, n_init=3).fit(flat_clusters(100, 0)[0].numpy())


def test_flat_metric_gives_what_scikit_learn_gives(dtype):
    points = flat_clusters(100, 0)[0].to(dtype)
    ours = LocallyAdaptiveNormalMixture(EuclideanMetric(2), 2, random_state=0, tol=1e-6).fit(points)
    theirs = reference()
    order = [int(np.abs(theirs.means_ - mean.double().numpy()).sum(1).argmin()) for mean in ours.means_]
    assert sorted(order) == [0, 1]
    np.testing.assert_allclose(ours.means_, theirs.means_[order], atol=1e-2)
    np.testing.assert_allclose(ours.covariances_, theirs.covariances_[order], atol=1e-2)
    np.testing.assert_allclose(ours.weights_, theirs.weights_[order], atol=1e-2)
    assert ours.lower_bound_ == pytest.approx(theirs.score(points.double().numpy()), abs=1e-3)
    proba = ours.predict_proba(points)
    np.testing.assert_allclose(proba, theirs.predict_proba(points.double().numpy())[:, order], atol=0.05)
    assert ours.means_.dtype == ours.covariances_.dtype == ours.weights_.dtype == proba.dtype == dtype


def test_bent_clusters_are_as_their_straight_images():
    """The chart keeps areas, so that log-likelihoods are those of scikit-learn in straight coordinates."""
    ours, theirs = bent_fit(), reference()
    fresh = flat_clusters(200, 1)[0]
    tolerance = 2 * float(ours.log_constant_errors_.max())
    assert tolerance < 0.1
    assert ours.lower_bound_ == pytest.approx(theirs.score(flat_clusters(100, 0)[0].numpy()), abs=tolerance)
    assert ours.score(bent(fresh)) == pytest.approx(theirs.score(fresh.numpy()), abs=tolerance)


def test_bent_clusters_are_told_apart_better_than_by_plain_normals():
    """Held-out likelihood and the classes themselves."""
    train, (fresh, labels) = bent(flat_clusters(100, 0)[0]).numpy(), flat_clusters(200, 1)
    test = bent(fresh).numpy()
    plain = GaussianMixture(2, random_state=0, n_init=5).fit(train)
    ours = bent_fit()
    assert ours.score(test) > plain.score(test) + 0.3
    assert adjusted_rand_score(labels, ours.predict(test)) > 0.95
    assert adjusted_rand_score(labels, plain.predict(test)) < 0.5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::latentgeo.ConvergenceWarning")
def test_moons_are_told_apart_better_than_by_plain_normals():
    """On the metric of the data themselves; their likelihood is no better."""
    generator = torch.Generator().manual_seed(0)
    train, test = (two_moons(n, generator=generator) for n in (150, 200))
    points, fresh = (moons.points[:, :2].double() for moons in (train, test))
    plain = GaussianMixture(2, random_state=0, n_init=5).fit(points.numpy())
    metric = lg.LocalPCAMetric(points, bandwidth=0.15, rho=0.01)
    ours = LocallyAdaptiveNormalMixture(metric, 2, random_state=0, n_samples=256).fit(points)
    found = adjusted_rand_score(test.labels, ours.predict(fresh))
    assert found > adjusted_rand_score(test.labels, plain.predict(fresh.numpy())) + 0.15


def test_component_that_its_draws_miss_is_not_taken_for_likely():
    """In the same chart, narrower: the constant of few draws seemed to vanish, and the covariance ran away."""
    labels = torch.arange(180) % 2
    y = torch.randn(180, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = y * torch.tensor([1.0, 0.2]) + torch.stack([torch.zeros(180), 0.6 - 1.2 * labels], 1)
    z = torch.stack([y[:, 0], y[:, 1] + 0.6 * y[:, 0].square()], 1)[:80]
    metric = lg.pullback_metric(lambda z: torch.stack([z[:, 0], z[:, 1] - 0.6 * z[:, 0].square()], 1))
    fitted = LocallyAdaptiveNormalMixture(metric, 2, n_samples=128, tol=1e-2, random_state=0).fit(z)
    assert adjusted_rand_score(labels[:80], fitted.predict(z)) == 1.0
    assert fitted.covariances_.diagonal(dim1=1, dim2=2).sqrt().max() < 1.5


def test_log_likelihood_grows_with_every_step():
    bounds = bent_fit().lower_bounds_
    assert len(bounds) > 1
    assert (np.diff(bounds) >= -2 * float(bent_fit().log_constant_errors_.max())).all()


def test_responsibilities_are_shares_and_predict_the_largest():
    points = bent(flat_clusters(30, 2)[0])
    proba = bent_fit().predict_proba(points)
    torch.testing.assert_close(proba.sum(1), torch.ones(30).double())
    assert torch.equal(proba.argmax(1), bent_fit().predict(points))


def test_draws_come_from_all_components():
    draws = straightened(bent_fit().sample(150))
    above = draws[:, 1] > 0.8
    error = (0.25 / 150) ** 0.5
    assert abs(float(above.double().mean()) - 0.5) < 4 * error
    assert abs(float(draws[above, 1].mean()) - 1.6) < 0.1


def test_more_components_than_clusters_end():
    """Components without points of their own keep a weight, and none spoils the others."""
    points = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [3.0, 3.0]]).double().repeat(3, 1)
    fitted = LocallyAdaptiveNormalMixture(EuclideanMetric(2), 4, random_state=0, n_samples=64, reg_covar=1e-3)
    fitted.fit(points)
    assert fitted.weights_.sum() == pytest.approx(1)
    assert all(np.isfinite(np.asarray(v)).all() for v in (fitted.means_, fitted.covariances_))
    assert fitted.score_samples(points).isfinite().all()


def test_point_out_of_reach_belongs_to_none():
    def decoder(z: torch.Tensor) -> torch.Tensor:
        return torch.cat([z, torch.where(z[:, :1] > 6, torch.nan, 0 * z[:, :1])], 1)

    points = flat_clusters(40, 0)[0]
    fitted = LocallyAdaptiveNormalMixture(lg.pullback_metric(decoder), 2, random_state=0).fit(points)
    far = torch.tensor([[9.0, 0.0], [0.0, 0.0]]).double()
    with pytest.warns(ConvergenceWarning, match="no finite distance"):
        assert fitted.predict(far)[0] == -1
    with pytest.warns(ConvergenceWarning):
        assert fitted.predict_proba(far)[0].tolist() == [0.0, 0.0]


def test_point_where_the_metric_is_not_finite_takes_no_component():
    def plane(z: torch.Tensor) -> torch.Tensor:
        return torch.where((z[:, 0] > 6)[:, None, None], torch.nan, torch.eye(2).expand(len(z), 2, 2))

    points = flat_clusters(12, 0)[0].float()
    far = torch.tensor([[9.0, 0.0]])
    with pytest.warns(ConvergenceWarning, match="1 points are at no finite distance"):
        fitted = LocallyAdaptiveNormalMixture(
            lg.metric_from_function(plane), 2, n_samples=64, random_state=0
        ).fit(torch.cat([points, far]))
    assert fitted.means_.isfinite().all()
    assert fitted.weights_.min() > 0.2


def test_best_of_several_starts_is_kept():
    points = flat_clusters(30, 3)[0]
    options = {"random_state": 1, "n_samples": 64}
    once = LocallyAdaptiveNormalMixture(EuclideanMetric(2), 3, **options).fit(points)
    often = LocallyAdaptiveNormalMixture(EuclideanMetric(2), 3, n_init=2, **options).fit(points)
    assert often.lower_bound_ >= once.lower_bound_ - 1e-3


def test_numpy_in_numpy_out():
    points = flat_clusters(40, 0)[0].numpy()
    fitted = LocallyAdaptiveNormalMixture(EuclideanMetric(2), 2, random_state=0, n_samples=64)
    labels = fitted.fit_predict(points)
    for value in (labels, fitted.weights_, fitted.means_, fitted.predict_proba(points), fitted.sample(2)):
        assert isinstance(value, np.ndarray)
    assert (labels == fitted.predict(points)).all()
    twin = clone(fitted)
    assert twin.get_params()["n_components"] == 2
    with pytest.raises(NotFittedError):
        twin.predict(points)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components must be a positive integer, got 0"),
        ({"n_components": 41}, "at least 41 points"),
        ({"n_init": 0}, "n_init must be a positive integer"),
    ],
    ids=str,
)
def test_options_out_of_range(unchecked, options, message):
    with pytest.raises(ValueError, match=message):
        LocallyAdaptiveNormalMixture(EuclideanMetric(2), **{"n_components": 2, **options}).fit(
            flat_clusters(40, 0)[0]
        )
