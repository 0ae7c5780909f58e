"""Immersions of families of distributions: maps φ into a Euclidean space with J_φᵀ J_φ the Fisher information.

Distances of images are then Fisher-Rao lengths: arcs of a sphere for categories, straight for a single parameter, of
which φ is the arc length ∫ sqrt(I(θ)) dθ. Each is written so that neither value nor derivatives overflow, or lose
digits, where a probability is so close to 0 or 1 that only its logit can tell.

References:
    C. R. Rao, "Information and the accuracy attainable in the estimation of statistical parameters", 1945.
    C. Atkinson, A. F. S. Mitchell, "Rao's distance measure", Sankhyā A 43, 1981.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def bernoulli_of_logits(logits: Tensor) -> Tensor:
    """2 arcsin sqrt(p) = 2 arctan exp(x/2), of x = log p/(1 - p); its derivative is 1 / (2 cosh(x/2))."""
    # beyond the largest finite exp(x) the information p (1 - p) = exp(-x) underflows
    largest = math.log(torch.finfo(logits.dtype).max)
    return 2 * (logits.clamp(max=largest) / 2).exp().atan()


def bernoulli_of_probs(probs: Tensor) -> Tensor:
    """2 arcsin sqrt(p), with derivative 0 at 0 and at 1."""
    certain = (probs == 0) | (probs == 1)
    p = torch.where(certain, 0.5, probs)
    arc = 2 * torch.atan2(p.sqrt(), (1 - p).sqrt())
    return torch.where(certain, math.pi * (probs == 1).to(probs), arc)


def categorical_of_logits(logits: Tensor) -> Tensor:
    """2 sqrt(p) = 2 exp(x/2), of x = log p: the sphere of radius 2."""
    return 2 * (logits / 2).exp()


def categorical_of_probs(probs: Tensor) -> Tensor:
    """2 sqrt(p): the sphere of radius 2."""
    return 2 * _root(probs)


def poisson(rate: Tensor) -> Tensor:
    """2 sqrt(λ), since I(λ) = 1/λ."""
    return 2 * _root(rate)


def exponential(rate: Tensor) -> Tensor:
    """The logarithm of λ, since I(λ) = 1/λ²."""
    return rate.log()


def geometric_of_logits(logits: Tensor) -> Tensor:
    """2 artanh sqrt(1 - p) = 2 log(1 + sqrt(1 - p)) - log p, since I(p) = 1 / (p² (1 - p)); of x = log p/(1 - p)."""
    return 2 * (logsigmoid(-logits) / 2).exp().log1p() - logsigmoid(logits)


def geometric_of_probs(probs: Tensor) -> Tensor:
    """2 artanh sqrt(1 - p) = 2 log(1 + sqrt(1 - p)) - log p."""
    return 2 * _root(1 - probs).log1p() - probs.log()


def negative_binomial_of_logits(total_count: Tensor, logits: Tensor) -> Tensor:
    """2 sqrt(r) artanh sqrt(p), since I(p) = r / (p (1 - p)²): the sum of r geometric variables of 1 - p."""
    return total_count.sqrt() * geometric_of_logits(-logits)


def negative_binomial_of_probs(total_count: Tensor, probs: Tensor) -> Tensor:
    """2 sqrt(r) artanh sqrt(p)."""
    return total_count.sqrt() * (2 * _root(probs).log1p() - torch.log1p(-probs))


def normal_of_fixed_scale(loc: Tensor, scale: Tensor) -> Tensor:
    """μ/σ."""
    return loc / scale


def multivariate_normal_of_fixed_scale(loc: Tensor, scale_tril: Tensor) -> Tensor:
    """L⁻¹ μ, of the covariance Σ = L Lᵀ: distances are those of Mahalanobis."""
    return torch.linalg.solve_triangular(scale_tril, loc[..., None], upper=False)


def gamma_of_fixed_concentration(concentration: Tensor, rate: Tensor) -> Tensor:
    """sqrt(α) log β, since I(β) = α/β²."""
    return concentration.sqrt() * rate.log()


def _root(x: Tensor) -> Tensor:
    """sqrt(x), with derivative 0 at 0: a probability that has been rounded to 0 or 1 does not move any more."""
    zero = x == 0
    return torch.where(zero, 0, torch.where(zero, 1, x).sqrt())
