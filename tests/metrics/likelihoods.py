"""Every family of distributions that the Fisher metric knows, each beside its log-density by scipy and a quadrature.

The information of an output is E[s sᵀ] with the score s = ∇_z log p(x | z) by differences of scipy's log-density, and
the mean a sum over the outcomes: all of them that have any probability, or an equally spaced grid in coordinates in
which the density decays at both ends, where the trapezoidal rule converges faster than any power.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special, stats
from torch import Tensor
from torch import distributions as td
from torch.nn.functional import softplus

Array = NDArray[np.float64]
Outcomes = Callable[[Array], tuple[Array, Array]]

COUNT = 7.0  # of successes that a negative binomial waits for


@dataclass(frozen=True)
class Likelihood:
    """A family in one of its parametrisations, written as a function of `size` free numbers.

    Attributes:
        name: what the tests call it.
        size: how many free numbers an output has.
        make: numbers (*batch, size) -> the distribution of batch shape (*batch), not validated where torch's
            validation fails on empty batches or under vmap.
        log_density: outcomes (n, ...), numbers (size,) -> (n,), by scipy.
        outcomes: numbers (size,) -> outcomes (n, ...) and weights (n,) of a quadrature for the counting or Lebesgue
            measure.
        immersed: whether it has an immersion.
    """

    name: str
    size: int
    make: Callable[[Tensor], td.Distribution]
    log_density: Callable[[Array, Array], Array]
    outcomes: Outcomes
    immersed: bool

    def __str__(self) -> str:
        return self.name


def information(likelihood: Likelihood, numbers: Callable[[Array], Array], z: Array) -> Array:
    """E[s sᵀ] (d, d) at a point z (d,), of one output with numbers(z) (size,)."""
    x, weights = likelihood.outcomes(numbers(z))
    density = np.exp(likelihood.log_density(x, numbers(z)))
    assert abs(weights @ density - 1) < 1e-9, f"{likelihood}: probabilities add up to {weights @ density}"
    step = 1e-3
    score = [
        sum(
            c * likelihood.log_density(x, numbers(z + k * step * e))
            for k, c in ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12))
        )
        / step
        for e in np.eye(len(z))
    ]
    return np.einsum("n,in,jn->ij", weights * density, np.stack(score), np.stack(score))


def counts(last: int) -> Outcomes:
    x = np.arange(last + 1.0)
    return lambda numbers: (x, np.ones_like(x))


def line(center: Callable[[Array], tuple[float, float]]) -> Outcomes:
    """A grid over all that a normal density of a mean and a deviation reaches."""

    def outcomes(numbers: Array) -> tuple[Array, Array]:
        mean, deviation = center(numbers)
        t = np.linspace(-12, 12, 401)
        return mean + deviation * t, np.full_like(t, deviation * (t[1] - t[0]))

    return outcomes


def half_line(numbers: Array) -> tuple[Array, Array]:
    """A grid of logarithms."""
    t = np.linspace(-80, 8, 6001)
    return np.exp(t), np.exp(t) * (t[1] - t[0])


def simplex(categories: int, reach: float, points: int) -> Outcomes:
    """Logarithms of points of the simplex, by a grid of their ratios."""
    t = np.linspace(-reach, reach, points)
    ratios = [x.ravel() for x in np.meshgrid(*[t] * (categories - 1))]
    log = special.log_softmax(np.stack([*ratios, 0 * ratios[0]], -1), axis=-1)
    weights = np.exp(log.sum(-1)) * (t[1] - t[0]) ** (categories - 1)
    return lambda numbers: (log, weights)


def plane(numbers: Array) -> tuple[Array, Array]:
    """A grid that follows the covariance of a normal density in the plane."""
    mean, factor = _mean_and_factor(numbers)
    t = np.linspace(-9, 9, 91)
    grid = np.stack([x.ravel() for x in np.meshgrid(t, t)], -1)
    x = mean + grid @ factor.T
    return x, np.full(len(x), np.linalg.det(factor) * (t[1] - t[0]) ** 2)


def _positive(x: Tensor) -> Tensor:
    return 0.2 + softplus(x)


def _np_positive(x: Array) -> Array:
    return 0.2 + np.logaddexp(0, x)


def _factor(x: Tensor) -> Tensor:
    diagonal = torch.diag_embed(_positive(x[..., 2:4]))
    return diagonal + torch.nn.functional.pad(x[..., 4, None, None], (0, 1, 1, 0))


def _mean_and_factor(x: Array) -> tuple[Array, Array]:
    return x[:2], np.diag(_np_positive(x[2:4])) + np.array([[0.0, 0.0], [x[4], 0.0]])


def _normal_2(x: Array, numbers: Array) -> Array:
    mean, factor = _mean_and_factor(numbers)
    return stats.multivariate_normal(mean, factor @ factor.T).logpdf(x)


def _bernoulli(x: Array, n: Array) -> Array:
    return stats.bernoulli.logpmf(x, special.expit(n[0]))


def _geometric(x: Array, n: Array) -> Array:
    return stats.geom.logpmf(x + 1, special.expit(n[0]))


def _negative_binomial(x: Array, n: Array) -> Array:
    return stats.nbinom.logpmf(x, COUNT, special.expit(-n[0]))  # scipy's p is of failure


def _categorical(x: Array, n: Array) -> Array:
    return special.log_softmax(n)[x.astype(int)]


def _dirichlet(log_x: Array, n: Array) -> Array:
    a = _np_positive(n)
    return special.gammaln(a.sum()) - special.gammaln(a).sum() + log_x @ (a - 1)


def _scaled(n: Array) -> tuple[float, float]:
    return float(n[0]), float(_np_positive(n[1]))


def _covariance(x: Tensor) -> Tensor:
    return _factor(x) @ _factor(x).mT


def _plane(x: Tensor, **covariance: Tensor) -> td.Distribution:
    return td.MultivariateNormal(x[..., :2], **covariance, validate_args=False)


def _fixed(x: Tensor) -> Tensor:
    """The number 0.7 for every output, whatever z is."""
    return torch.tensor(0.7, dtype=torch.float64).to(x).expand(x.shape[:-1])


LIKELIHOODS = (
    Likelihood("Bernoulli of logits", 1, lambda x: td.Bernoulli(logits=x[..., 0]), _bernoulli, counts(1), True),
    Likelihood("Bernoulli of probs", 1, lambda x: td.Bernoulli(x[..., 0].sigmoid()), _bernoulli, counts(1), True),
    Likelihood(
        "Categorical of logits", 3, lambda x: td.Categorical(logits=x, validate_args=False),
        _categorical, counts(2), True,
    ),
    Likelihood(
        "Categorical of probs", 3, lambda x: td.Categorical(x.exp(), validate_args=False),
        _categorical, counts(2), True,
    ),
    Likelihood(
        "OneHotCategorical of logits", 3, lambda x: td.OneHotCategorical(logits=x, validate_args=False),
        _categorical, counts(2), True,
    ),
    Likelihood(
        "OneHotCategorical of probs", 3, lambda x: td.OneHotCategorical(x.exp(), validate_args=False),
        _categorical, counts(2), True,
    ),
    Likelihood(
        "Poisson", 1, lambda x: td.Poisson(_positive(x[..., 0])),
        lambda x, n: stats.poisson.logpmf(x, _np_positive(n[0])), counts(80), True,
    ),
    Likelihood(
        "Exponential", 1, lambda x: td.Exponential(_positive(x[..., 0])),
        lambda x, n: stats.expon.logpdf(x, scale=1 / _np_positive(n[0])), half_line, True,
    ),
    Likelihood(
        "Geometric of logits", 1, lambda x: td.Geometric(logits=x[..., 0]), _geometric, counts(2000), True
    ),
    Likelihood(
        "Geometric of probs", 1, lambda x: td.Geometric(x[..., 0].sigmoid(), validate_args=False),
        _geometric, counts(2000), True,
    ),
    Likelihood(
        "NegativeBinomial of logits", 1, lambda x: td.NegativeBinomial(COUNT, logits=x[..., 0]), _negative_binomial,
        counts(3000), True,
    ),
    Likelihood(
        "NegativeBinomial of probs", 1, lambda x: td.NegativeBinomial(COUNT, x[..., 0].sigmoid()),
        _negative_binomial, counts(3000), True,
    ),
    Likelihood(
        "Normal", 2, lambda x: td.Normal(x[..., 0], _positive(x[..., 1])),
        lambda x, n: stats.norm.logpdf(x, *_scaled(n)), line(_scaled), False,
    ),
    Likelihood(
        "Normal of fixed scale", 1, lambda x: td.Normal(x[..., 0], 0.7),
        lambda x, n: stats.norm.logpdf(x, n[0], 0.7), line(lambda n: (n[0], 0.7)), True,
    ),
    Likelihood(
        "LogNormal", 2, lambda x: td.LogNormal(x[..., 0], _positive(x[..., 1])),
        lambda x, n: stats.lognorm.logpdf(x, s=_np_positive(n[1]), scale=np.exp(n[0])),
        lambda n: (lambda x, w: (np.exp(x), np.exp(x) * w))(*line(_scaled)(n)), False,
    ),
    Likelihood(
        "Gamma", 2, lambda x: td.Gamma(_positive(x[..., 0]), _positive(x[..., 1])),
        lambda x, n: stats.gamma.logpdf(x, _np_positive(n[0]), scale=1 / _np_positive(n[1])), half_line, False,
    ),
    Likelihood(
        "Gamma of fixed concentration", 1, lambda x: td.Gamma(_fixed(x), _positive(x[..., 0])),
        lambda x, n: stats.gamma.logpdf(x, 0.7, scale=1 / _np_positive(n[0])), half_line, True,
    ),
    Likelihood(
        "Beta", 2, lambda x: td.Beta(_positive(x[..., 0]), _positive(x[..., 1]), validate_args=False),
        _dirichlet, simplex(2, 100.0, 8001), False,
    ),
    Likelihood(
        "Dirichlet", 3, lambda x: td.Dirichlet(_positive(x), validate_args=False),
        _dirichlet, simplex(3, 60.0, 601), False,
    ),
    Likelihood(
        "MultivariateNormal of scale_tril", 5, lambda x: _plane(x, scale_tril=_factor(x)), _normal_2, plane, False
    ),
    Likelihood(
        "MultivariateNormal of covariance", 5, lambda x: _plane(x, covariance_matrix=_covariance(x)),
        _normal_2, plane, False,
    ),
    Likelihood(
        "MultivariateNormal of precision", 5, lambda x: _plane(x, precision_matrix=torch.linalg.inv(_covariance(x))),
        _normal_2, plane, False,
    ),
)  # fmt: skip
