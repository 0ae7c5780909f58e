"""Chain and grid normals against dense matrices built entry by entry: the same laws for both."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import (
    Bernoulli,
    Independent,
    Laplace,
    MultivariateNormal,
    Normal,
    constraints,
    kl_divergence,
)

from gaussian_graphs import (
    CountWork,
    chain,
    cholesky_of,
    dense_covariance,
    dense_kl,
    dense_log_prob,
    grid,
    parameters,
)
from latentgeo.models import VAE, ChainNormal, GridNormal, MLPDecoder, MLPEncoder
from strategies import batch_shapes

FAMILIES = {
    "chain-1": lambda *batch, **o: chain(1, *batch, **o),
    "chain-6": lambda *batch, **o: chain(6, *batch, **o),
    "chain-41": lambda *batch, **o: chain(41, *batch, **o),
    "grid-3x4": lambda *batch, **o: grid((3, 4), *batch, **o),
    "grid-4x3": lambda *batch, **o: grid((4, 3), *batch, **o),
    "grid-1x5": lambda *batch, **o: grid((1, 5), *batch, **o),
    "grid-21x2": lambda *batch, **o: grid((21, 2), *batch, **o),
}
SMALL = {
    "chain-6": FAMILIES["chain-6"],
    "grid-2x3": lambda *batch, **o: grid((2, 3), *batch, **o),
    "grid-3x2": lambda *batch, **o: grid((3, 2), *batch, **o),
}
every_family = pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)
small_families = pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)


def rebuilt(q, mean, diagonal, off_diagonal):
    """A normal of the structure of q with other parameters, whose values are not looked at."""
    shape = {"shape": q.shape} if isinstance(q, GridNormal) else {}
    return type(q)(mean, diagonal, off_diagonal, **shape, validate_args=False)


def standard(q):
    """N(0, I), as the prior of a VAE is given."""
    zeros = torch.zeros_like(q.loc[..., :]).reshape(-1, q.event_shape[0])[0]
    return Independent(Normal(zeros, torch.ones_like(zeros)), 1)


def close(actual, expected, tolerance=1e-10):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@every_family
def test_moments_are_those_of_the_dense_normal(make):
    q = make(3, 2)
    covariance = dense_covariance(q)
    close(q.precision_cholesky, cholesky_of(q), 0)
    close(q.precision_matrix, cholesky_of(q) @ cholesky_of(q).mT)
    close(q.covariance_matrix, covariance)
    close(q.variance, covariance.diagonal(dim1=-2, dim2=-1))
    close(q.stddev, covariance.diagonal(dim1=-2, dim2=-1).sqrt())
    close(q.mode, q.mean, 0)


@every_family
def test_log_density_and_entropy_are_those_of_the_dense_normal(make, generator):
    q = make(2)
    covariance = dense_covariance(q)
    z = torch.randn(4, 2, *q.event_shape, generator=generator, dtype=torch.float64)
    close(q.log_prob(z), dense_log_prob(q.mean, covariance, z))
    close(q.entropy(), MultivariateNormal(q.mean, covariance).entropy())


@every_family
@pytest.mark.parametrize("sample_shape", [(), (3,), (2, 3), (0,)])
def test_samples_are_exactly_the_mean_and_the_inverse_transpose_of_noise(make, sample_shape):
    q = make(2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = q.rsample(sample_shape)
        torch.manual_seed(0)
        eps = torch.randn(*sample_shape, 2, *q.event_shape, dtype=torch.float64)
    assert z.shape == eps.shape
    inverse = torch.linalg.inv(cholesky_of(q))
    close(z, q.mean + (inverse.mT @ eps.unsqueeze(-1)).squeeze(-1))


@every_family
def test_divergence_to_the_standard_normal(make):
    q = make(5)
    expected = dense_kl(
        q.mean, dense_covariance(q), torch.zeros_like(q.mean), torch.eye(q.event_shape[0]).double()
    )
    close(kl_divergence(q, standard(q)), expected)


@every_family
@pytest.mark.parametrize(("batch", "other_batch"), [((3,), (3,)), ((3, 1), (2,)), ((), (3,)), ((2, 3), ())])
def test_divergences_to_diagonal_dense_and_equally_structured_normals(make, batch, other_batch):
    q, p = make(*batch), make(*other_batch, seed=1)
    covariance, other = dense_covariance(q), dense_covariance(p)
    std = p.diagonal
    diagonal = Independent(Normal(p.mean, std), 1)
    close(kl_divergence(q, diagonal), dense_kl(q.mean, covariance, p.mean, torch.diag_embed(std.square())))
    close(kl_divergence(q, p), dense_kl(q.mean, covariance, p.mean, other))
    close(kl_divergence(q, MultivariateNormal(p.mean, other)), dense_kl(q.mean, covariance, p.mean, other))


@every_family
def test_divergence_vanishes_at_equality_and_is_positive_elsewhere(make):
    q, p = make(50), make(50, seed=1)
    assert float(kl_divergence(q, q).abs().max()) < 1e-13
    assert bool((kl_divergence(q, p) > 0).all())
    k = q.event_shape[0]
    near = rebuilt(q, 1e-7 * q.mean, 1 + 0 * q.diagonal, 1e-7 * q.off_diagonal)
    expected = 0.5e-14 * (q.mean.square().sum(-1) + q.off_diagonal.square().sum(-1))
    # of second order in what is small, at the rounding of k terms near one
    assert float((kl_divergence(near, standard(q)) - expected).abs().max()) < 4e-16 * k


@every_family
def test_dense_normal_of_torch_is_the_same_distribution(make):
    q = make(2, 2)
    dense = q.to_multivariate_normal()
    assert isinstance(dense, MultivariateNormal)
    close(dense.mean, q.mean, 0)
    close(dense.covariance_matrix, dense_covariance(q))
    z = q.sample((3,))
    close(dense.log_prob(z), q.log_prob(z))


def test_dense_normal_keeps_the_digits_of_an_ill_conditioned_precision():
    """Condition 1e9 of P in float32, where its Cholesky factor would be rounding error."""
    q = ChainNormal(torch.zeros(4), torch.tensor([1.0, 3e4, 1.0, 3e4]), torch.tensor([0.3, 0.2, -0.5]))
    exact = ChainNormal(q.loc.double(), q.diagonal.double(), q.off_diagonal.double())
    covariance = q.to_multivariate_normal().covariance_matrix.double()
    scale = exact.stddev.unsqueeze(-1) * exact.stddev
    assert float(((covariance - exact.covariance_matrix) / scale).abs().max()) < 1e-6


@small_families
def test_derivatives_in_every_parameter(make):
    q = make(seed=3)
    given = [x.clone().requires_grad_() for x in (q.loc, q.diagonal, q.off_diagonal)]
    p, z = make(seed=4), make(seed=5).mean
    state = torch.get_rng_state()

    def sample(*args):
        torch.set_rng_state(state)
        return rebuilt(q, *args).rsample((2,))

    functions = {
        "variance": lambda *args: rebuilt(q, *args).variance,
        "log_prob": lambda *args: rebuilt(q, *args).log_prob(z),
        "entropy": lambda *args: rebuilt(q, *args).entropy(),
        "kl": lambda *args: kl_divergence(rebuilt(q, *args), standard(q)),
        "kl from it": lambda *args: kl_divergence(p, rebuilt(q, *args)),
        "sample": sample,
    }
    for name, function in functions.items():
        assert torch.autograd.gradcheck(function, given, check_forward_ad=True), name
    # the density is quadratic in L, the divergence not
    assert torch.autograd.gradgradcheck(functions["kl"], given)
    assert torch.autograd.gradgradcheck(functions["sample"], given)


@small_families
def test_transforms_of_torch_func_see_what_batches_see(make):
    q = make(4)
    z, prior = make(4, seed=1).mean, standard(q)

    def elbo_terms(mean, diagonal, off_diagonal, z):
        one = rebuilt(q, mean, diagonal, off_diagonal)
        return kl_divergence(one, prior), one.log_prob(z), one.variance

    given = (q.loc, q.diagonal, q.off_diagonal, z)
    mapped = torch.func.vmap(elbo_terms)(*given)
    for a, b in zip(mapped, (kl_divergence(q, prior), q.log_prob(z), q.variance), strict=True):
        close(a, b, 1e-13)
    tangents = tuple(torch.randn_like(x) for x in given)
    _, forward = torch.func.jvp(torch.func.vmap(elbo_terms), given, tangents)
    small = 1e-6
    up = torch.func.vmap(elbo_terms)(*(x + small * t for x, t in zip(given, tangents, strict=True)))
    down = torch.func.vmap(elbo_terms)(*(x - small * t for x, t in zip(given, tangents, strict=True)))
    for derivative, a, b in zip(forward, up, down, strict=True):
        close(derivative, (a - b) / (2 * small), 1e-6)
    samples = torch.func.vmap(
        lambda *args: rebuilt(q, *args).rsample((3,)), randomness="different", out_dims=1
    )(*given[:3])
    assert samples.shape == (3, 4, *q.event_shape)


@small_families
@pytest.mark.usefixtures("unchecked")
def test_values_are_not_read_where_they_are_not_validated(make):
    """On the meta device there are none."""
    q = make(2)
    q = rebuilt(q, q.loc.to("meta"), q.diagonal.to("meta"), q.off_diagonal.to("meta"))
    z = q.rsample((3,))
    assert z.device.type == "meta"
    assert q.log_prob(z).shape == (3, 2)
    prior = Independent(
        Normal(z[0, 0], torch.ones_like(z[0, 0]), validate_args=False), 1, validate_args=False
    )
    assert kl_divergence(q, prior).shape == kl_divergence(q, q).shape == q.entropy().shape == (2,)


@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    batch=batch_shapes(max_dims=2),
    samples=batch_shapes(max_dims=2),
    seed=st.integers(0, 999),
)
def test_shapes_are_those_of_torch(rows, columns, batch, samples, seed):
    for q in (chain(rows * columns, *batch, seed=seed), grid((rows, columns), *batch, seed=seed)):
        q = rebuilt(q, q.loc, q.diagonal, q.off_diagonal)
        dense = MultivariateNormal(q.loc, q.precision_matrix, validate_args=False)
        assert q.batch_shape == dense.batch_shape
        assert q.event_shape == dense.event_shape
        assert q.variance.shape == q.mean.shape == dense.mean.shape
        assert q.rsample(samples).shape == dense.rsample(samples).shape
        assert q.log_prob(q.sample(samples)).shape == (*samples, *batch)
        assert q.entropy().shape == kl_divergence(q, standard(chain(rows * columns))).shape == tuple(batch)


@pytest.mark.parametrize(
    "batches",
    [((3,), (), ()), ((), (2, 3), (3,)), ((2, 1), (1, 3), ()), ((), (), (3,))],
)
def test_parameters_broadcast(batches, generator):
    for q in (chain(6), grid((2, 3))):
        given = [
            parameters(6, q.off_diagonal.shape[-1], *batch, generator=generator)[i]
            for i, batch in enumerate(batches)
        ]
        batch = torch.broadcast_shapes(*batches)
        small, full = rebuilt(q, *given), rebuilt(q, *(x.expand(*batch, -1).clone() for x in given))
        assert small.batch_shape == batch
        for a, b in ((small.variance, full.variance), (small.entropy(), full.entropy())):
            close(a, b, 1e-14)
        close(small.log_prob(full.mean + 1), full.log_prob(full.mean + 1), 1e-13)


@small_families
def test_expand_repeats_without_copies(make):
    q = make(3)
    large = q.expand((2, 4, 3))
    assert type(large) is type(q)
    assert large.batch_shape == (2, 4, 3)
    assert large.loc.untyped_storage().data_ptr() == q.loc.untyped_storage().data_ptr()
    close(large.variance, q.variance.expand(2, 4, 3, -1), 1e-14)
    close(large.covariance_matrix[1, 2], q.covariance_matrix, 1e-14)
    assert large.rsample((5,)).shape == (5, 2, 4, 3, *q.event_shape)
    independent = Independent(make(2, 3), 1)
    assert independent.expand((5, 2)).log_prob(independent.sample()).shape == (5, 2)


@every_family
def test_single_precision_stays_single_and_agrees_with_double(make):
    q32 = make(20, dtype=torch.float32)
    q64 = rebuilt(q32, q32.loc.double(), q32.diagonal.double(), q32.off_diagonal.double())
    z = q32.sample((2,))
    pairs = [
        (q32.variance, q64.variance),
        (q32.log_prob(z), q64.log_prob(z.double())),
        (q32.entropy(), q64.entropy()),
        (kl_divergence(q32, standard(q32)), kl_divergence(q64, standard(q64))),
    ]
    assert z.dtype == torch.float32
    for single, double in pairs:
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=2e-5, atol=2e-5)


@small_families
def test_scales_from_tiny_to_huge_keep_their_digits(make):
    """Scaling coordinate i by s scales row i of L by 1/s: the whole distribution follows."""
    q = make(2)
    scale = torch.logspace(-8, 8, q.event_shape[0], dtype=torch.float64)
    # the place in L of each entry of off_diagonal, found by numbering the entries
    numbers = torch.arange(1.0, 1.0 + q.off_diagonal.shape[-1], dtype=torch.float64)
    numbered = cholesky_of(rebuilt(q, q.loc[0], q.diagonal[0], numbers)).tril(-1)
    neighbour = torch.stack([(numbered == n).nonzero()[0, 0] for n in numbers])
    off_diagonal = q.off_diagonal / scale[neighbour]
    scaled = rebuilt(q, scale * q.mean, q.diagonal / scale, off_diagonal)
    torch.testing.assert_close(scaled.variance, scale**2 * q.variance, rtol=1e-12, atol=0)
    torch.testing.assert_close(scaled.entropy(), q.entropy() + scale.log().sum(), rtol=1e-12, atol=1e-12)
    z = q.sample((3,))
    close(scaled.log_prob(scale * z), q.log_prob(z) - scale.log().sum(), 1e-12)


@pytest.mark.parametrize(
    ("make", "bound"),
    [
        (lambda n: chain(n), 1.05),
        (lambda n: grid((n // 4, 4)), 1.05),
        (lambda n: grid((4, n // 4)), 1.05),
    ],
    ids=["chain", "grid of 4 columns", "grid of 4 rows"],
)
def test_a_training_step_costs_linear_work_and_logarithmically_many_operations(make, bound):
    """Counted, not timed: forward and backward through samples, divergence and density."""
    counts = {}
    for k in (512, 4096):
        q = make(k)
        given = [x.clone().requires_grad_() for x in (q.loc, q.diagonal, q.off_diagonal)]
        prior = standard(q)
        with CountWork() as counts[k]:
            one = rebuilt(q, *given)
            z = one.rsample()
            (kl_divergence(one, prior) + one.log_prob(z.detach()) + z.square().sum()).backward()
    exponent = math.log(counts[4096].work / counts[512].work, 8)
    assert 0.9 < exponent < bound
    assert counts[4096].operations < 1.6 * counts[512].operations


@pytest.mark.parametrize("posterior", ["chain", "grid"])
def test_a_variational_autoencoder_trains_with_it(posterior):
    torch.manual_seed(0)
    model = VAE(MLPEncoder(12, 6, hidden=(16,), posterior=posterior), MLPDecoder(6, 12, hidden=(16,)))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    x = (torch.rand(40, 12) < 0.5).float()

    def negative_elbo():
        q = model.encode(x)
        z = q.rsample()
        return (kl_divergence(q, model.prior(z)) - model.decode(z).log_prob(x)).mean()

    with torch.no_grad():
        first = float(negative_elbo())
    for _ in range(150):
        optimizer.zero_grad()
        negative_elbo().backward()
        optimizer.step()
    with torch.no_grad():
        assert float(negative_elbo()) < first - 0.5
    assert float(model.encode(x).off_diagonal.detach().abs().max()) > 0.05


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named():
    mean, ones = torch.zeros(2, 4), torch.ones(2, 4)
    for make, m in ((ChainNormal, 3), (lambda *a, **o: GridNormal(*a, shape=(2, 2), **o), 5)):
        off = torch.zeros(2, m)
        with pytest.raises(ValueError, match=rf"off_diagonal: expected shape \(\.\.\., {m}\), got \(2, 4\)"):
            make(mean, ones, torch.zeros(2, 4))
        with pytest.raises(ValueError, match=r"diagonal: expected shape \(\.\.\., 4\), got \(2, 3\)"):
            make(mean, torch.ones(2, 3), off)
        with pytest.raises(ValueError, match="batch shapes that broadcast"):
            make(mean, torch.ones(3, 4), off)
        with pytest.raises(ValueError, match=r"diagonal: expected torch.float32 .* got torch.float64"):
            make(mean, ones.double(), off)
        with pytest.raises(TypeError, match=r"mean: expected a floating-point tensor, got torch\.int64"):
            make(mean.long(), ones, off)
        with pytest.raises(TypeError, match="off_diagonal: expected a floating-point tensor, got float"):
            make(mean, ones, 0.0)
        with pytest.raises(ValueError, match=r"mean: expected shape \(\.\.\., k\)"):
            make(torch.tensor(0.0), ones, off)
        with pytest.raises(ValueError, match="parameter diagonal"):
            make(mean, 0 * ones, off, validate_args=True)  # torch.compile turns torch's default off
        with pytest.raises(ValueError, match="parameter mean"):
            make(mean / 0, ones, off, validate_args=True)
        with pytest.raises(ValueError, match="parameter off_diagonal"):
            make(mean, ones, off * math.inf, validate_args=True)
        assert make(mean, 0 * ones, off, validate_args=False).batch_shape == (2,)
        with pytest.raises(ValueError, match="value"):
            make(mean, ones, off, validate_args=True).log_prob(torch.zeros(2, 3))


def test_divergences_that_there_are_not_say_so():
    q = chain(6)
    zeros = torch.zeros(6).double()
    for other in (grid((2, 3)), Independent(Laplace(zeros, zeros + 1), 1), Bernoulli(logits=zeros)):
        with pytest.raises(NotImplementedError):
            kl_divergence(q, other)
    with pytest.raises(ValueError, match=r"q: expected event shape \(6,\), got \(5,\)"):
        kl_divergence(q, chain(5))
    with pytest.raises(ValueError, match=r"q: expected event shape \(6,\), got \(5,\)"):
        kl_divergence(q, standard(chain(5)))
    with pytest.raises(ValueError, match=r"q: expected a grid of shape \(2, 3\), got \(3, 2\)"):
        kl_divergence(grid((2, 3)), grid((3, 2)))


def test_constraints_and_support_are_declared():
    q = chain(3)
    assert q.has_rsample
    assert set(q.arg_constraints) == {"mean", "diagonal", "off_diagonal"}
    assert bool(constraints.real_vector.check(q.sample()))
    assert q.support.event_dim == 1
