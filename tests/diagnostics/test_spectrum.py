"""Principal components against spectra known by construction, and scikit-learn's."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from latentgeo.diagnostics import pca_spectrum
from strategies import dtypes, seeds


def with_spectrum(eigenvalues, rows, rotation, generator):
    """Data (rows, d) of exactly this covariance, R diag(λ) Rᵀ, about a mean far from zero."""
    noise = torch.randn(rows, len(eigenvalues), dtype=torch.float64, generator=generator)
    basis = torch.linalg.qr(noise - noise.mean(0)).Q
    return (rows - 1) ** 0.5 * basis * eigenvalues.sqrt() @ rotation.T + 5.0


def rotation_of(dim, generator):
    return torch.linalg.qr(torch.randn(dim, dim, dtype=torch.float64, generator=generator)).Q


@given(seeds(), st.integers(1, 6), dtypes())
def test_spectrum_by_construction_is_found(generator, dim, dtype):
    eigenvalues = torch.rand(dim, dtype=torch.float64, generator=generator).sort(descending=True).values + 0.1
    rotation = rotation_of(dim, generator)
    x = with_spectrum(eigenvalues, 40, rotation, generator).to(dtype)
    found = pca_spectrum(x)
    assert (found.eigenvalues.dtype, found.components.dtype) == (dtype, dtype)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-12}
    torch.testing.assert_close(found.eigenvalues, eigenvalues.to(dtype), **tolerance)
    rebuilt = found.components.mT * found.eigenvalues @ found.components
    torch.testing.assert_close(rebuilt, torch.cov(x.T).reshape(dim, dim), **tolerance)
    torch.testing.assert_close(
        found.components @ found.components.mT, torch.eye(dim, dtype=dtype), **tolerance
    )


def test_small_eigenvalues_keep_their_digits(generator):
    eigenvalues = torch.tensor([1.0, 1e-6, 1e-12, 1e-18], dtype=torch.float64)
    x = with_spectrum(eigenvalues, 200, rotation_of(4, generator), generator) - 5.0
    torch.testing.assert_close(pca_spectrum(x).eigenvalues, eigenvalues, rtol=1e-5, atol=0)


@given(seeds(), st.integers(2, 5), st.integers(2, 9))
def test_agrees_with_scikit_learn_for_few_and_for_many_rows(generator, dim, rows):
    x = torch.randn(rows, dim, dtype=torch.float64, generator=generator)
    found, reference = pca_spectrum(x), PCA().fit(x.numpy())
    rank = min(rows - 1, dim)
    np.testing.assert_allclose(found.eigenvalues[:rank], reference.explained_variance_[:rank], rtol=1e-8)
    assert found.eigenvalues.shape == (dim,)
    assert bool((found.eigenvalues[rank:] < 1e-25).all())
    overlaps = (found.components[:rank] * torch.from_numpy(reference.components_[:rank])).sum(1).abs()
    np.testing.assert_allclose(overlaps, 1, atol=1e-6)
    torch.testing.assert_close(found.components @ found.components.mT, torch.eye(dim).double())


def test_components_along_axes_have_loadings_of_one(generator):
    eigenvalues = torch.tensor([4.0, 1.0, 0.02, 1e-4], dtype=torch.float64)
    permuted = torch.eye(4, dtype=torch.float64)[[2, 0, 3, 1]]
    aligned = pca_spectrum(with_spectrum(eigenvalues, 100, permuted, generator))
    torch.testing.assert_close(aligned.max_loadings, torch.ones(4).double())
    assert aligned.informative().tolist() == [True, True, True, False]
    assert int(aligned.informative(0.5).sum()) == 2
    hadamard = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).double() / 2
    spread = pca_spectrum(with_spectrum(eigenvalues, 100, hadamard, generator))
    torch.testing.assert_close(spread.max_loadings, torch.full((4,), 0.5).double())


def test_eigenvectors_have_a_sign(generator):
    x = torch.randn(30, 3, dtype=torch.float64, generator=generator)
    first, mirrored = pca_spectrum(x), pca_spectrum(-x)
    torch.testing.assert_close(first.components, mirrored.components)
    largest = first.components.abs().argmax(1)
    assert bool((first.components[torch.arange(3), largest] > 0).all())


def test_a_set_of_runs_is_a_batch(generator):
    x = torch.randn(2, 3, 20, 4, dtype=torch.float64, generator=generator)
    found, alone = pca_spectrum(x), pca_spectrum(x[1, 2])
    torch.testing.assert_close(found.eigenvalues[1, 2], alone.eigenvalues)
    torch.testing.assert_close(found.components[1, 2], alone.components)
    assert found.max_loadings.shape == (2, 3, 4)


def test_constant_data_have_no_spread():
    assert pca_spectrum(torch.full((5, 3), 0.1)).eigenvalues.max() < 1e-15
