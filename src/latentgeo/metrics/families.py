"""The families of distributions whose Fisher information is known, and which of them a decoder has returned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Dirichlet,
    Distribution,
    Exponential,
    Gamma,
    Geometric,
    Independent,
    LogNormal,
    MultivariateNormal,
    NegativeBinomial,
    Normal,
    OneHotCategorical,
    Poisson,
)

from latentgeo.metrics import family_immersions as immersions
from latentgeo.metrics import family_information as information

SUPPORTED = (
    "Normal, Bernoulli, Categorical, OneHotCategorical, Poisson, Exponential, Geometric, Beta, Gamma, Dirichlet, "
    "NegativeBinomial (of a fixed total_count), LogNormal, MultivariateNormal, and Independent of each"
)


Root = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Family:
    """A family of distributions in one of its parametrisations.

    Attributes:
        kind: its class.
        parameters: the attributes that hold the parameters θ.
        immersion: θ -> φ(θ) with J_φᵀ J_φ = I(θ), where there is one.
        fixed: the parameter that must not move for that to be true, if there is one.
        root: (θ, dθ) -> tensors whose squares add up to dθᵀ I(θ) dθ, for where there is no immersion.
    """

    kind: type[Distribution]
    parameters: tuple[str, ...]
    immersion: Callable[..., Tensor] | None = None
    fixed: str | None = None
    root: Root | None = None

    def __str__(self) -> str:
        return f"{self.kind.__name__}({', '.join(self.parameters)})"


_FAMILIES = (
    Family(Bernoulli, ("logits",), immersions.bernoulli_of_logits),
    Family(Bernoulli, ("probs",), immersions.bernoulli_of_probs),
    Family(Categorical, ("logits",), immersions.categorical_of_logits),
    Family(Categorical, ("probs",), immersions.categorical_of_probs),
    Family(Poisson, ("rate",), immersions.poisson),
    Family(Exponential, ("rate",), immersions.exponential),
    Family(Geometric, ("logits",), immersions.geometric_of_logits),
    Family(Geometric, ("probs",), immersions.geometric_of_probs),
    Family(
        NegativeBinomial, ("total_count", "logits"), immersions.negative_binomial_of_logits, "total_count"
    ),
    Family(NegativeBinomial, ("total_count", "probs"), immersions.negative_binomial_of_probs, "total_count"),
    Family(Normal, ("loc", "scale"), immersions.normal_of_fixed_scale, "scale", information.normal),
    Family(
        MultivariateNormal,
        ("loc", "scale_tril"),
        immersions.multivariate_normal_of_fixed_scale,
        "scale_tril",
        information.multivariate_normal,
    ),
    Family(
        Gamma,
        ("concentration", "rate"),
        immersions.gamma_of_fixed_concentration,
        "concentration",
        information.gamma,
    ),
    Family(Beta, ("concentration1", "concentration0"), root=information.beta),
    Family(Dirichlet, ("concentration",), root=information.dirichlet),
)


def family_of(distribution: Distribution) -> tuple[Family, Distribution]:
    """The family, and the distribution within Independent that has its parameters.

    Raises:
        NotImplementedError: the family is none of those that are known.
    """
    inner = distribution
    while isinstance(inner, Independent | LogNormal | OneHotCategorical):
        # logarithms, and numbers for categories, are other names of the same outcomes
        inner = inner._categorical if isinstance(inner, OneHotCategorical) else inner.base_dist
    held = list(
        vars(inner)
    )  # in the order in which they came: what was given is before what was derived from it
    known = [family for family in _FAMILIES if isinstance(inner, family.kind)]
    if not known:
        raise NotImplementedError(
            f"decoder returned a distribution of the family {type(inner).__name__}, whose Fisher information is not "
            f"known here; the supported families are {SUPPORTED}"
        )
    if len(known) == 1:
        return known[0], inner
    return min(
        (f for f in known if f.parameters[-1] in held), key=lambda f: held.index(f.parameters[-1])
    ), inner
