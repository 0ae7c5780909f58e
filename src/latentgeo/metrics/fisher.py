"""The metric that a decoder into distributions pulls back from their Fisher information."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.metrics.arguments import check_chunk_size, check_points, check_precision
from latentgeo.metrics.decoder import Decoder
from latentgeo.metrics.directional import inside_transform, outside_transforms
from latentgeo.metrics.families import Family, Root
from latentgeo.metrics.immersion import AmbientMap, Immersion
from latentgeo.metrics.likelihood import Likelihood
from latentgeo.metrics.metric import Metric
from latentgeo.metrics.pullback import ImmersedMetric, flattened


class InformationMetric(Metric):
    """G(z) = J(z)ᵀ I(θ(z)) J(z) for the parameters θ of a family without immersion, by a root of I.

    Args:
        likelihood: the decoder into distributions.
        family: their family.
        root: a root R of its information, I = RᵀR.
        chunk_size: at most so many points are decoded at once; None for no bound.
    """

    def __init__(self, likelihood: Likelihood, family: Family, root: Root, chunk_size: int | None) -> None:
        self._likelihood = likelihood
        self._family = family
        self._root = root
        self._shapes: tuple[torch.Size, ...] = ()
        self._parameters = Immersion(self._stacked, decoder=likelihood.decoder, chunk_size=chunk_size)

    @property
    def ambient_map(self) -> AmbientMap:
        """The map to the parameters, and the squares of the Fisher information there."""
        return AmbientMap(
            self._parameters, lambda theta, v: self._rooted(theta, v[:, None]).square().sum((1, 2))
        )

    def __repr__(self) -> str:
        return f"InformationMetric({self._likelihood.decoder.function!r}, {self._family})"

    def __call__(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d d"]:
        """The matrix (R J)ᵀ R J."""
        check_points("z", z)
        matrix = self._parameters.piecewise(self._matrix, z.reshape(-1, z.shape[-1]))
        return matrix.reshape(*z.shape, z.shape[-1])

    def inner(
        self, z: Float[Tensor, "*#batch d"], u: Float[Tensor, "*#batch d"], v: Float[Tensor, "*#batch d"]
    ) -> Float[Tensor, "..."]:
        """The product <R J u, R J v>, by two directional derivatives (one where u is v)."""
        flat, tangents, shape = flattened(z, u, v)
        return self._parameters.piecewise(self._product, flat, tangents).reshape(shape)

    def _matrix(self, z: Tensor) -> Tensor:
        rows = self._rooted(self._parameters(z), self._parameters.jacobian(z).mT)
        return rows @ rows.mT

    def _product(self, z: Tensor, tangents: Tensor) -> Tensor:
        rows = self._rooted(self._parameters(z), self._parameters.pushforward(z, tangents.transpose(0, 1)))
        return (rows[:, 0] * rows[:, -1]).sum(-1)

    def _stacked(self, z: Tensor) -> Tensor:
        parameters = self._likelihood.parameters(z, self._family)
        self._shapes = tuple(p.shape[1:] for p in parameters)
        return torch.cat([p[:, None].flatten(1) for p in parameters], 1)

    def _rooted(self, theta: Tensor, pushed: Tensor) -> Tensor:
        """R(θ) of parameters (n, m), applied to k tangents (n, k, m)."""
        sizes = [shape.numel() for shape in self._shapes]
        parts = [
            part.reshape(*part.shape[:2], *shape)
            for stacked in (theta[:, None], pushed)
            for part, shape in zip(stacked.split(sizes, 2), self._shapes, strict=True)
        ]
        return torch.cat([part[:, :, None].flatten(2) for part in self._root(*parts)], 2)


class FisherMetric(Metric):
    """The Fisher information of a decoder's family, pulled back; see :func:`fisher_pullback_metric`.

    Which family that is shows in the first answer of the decoder.

    Args:
        decoder: the decoder into distributions.
        chunk_size: at most so many points are decoded at once; None for no bound.
    """

    def __init__(self, decoder: Decoder, chunk_size: int | None) -> None:
        self._likelihood = Likelihood(decoder)
        check_chunk_size(chunk_size)
        self._chunk_size = chunk_size
        self._resolved: Metric | None = None
        self._unmoved: Family | None = None  # the family, where its parameter ``fixed`` was found not to move

    @property
    def immersion(self) -> Immersion | None:
        """The map F with G = J_Fᵀ J_F, where the family has one; None before the first answer of the decoder."""
        return None if self._resolved is None else self._resolved.immersion

    def __repr__(self) -> str:
        return f"FisherMetric({self._likelihood.decoder.function!r})"

    def __call__(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d d"]:
        """The matrix J_θᵀ I(θ) J_θ."""
        return self.resolved(z)(z)

    def inner(
        self, z: Float[Tensor, "*#batch d"], u: Float[Tensor, "*#batch d"], v: Float[Tensor, "*#batch d"]
    ) -> Float[Tensor, "..."]:
        """The product of J_θ u and J_θ v, by two directional derivatives (one where u is v)."""
        return self.resolved(z).inner(z, u, v)

    def resolved(self, z: Float[Tensor, "*batch d"]) -> Metric:
        """The metric of the family that the decoder returns at z."""
        check_points("z", z)
        check_precision("z", z)
        some = z.reshape(-1, z.shape[-1])[:2]
        if self._resolved is not None and (inside_transform() or not self._outdated(some)):
            return self._resolved
        family, _ = self._likelihood.read(some)
        if not inside_transform():
            self._resolved = self._metric_of(family, some)
            self._unmoved = family if self._resolved.immersion is not None and family.fixed else None
            return self._resolved
        try:  # no value can be looked at here, so a point of our own has to do
            with outside_transforms():
                return self._metric_of(
                    family, torch.full((2, z.shape[-1]), 0.5, dtype=z.dtype, device=z.device)
                )
        except RuntimeError:  # the decoder itself is made of their tensors, say of parameters
            return self._metric_of(family, None)

    def _metric_of(self, family: Family, z: Tensor | None) -> Metric:
        """By an immersion where the family has one, for some only if a parameter does not depend on z."""
        likelihood, immersion, root = self._likelihood, family.immersion, family.root
        if immersion is None or (family.fixed is not None and self._moves(family, family.fixed, z)):
            if root is None:
                raise ValueError(
                    f"{likelihood.decoder.name} must return a {family.kind.__name__} whose {family.fixed} is the "
                    f"same for every z, since the Fisher information in {family.fixed} has no closed form: make it a "
                    "constant or a parameter of the decoder"
                )
            return InformationMetric(likelihood, family, root, self._chunk_size)
        # no closure, so that it can be pickled
        image = functools.partial(_image, likelihood, family, immersion)
        return ImmersedMetric(Immersion(image, decoder=likelihood.decoder, chunk_size=self._chunk_size))

    def _outdated(self, z: Tensor) -> bool:
        """Whether a parameter moves by now that did not: a decoder may be given a scale after its mean is trained."""
        family = self._unmoved
        return family is not None and family.fixed is not None and self._moves(family, family.fixed, z)

    def _moves(self, family: Family, parameter: str, z: Tensor | None) -> bool:
        """Whether a parameter depends on z; where no z can be looked at, what is right in both cases, if there is."""
        return family.root is not None if z is None else self._likelihood.moves(z, family, parameter)


def _image(likelihood: Likelihood, family: Family, immersion: Callable[..., Tensor], z: Tensor) -> Tensor:
    """φ(θ(z)) (N, m), φ being the immersion of the family."""
    return immersion(*likelihood.parameters(z, family))[:, None].flatten(1)


def fisher_pullback_metric(decoder: Callable[[Tensor], Any], *, chunk_size: int | None = None) -> Metric:
    """The Fisher information of the distributions that a decoder returns, as a metric of the latent space.

    With θ(z) the parameters of p(x | θ(z)) and I(θ) the Fisher information of their family,

        G(z) = J_θ(z)ᵀ I(θ(z)) J_θ(z) = E_x [∇_z log p(x | z) ∇_z log p(x | z)ᵀ],

    so that KL(p(· | z) || p(· | z + dz)) = 1/2 dzᵀ G dz to second order: a length counts how well the distributions
    along a curve can be told apart, whatever the kind and the units of the data. The entries of one output are
    independent, within ``Independent`` or without, and their information adds up.

    It is exact for every family, to 2e-11 in float64 against quadrature of the score of SciPy's densities
    (tests/metrics/likelihoods.py). Where the family has an immersion φ into a Euclidean space, such as 2 arcsin
    sqrt(p) for Bernoulli, 2 sqrt(rate) for Poisson or 2 sqrt(p) for categories, G is the pull-back metric of
    φ(θ(z)), and geodesics need no more than distances of images. A Normal, LogNormal or MultivariateNormal has one
    where its scale does not depend on z, a Gamma where its concentration does not.

    :func:`expected_pullback_metric` is another metric for Gaussian decoders: the mean of the random metrics of
    samples, J_μᵀJ_μ + J_σᵀJ_σ, in units of the data. This one is J_μᵀ σ⁻² J_μ + 2 J_σᵀ σ⁻² J_σ, and has none.

    Args:
        decoder: any callable from a batch (N, d) to a ``torch.distributions`` distribution of batch shape (N, ...):
            Normal, Bernoulli, Categorical, OneHotCategorical, Poisson, Exponential, Geometric, Beta, Gamma,
            Dirichlet, NegativeBinomial (of a total_count that does not depend on z), LogNormal, MultivariateNormal,
            or Independent of one of them. Give logits rather than probs, which saturate: a probability rounded to
            0 or 1 counts as one that does not move. A distribution that validates its arguments raises for the whole
            batch where one row is NaN; with ``validate_args=False`` solvers flag that row alone.
        chunk_size: at most so many points are decoded at once; None for no bound.

    Returns:
        A :class:`Metric`, differentiable in z and in the parameters of the decoder; per latent unit squared.

    Raises:
        TypeError: the decoder is not callable, or returns something other than a distribution; z is of half
            precision.
        ValueError: the decoder holds BatchNorm or Dropout in training mode; ``chunk_size`` is not positive; the
            distributions are not one for each point; ``total_count`` depends on z.
        NotImplementedError: the family is none of the above.

    References:
        C. R. Rao, "Information and the accuracy attainable in the estimation of statistical parameters", 1945.
        G. Arvanitidis, M. González-Duque, A. Pouplin, D. Kalatzis, S. Hauberg, "Pulling back information geometry",
        2022, arXiv:2106.05367.

    Example:
        >>> import torch
        >>> from torch.distributions import Bernoulli
        >>> from latentgeo import fisher_pullback_metric
        >>> metric = fisher_pullback_metric(lambda z: Bernoulli(logits=z))
        >>> metric(torch.tensor([0.0, 50.0]))  # p (1 - p)
        tensor([[2.5000e-01, 0.0000e+00],
                [0.0000e+00, 1.9287e-22]])
    """
    return FisherMetric(Decoder(decoder), chunk_size)
