"""What is particular to grids: the graph of the precision, its symmetry, and the chains among them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from gaussian_graphs import chain, dense_covariance, grid, parameters
from latentgeo.models import ChainNormal, GridNormal

SIDES = st.integers(1, 6)


@given(rows=SIDES, columns=SIDES, seed=st.integers(0, 999))
def test_any_grid_has_the_moments_of_its_dense_twin(rows, columns, seed):
    q, p = grid((rows, columns), 2, seed=seed), grid((rows, columns), 2, seed=seed + 1)
    covariance = dense_covariance(q)
    torch.testing.assert_close(q.variance, covariance.diagonal(dim1=-2, dim2=-1), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(q.covariance_matrix, covariance, rtol=1e-9, atol=1e-9)
    dense = kl_divergence(q.to_multivariate_normal(), p.to_multivariate_normal())
    torch.testing.assert_close(kl_divergence(q, p), dense, rtol=1e-9, atol=1e-9)


@given(rows=SIDES, columns=SIDES)
def test_precision_joins_each_site_to_its_eight_neighbours_alone(rows, columns):
    precision = grid((rows, columns)).precision_matrix
    r, j = torch.arange(rows * columns) // columns, torch.arange(rows * columns) % columns
    neighbours = ((r[:, None] - r).abs() <= 1) & ((j[:, None] - j).abs() <= 1)
    assert torch.equal(precision != 0, neighbours)


@given(rows=SIDES, columns=SIDES)
def test_factor_has_a_linear_number_of_entries(rows, columns):
    entries = int((grid((rows, columns)).precision_cholesky.tril(-1) != 0).sum())
    assert GridNormal.num_parameters((rows, columns)) == entries <= 3 * rows * columns


@pytest.mark.parametrize("shape", [(1, 20), (20, 1)])
def test_a_single_row_or_column_is_a_chain(shape):
    line, q = chain(20, 3), chain(20, 3)
    q = GridNormal(line.mean, line.diagonal, line.off_diagonal, shape=shape)
    z = line.sample((2,))
    prior = Independent(Normal(torch.zeros(20).double(), torch.ones(20).double()), 1)
    torch.testing.assert_close(q.precision_cholesky, line.precision_cholesky, rtol=0, atol=0)
    torch.testing.assert_close(q.log_prob(z), line.log_prob(z))
    torch.testing.assert_close(q.variance, line.variance)
    torch.testing.assert_close(kl_divergence(q, prior), kl_divergence(line, prior))


def test_uncoupled_sites_are_independent():
    q = grid((3, 4))
    q = GridNormal(q.mean, q.diagonal, torch.zeros_like(q.off_diagonal), shape=(3, 4))
    torch.testing.assert_close(q.variance, q.diagonal**-2)
    torch.testing.assert_close(q.entropy(), Independent(Normal(q.mean, 1 / q.diagonal), 1).entropy())


def test_uncoupled_rows_are_chains():
    rows = chain(5, 3)
    below = torch.zeros(2 * 5 + 2 * 4).double()
    q = GridNormal(
        rows.mean.flatten(),
        rows.diagonal.flatten(),
        torch.cat([rows.off_diagonal.flatten(), below]),
        shape=(3, 5),
    )
    torch.testing.assert_close(q.variance, rows.variance.flatten())
    z = rows.sample()
    torch.testing.assert_close(q.log_prob(z.flatten()), rows.log_prob(z).sum())


@pytest.mark.parametrize("shape", [(3, 5), (4, 4)])
def test_exchanging_rows_and_columns_exchanges_coordinates(shape):
    rows, columns = shape
    q = grid(shape, 2)
    right, below, oblique = q.off_diagonal.split(
        [rows * (columns - 1), (rows - 1) * columns, (rows - 1) * (columns - 1)], -1
    )
    turned = GridNormal(
        q.mean.unflatten(-1, shape).mT.flatten(-2),
        q.diagonal.unflatten(-1, shape).mT.flatten(-2),
        torch.cat(
            [
                below.unflatten(-1, (rows - 1, columns)).mT.flatten(-2),
                right.unflatten(-1, (rows, columns - 1)).mT.flatten(-2),
                oblique.unflatten(-1, (rows - 1, columns - 1)).mT.flatten(-2),
            ],
            -1,
        ),
        shape=(columns, rows),
    )
    z = q.sample((3,))
    torch.testing.assert_close(turned.log_prob(z.unflatten(-1, shape).mT.flatten(-2)), q.log_prob(z))
    torch.testing.assert_close(turned.variance, q.variance.unflatten(-1, shape).mT.flatten(-2))


def test_strong_coupling_keeps_most_digits_of_the_variances_in_single_precision():
    """The bounds that the class documents, on a grid of 8 by 6."""
    for strength, bound in ((0.5, 1e-5), (3.0, 1e-3)):
        g = torch.Generator().manual_seed(1)
        m = GridNormal.num_parameters((8, 6))
        mean, diagonal, off = parameters(48, m, 50, dtype=torch.float32, generator=g)
        off = 2 * strength * off
        single = GridNormal(mean, diagonal, off, shape=(8, 6)).variance.double()
        double = GridNormal(mean.double(), diagonal.double(), off.double(), shape=(8, 6)).variance
        assert float(((single - double) / double).abs().max()) < bound


def test_order_of_the_parameters():
    """On 2 by 2: right (0,0), right (1,0), below (0,0), below (0,1), oblique (0,0)."""
    q = GridNormal(torch.zeros(4), torch.ones(4), torch.arange(1.0, 6.0), shape=(2, 2))
    expected = torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0], [3, 0, 1, 0], [5, 4, 2, 1]])
    torch.testing.assert_close(q.precision_cholesky, expected, rtol=0, atol=0)


def test_autocast_leaves_samples_and_divergences_their_digits():
    """Strong couplings, whose divergence was wrong by 90 nats where the products of rows were in bfloat16."""
    weak = grid((7, 7), 20, dtype=torch.float32)
    q = GridNormal(weak.mean, weak.diagonal, 2 * weak.off_diagonal, shape=(7, 7))
    prior = Independent(Normal(torch.zeros(49), torch.ones(49)), 1)

    def everything():
        torch.manual_seed(0)
        z = q.rsample((3,))
        matrices = q.covariance_matrix, q.precision_matrix
        return z, q.log_prob(z), q.variance, kl_divergence(q, prior), kl_divergence(q, weak), *matrices

    expected = everything()
    with torch.autocast("cpu", torch.bfloat16):
        found = everything()
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.usefixtures("unchecked")
def test_bad_shapes_are_named():
    ones = torch.ones(6)
    with pytest.raises(ValueError, match=r"mean: expected shape \(\.\.\., 8\) for a grid of shape \(2, 4\)"):
        GridNormal(ones, ones, torch.zeros(9), shape=(2, 4))
    for shape in ((0, 6), (2, 3, 1), (2.0, 3)):
        with pytest.raises(ValueError, match="shape: expected two positive integers"):
            GridNormal(ones, ones, torch.zeros(9), shape=shape)
        with pytest.raises(ValueError, match="shape: expected two positive integers"):
            GridNormal.num_parameters(shape)


def test_posterior_of_a_prime_dimension_is_a_chain():
    """The most square grid of 7 cells is one row, which has the parameters of a chain."""
    assert GridNormal.num_parameters((1, 7)) == 6 == chain(7).off_diagonal.shape[-1]
    assert math.isclose(float(grid((1, 7)).entropy()), float(ChainNormal(*_parts(grid((1, 7)))).entropy()))


def _parts(q: GridNormal) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return q.mean, q.diagonal, q.off_diagonal
