import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

import strategies
from latentgeo.models import VAE, ChainNormal, GridNormal, MLPDecoder, MLPEncoder, PosteriorHead
from latentgeo.training import ELBO

FAMILIES = {"diagonal": Independent, "chain": ChainNormal, "grid": GridNormal}


@pytest.mark.parametrize("family", FAMILIES)
@given(st.integers(1, 13), strategies.batch_shapes(), strategies.dtypes())
def test_each_family_has_the_batch_and_event_of_its_features(family, dim, batch, dtype):
    posterior = PosteriorHead(5, dim, family).to(dtype)(torch.zeros(*batch, 5, dtype=dtype))
    assert isinstance(posterior, FAMILIES[family])
    assert (posterior.batch_shape, posterior.event_shape) == (batch, (dim,))
    assert posterior.rsample().dtype == dtype
    if 0 not in batch:  # which torch's divergence of Independent cannot reshape
        divergence = kl_divergence(posterior, Independent(Normal(torch.zeros(dim), torch.ones(dim)), 1))
        assert divergence.shape == batch
        assert bool((divergence >= 0).all())


def test_the_diagonal_is_mean_and_logarithm_of_the_variance():
    head, h = PosteriorHead(5, 3), torch.randn(4, 5)
    mean, log_variance = head.linear(h).chunk(2, dim=-1)
    torch.testing.assert_close(head(h).mean, mean)
    torch.testing.assert_close(head(h).variance, log_variance.exp())


def coupled(family, dim):
    """A head with couplings, and features."""
    head = PosteriorHead(5, dim, family)
    torch.nn.init.normal_(head.linear.weight, std=0.3)
    return head, torch.randn(4, 5)


def test_the_chain_is_mean_variances_and_couplings_in_their_units():
    head, h = coupled("chain", 3)
    mean, log_variance, couplings = head.linear(h).split([3, 3, 2], dim=-1)
    unit = torch.eye(3) + torch.diag_embed(couplings, offset=-1)
    factor = (-0.5 * log_variance).exp()[..., None] * unit
    torch.testing.assert_close(head(h).mean, mean)
    torch.testing.assert_close(head(h).precision_matrix, factor @ factor.mT)


@pytest.mark.parametrize("family", ["chain", "grid"])
def test_precision_in_units_of_conditional_deviations_is_that_of_the_couplings(family):
    head, h = coupled(family, 6)
    wide = PosteriorHead(5, 6, family)
    wide.load_state_dict(head.state_dict())
    with torch.no_grad():
        wide.linear.bias[6:12] += torch.tensor([3.0, -2.0, 0.0, 1.0, -4.0, 2.0])
    inner = []
    for one in (head, wide):
        deviation = (0.5 * one.linear(h)[..., 6:12]).exp()
        inner.append(one(h).precision_matrix * deviation[..., :, None] * deviation[..., None, :])
    torch.testing.assert_close(*inner)


@pytest.mark.parametrize("family", ["chain", "grid"])
def test_structured_posteriors_start_as_diagonal_ones(family):
    head, diagonal = PosteriorHead(5, 6, family), PosteriorHead(5, 6)
    with torch.no_grad():
        diagonal.linear.weight.copy_(head.linear.weight[:12])
        diagonal.linear.bias.copy_(head.linear.bias[:12])
    h = torch.randn(4, 5)
    torch.testing.assert_close(head(h).variance, diagonal(h).variance)
    torch.testing.assert_close(head(h).precision_matrix, torch.diag_embed(1 / diagonal(h).variance))


@pytest.mark.parametrize(
    ("dim", "shape"), [(1, (1, 1)), (7, (1, 7)), (12, (3, 4)), (16, (4, 4)), (20, (4, 5)), (50, (5, 10))]
)
def test_the_grid_is_the_most_square_one(dim, shape):
    assert PosteriorHead(2, dim, "grid").grid == shape


@pytest.mark.parametrize("family", ["chain", "grid"])
def test_structured_posteriors_train(family):
    torch.manual_seed(0)
    model = VAE(MLPEncoder(6, 4, hidden=(8,), posterior=family), MLPDecoder(4, 6, hidden=(8,)))
    ELBO()(model, torch.rand(5, 6)).backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())
    # The factor is below the diagonal, too, learned: its rows of the last layer have gradients.
    assert bool((model.encoder.head.linear.weight.grad[8:] != 0).any())


@pytest.mark.parametrize("family", FAMILIES)
def test_posterior_means_have_jacobians_under_vmap(family):
    encoder = MLPEncoder(6, 4, hidden=(8,), posterior=family).double()
    x = torch.rand(3, 6, dtype=torch.float64)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: encoder(row).mean))(x)
    for row, matrix in zip(x, jacobian, strict=True):
        dense = torch.autograd.functional.jacobian(lambda row: encoder(row[None]).mean[0], row)
        torch.testing.assert_close(matrix, dense)


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"posterior: .* got 'full'"):
        PosteriorHead(4, 2, "full")
    with pytest.raises(ValueError, match=r"latent_dim: .* got 0"):
        PosteriorHead(4, 0)
    with pytest.raises(ValueError, match=r"in_features: .* got 0"):
        PosteriorHead(0, 2)
