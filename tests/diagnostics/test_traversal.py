"""Grids of decoded points along latent axes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal

from latentgeo.diagnostics import latent_traversal
from latentgeo.models import VAE, MLPDecoder, MLPEncoder


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_each_row_varies_one_latent(batch, dtype, device):
    decoder = nn.Sequential(MLPDecoder(3, 6, hidden=(5,)), nn.Unflatten(1, (1, 2, 3))).to(device, dtype)
    z = torch.randn(*batch, 3, dtype=dtype, device=device)
    dims, values = [2, 0], [-1.0, 0.0, 2.0]
    grid = latent_traversal(decoder, z, dims, values)
    assert (grid.shape, grid.dtype, grid.device.type) == ((*batch, 2, 3, 1, 2, 3), dtype, device.type)
    for row, dim in enumerate(dims):
        for column, value in enumerate(values):
            point = z.clone()
            point[..., dim] = value
            expected = decoder(point.reshape(-1, 3)).reshape(*batch, 1, 2, 3)
            torch.testing.assert_close(grid[..., row, column, :, :, :], expected)


def test_decoder_is_called_once_and_the_start_is_not_changed():
    calls, z = [], torch.randn(2, 3)
    before = z.clone()
    latent_traversal(lambda points: calls.append(points.shape) or points, z, [0, -1], torch.arange(4.0))
    assert calls == [(2 * 2 * 4, 3)]
    assert torch.equal(z, before)


def test_negative_latents_count_from_the_end():
    z = torch.randn(3)
    found, expected = (latent_traversal(lambda p: p, z, [dim], [9.0]) for dim in (-1, 2))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dims", [np.array([2, 0]), torch.tensor([2, 0]), range(2, -1, -2), (np.int64(2), 0)])
def test_latents_may_be_integers_of_any_kind(dims):
    z = torch.randn(3)
    assert torch.equal(
        latent_traversal(lambda p: p, z, dims, [9.0]), latent_traversal(lambda p: p, z, [2, 0], [9.0])
    )


def test_of_a_distribution_is_its_mean():
    torch.manual_seed(0)
    vae = VAE(MLPEncoder(6, 2, hidden=(4,)), MLPDecoder(2, 6, hidden=(4,)))
    grid = latent_traversal(vae.decode, torch.zeros(2), [0, 1], [-3.0, 3.0])
    assert bool(((grid > 0) & (grid < 1)).all())
    torch.testing.assert_close(grid[0, 1], torch.sigmoid(vae.decoder(torch.tensor([[3.0, 0.0]])))[0])
    shifted = latent_traversal(lambda z: Normal(z + 1, 1.0), torch.zeros(2), [0], [4.0])
    assert shifted.tolist() == [[[5, 1]]]
