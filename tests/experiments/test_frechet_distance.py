"""The Fréchet distance of normals against SciPy's matrix root and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from latentgeo.experiments.frechet_distance import frechet_distance


def drawn(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(4, 4, generator=generator)
    return torch.randn(n, 4, generator=generator) @ mixing + torch.randn(4, generator=generator)


def test_against_the_matrix_root() -> None:
    x, y = drawn(50, 0), drawn(70, 1)
    a, b = (np.cov(z.double().numpy(), rowvar=False) for z in (x, y))
    root = np.real(sqrtm(a @ b))
    square = float((x.double().mean(0) - y.double().mean(0)).square().sum()) + np.trace(a + b - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(square**0.5, rel=1e-9)
    assert frechet_distance(y, x) == pytest.approx(square**0.5, rel=1e-9)


def test_same_points_and_scaled_ones() -> None:
    x = drawn(50, 2).double()
    assert frechet_distance(x, x) < 1e-6
    centred = x - x.mean(0)
    # commuting covariances: the distance of the roots
    assert frechet_distance(centred, 3 * centred) == pytest.approx(2 * float(centred.T.cov().trace().sqrt()))


def test_flat_clouds() -> None:
    x = drawn(50, 3)
    x[:, 2] = 1.0
    assert frechet_distance(x, x + 2) == pytest.approx(4.0)
