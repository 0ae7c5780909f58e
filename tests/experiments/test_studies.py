"""Parts of the studies, where the answer is known otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from latentgeo.data import LabelledImages
from latentgeo.diagnostics import EncodedData
from latentgeo.experiments import Place
from latentgeo.experiments.studies.fisher_interpolation import FisherInterpolationConfig, _pairs, _Ways
from latentgeo.experiments.studies.iwae_table import IWAETableConfig, _Job, _log_likelihood, _recipe
from latentgeo.experiments.studies.meaningful_distances import _clearest, _Triples
from latentgeo.experiments.studies.posterior_samples_pca import _expected_eigenvalues
from latentgeo.experiments.studies.variance_geometry import _plane_density
from latentgeo.experiments.trained import train_network_std, train_stochastic
from latentgeo.models import VAE, MLPDecoder, MLPEncoder
from latentgeo.plots.plane import cells
from latentgeo.training.rbf_vae import RBFVAEConfig, rbf_vae


def test_network_for_the_deviation_keeps_the_mean_and_comes_back_from_the_cache(tmp_path: Path) -> None:
    images = torch.rand(40, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    config, place = RBFVAEConfig(epochs=3, batch_size=10, num_centers=4), Place(cache=tmp_path)
    first = train_stochastic(config, images, place, seed=1)
    network, again = (train_network_std(config, images, place, seed=1, min_std=0.01) for _ in range(2))
    z = torch.randn(20, 2, generator=torch.Generator().manual_seed(1))
    assert torch.equal(network.encode(images.flatten(1)).mean, first.encode(images.flatten(1)).mean)
    assert torch.equal(network.decode(z).mean, first.decode(z).mean)
    assert torch.equal(network.decode(z).stddev, again.decode(z).stddev)
    assert not torch.allclose(network.decode(z).stddev, first.decode(z).stddev)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_standard_deviation_that_is_given_is_not_learned_and_changes_the_mean(tmp_path: Path) -> None:
    images = torch.rand(40, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    learned = RBFVAEConfig(epochs=3, batch_size=10, num_centers=4)
    given = replace(learned, std=0.5)
    untrained = rbf_vae(9, std=given.std)
    assert not any(name.startswith("variance") for name, _ in untrained.named_parameters())
    assert torch.equal(untrained.decode(torch.zeros(5, 2)).stddev, torch.full((5, 9), 0.5))
    place, z = Place(cache=tmp_path), torch.zeros(1, 2)
    other, once, again = (train_stochastic(c, images, place, seed=1) for c in (learned, given, given))
    assert torch.equal(once.decode(z).mean, again.decode(z).mean)
    assert torch.equal(once.decode(z).stddev, again.decode(z).stddev)
    assert not torch.allclose(once.decode(z).mean, other.decode(z).mean)


def test_density_of_two_outputs_integrates_to_one_and_has_the_moments_of_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VAE(MLPEncoder(3, 2), MLPDecoder(2, 3, hidden=(8,)), likelihood="gaussian").double().eval()
    with torch.no_grad():
        drawn = model.decode(torch.randn(20_000, 2, generator=generator, dtype=torch.float64))
        x = drawn.mean + drawn.stddev * torch.randn(20_000, 3, generator=generator, dtype=torch.float64)
    middle, side = x[:, :2].mean(0), 6 * x[:, :2].std()
    points = cells(torch.stack([middle - side, middle + side]), 30).reshape(-1, 2)
    share = _plane_density(model, points).exp() * (side / 15) ** 2
    torch.testing.assert_close(share.sum(), torch.ones_like(share.sum()), rtol=1e-3, atol=0)
    torch.testing.assert_close(share @ points, middle, rtol=0, atol=float(5 * x.std() / 20_000**0.5))


def test_expected_eigenvalues_of_samples_are_those_of_many_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(50, 3, generator=generator) @ torch.randn(3, 3, generator=generator)
    variances = torch.rand(50, 3, generator=generator)
    draws = means + variances.sqrt() * torch.randn(20_000, 50, 3, generator=generator)
    found = _expected_eigenvalues(EncodedData(means, variances, draws[0]))
    # the same points again and again: n - 1 in place of n is for the 50, not for the draws
    within = draws.flatten(0, 1).double().T.cov(correction=0) + means.double().T.cov() / 50
    assert (np.diff(found) < 0).all()
    np.testing.assert_allclose(found, torch.linalg.eigvalsh(within).flip(0), rtol=5e-3)


def test_triples_are_those_of_three_loops() -> None:
    labels = np.array([0, 1, 0, 1, 1, 0])
    random = np.random.RandomState(0)
    distances = {kind: (d := random.rand(6, 6)) + d.T for kind in ("Euclidean", "geodesic")}
    triples = _Triples.of(distances, labels)
    expected = [
        (a, b, c)
        for a in range(6)
        for b in range(6)
        for c in range(6)
        if a != b and labels[a] == labels[b] != labels[c]
    ]
    assert sorted(map(tuple, triples.rows.tolist())) == expected
    for kind, d in distances.items():
        near = [d[a, b] < d[a, c] for a, b, c in triples.rows]
        assert triples.near[kind].tolist() == near
    a, b, c = _clearest(triples, distances)  # pyright: ignore[reportGeneralTypeIssues]
    assert distances["Euclidean"][a, c] <= distances["Euclidean"][a, b]
    assert distances["geodesic"][a, b] < distances["geodesic"][a, c]
    assert (
        _clearest(_Triples.of({**distances, "geodesic": distances["Euclidean"]}, labels), distances) is None
    )


def test_five_ways_join_images_of_different_classes_whose_deviations_are_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(60, 1, 3, 3, generator=generator)
    test = LabelledImages(images, torch.arange(60) % 3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VAE(MLPEncoder(9, 4, hidden=(8,)), MLPDecoder(4, 9, hidden=(8,))).eval()
    rows = images.flatten(1)
    config = FisherInterpolationConfig(num_pairs=10, num_candidates=60)
    start, end, mismatch = _pairs(model, test, rows, config, 0)
    assert bool((test.labels[start] != test.labels[end]).all())
    with torch.no_grad():
        log_std = model.encode(rows).stddev.log()
    for row, found in zip(start, mismatch, strict=True):
        others = log_std[test.labels != test.labels[row]]
        torch.testing.assert_close(found, (others - log_std[row]).square().mean(1).sqrt().min())
    ways = _Ways.between(model, rows[start], rows[end], 6, 0)
    with torch.no_grad():
        for k, ends in ((0, start), (-1, end)):
            torch.testing.assert_close(ways.images[0, :, k], rows[ends])
            for way in (1, 4):
                torch.testing.assert_close(ways.images[way, :, k], model(rows[ends]).mean)


def test_models_of_more_samples_go_on_from_those_of_fewer() -> None:
    few = _Job(method="IWAE", samples=5, epochs=2, seed=3)
    many = _Job(method="IWAE", samples=50, epochs=1, seed=3)
    config = IWAETableConfig(epochs=((5, 2), (50, 1)), learning_rates=(3e-3, 1e-4))
    first, then = _recipe(config, few), _recipe(config, many)
    assert then.begun_with == first
    assert first.begun_with is None
    assert (first.learning_rate, first.annealed_over) == (3e-3, 2)
    assert (then.learning_rate, then.annealed_over) == (1e-4, 1)
    with pytest.raises(ValueError, match="one rate for each number of samples"):
        IWAETableConfig(epochs=((5, 2),))
    documented = IWAETableConfig(epochs=((5, 2), (50, 1)), burda_schedule=True)
    assert _recipe(documented, many).begun_with is None
    assert _recipe(documented, many).annealed_over == 0


def test_log_likelihood_of_a_part_is_corrected_to_that_of_all_images() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VAE(MLPEncoder(12, 2, hidden=(16,)), MLPDecoder(2, 12, hidden=(16,)))
        rows = torch.cat([torch.zeros(60, 12), torch.ones(40, 12)])
        with torch.no_grad():
            list(model.decoder.parameters())[-1].fill_(-2.0)  # ones are unlikely
    few = IWAETableConfig(num_images=3, likelihood_samples=400, control_samples=50)
    every, _ = _log_likelihood(replace(few, num_images=None), model, rows)
    corrected, _ = _log_likelihood(few, model, rows)
    assert every.error > 0.5  # three images alone would be far off
    assert abs(corrected.mean - every.mean) < 0.05 * every.error
    assert corrected.error == pytest.approx(every.error, rel=0.05)
    assert (corrected - corrected).error == 0
    of_each, _ = _log_likelihood(replace(few, num_images=len(rows)), model, rows)
    assert of_each.mean == pytest.approx(every.mean, abs=1e-6)
