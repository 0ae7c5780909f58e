"""The variance table, active units and correlations, against NumPy and by hand."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given

from latentgeo.diagnostics import active_units, latent_correlation, latent_kl, latent_statistics
from strategies import dtypes, seeds


def latents(dtype=torch.float64, batch=(), seed=0):
    """300 data: latent 0 well used, 1 inactive, 2 in between."""
    g = torch.Generator().manual_seed(seed)
    means = torch.randn(*batch, 300, 3, dtype=torch.float64, generator=g) * torch.tensor([1.0, 0.01, 0.5])
    variances = torch.tensor([0.01, 0.99, 0.75]) * torch.rand(
        *batch, 300, 3, dtype=torch.float64, generator=g
    )
    return means.to(dtype), variances.to(dtype)


@given(dtypes(), seeds())
def test_table_is_what_numpy_says(dtype, generator):
    means, variances = latents(dtype, seed=generator.initial_seed())
    found = latent_statistics(means, variances)
    mu, variance = means.double().numpy(), variances.double().numpy()
    expected = {
        "mean": mu.mean(0),
        "variance_of_means": mu.var(0, ddof=1),
        "mean_variance": variance.mean(0),
        "kl": 0.5 * (mu**2 + variance - np.log(variance) - 1).mean(0),
        "stationary_sums": mu.var(0, ddof=1) + variance.mean(0),
    }
    for name, values in expected.items():
        value = getattr(found, name)
        assert value.dtype == dtype
        np.testing.assert_allclose(value, values, rtol=1e-6 if dtype == torch.float32 else 1e-12, atol=1e-9)
    assert found.active.tolist() == [True, False, True]


def test_sums_of_kl_are_the_divergence_of_the_posteriors():
    means, variances = latents()
    torch.testing.assert_close(
        latent_statistics(means, variances).kl.sum(), latent_kl(means, variances).sum(-1).mean()
    )


def test_a_set_of_runs_is_a_batch():
    means, variances = latents(batch=(2, 3))
    found = latent_statistics(means, variances)
    assert found.kl.shape == (2, 3, 3)
    alone = latent_statistics(means[1, 2], variances[1, 2])
    torch.testing.assert_close(found.kl[1, 2], alone.kl)
    assert torch.equal(found.active[1, 2], alone.active)
    assert torch.equal(active_units(means)[1, 2], alone.active)


def test_data_drawn_from_the_prior_fulfil_the_stationary_condition():
    """Z ~ N(0, 1), x = z + s ε: the posteriors have mean x / (1 + s²) and variance s² / (1 + s²)."""
    s = torch.tensor([0.01, 0.5, 2.0, 100.0]).double()
    z, noise = torch.randn(2, 20_000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    means = (z + s * noise) / (1 + s**2)
    found = latent_statistics(means, (s**2 / (1 + s**2)).expand_as(means))
    torch.testing.assert_close(found.stationary_sums, torch.ones(4).double(), rtol=0.05, atol=0)
    assert found.active.tolist() == [True, True, True, False]


def test_activity_is_strictly_above_the_threshold_and_blind_to_shifts():
    means = torch.tensor([[0.1, 0.2], [-0.1, -0.2]], dtype=torch.float64)
    variance = means.var(0)
    assert active_units(means, threshold=float(variance[0])).tolist() == [False, True]
    assert active_units(means + 1e6).tolist() == active_units(means).tolist()
    assert active_units(means.float() + 4096).dtype == torch.bool
    assert int(active_units(means, threshold=0.0).sum()) == 2


def test_large_means_do_not_drown_the_variance_in_float32():
    means = torch.tensor([[4096.0], [4096.5]])
    assert float(latent_statistics(means, torch.ones_like(means)).variance_of_means) == 0.125


def test_table_reads_as_a_table():
    lines = str(latent_statistics(*latents())).splitlines()
    assert lines[0].split() == ["no", "mean", "variance", "mean", "σ²", "sum", "KL", "active"]
    assert [line.split()[0] for line in lines[1:]] == ["0", "1", "2"]
    assert [line.split()[-1] for line in lines[1:]] == ["yes", "no", "yes"]


@given(seeds())
def test_correlation_is_what_numpy_says(generator):
    x = torch.randn(50, 4, dtype=torch.float64, generator=generator) @ torch.randn(4, 4).double() + 100
    np.testing.assert_allclose(latent_correlation(x), np.corrcoef(x.T), atol=1e-10)
    np.testing.assert_allclose(latent_correlation(x[None])[0], latent_correlation(x))


def test_a_constant_latent_is_correlated_with_no_other(dtype):
    x = torch.randn(53, 3, dtype=dtype)
    x[:, 1] = 0.7  # of which the mean of 53 in float64 is another number
    found = latent_correlation(x)
    assert found[1].tolist() == [0, 1, 0]
    assert found.diagonal().tolist() == [1, 1, 1]
    assert abs(float(found[0, 2])) > 0
