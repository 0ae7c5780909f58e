"""A normal whose coordinates form a chain: tridiagonal precision, everything in linear time."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions.kl import register_kl
from torch.nn.functional import pad

from latentgeo.models.precision_normal import PrecisionNormal, Vector, check_event_shapes, whitened_kl
from latentgeo.models.recurrence import solve_recurrence


class ChainNormal(PrecisionNormal):
    """N(μ, P⁻¹) with a tridiagonal precision P = L Lᵀ, L lower bidiagonal.

    L has aᵢ > 0 on its diagonal and bᵢ = L[i+1, i] below it, so that y = z - μ is the Markov chain

        yₖ = εₖ / aₖ,   yᵢ = (εᵢ - bᵢ yᵢ₊₁) / aᵢ,   ε ~ N(0, I),

    and the variances are vₖ = 1 / aₖ², vᵢ = (1 + bᵢ² vᵢ₊₁) / aᵢ². Samples, densities, variances, entropy, and the
    Kullback-Leibler divergence to a diagonal normal or to another chain take time and memory linear in k, in
    O(log k) batched operations. Where |bᵢ| > aᵢ along many coordinates the variances grow exponentially, which
    belongs to the distribution: start networks with b near zero.

    Args:
        mean: μ, (..., k).
        diagonal: a, (..., k), positive.
        off_diagonal: b, (..., k-1).
        validate_args: whether values are looked at; shapes always are. None follows torch's default. Under
            `torch.func.vmap` it must be False.

    The three broadcast in their leading dimensions, which are the batch shape.

    Raises:
        TypeError: an argument is not a floating-point tensor.
        ValueError: shapes that do not match, dtypes or devices that differ, or values outside their range.

    References:
        Malagò, Peşte and Sârbu, Variational AutoEncoder: An Introduction and Recent Perspectives (slides,
        Romanian Institute of Science and Technology).
        Rue and Held, Gaussian Markov Random Fields, 2005.

    Examples:
        >>> import torch
        >>> from torch.distributions import Independent, Normal, kl_divergence
        >>> q = ChainNormal(torch.zeros(3), torch.ones(3), torch.tensor([-0.5, -0.5]))
        >>> q.precision_matrix
        tensor([[ 1.0000, -0.5000,  0.0000],
                [-0.5000,  1.2500, -0.5000],
                [ 0.0000, -0.5000,  1.2500]])
        >>> q.variance
        tensor([1.3125, 1.2500, 1.0000])
        >>> kl_divergence(q, Independent(Normal(torch.zeros(3), torch.ones(3)), 1))
        tensor(0.2812)
    """

    @property
    def variance(self) -> Vector:
        """The diagonal of the covariance, (..., k)."""
        offsets = self.diagonal.square().reciprocal()
        return _solve_along_last(self._factors.square(), offsets)

    @property
    def _factors(self) -> Float[Tensor, "*batch edges"]:
        """-bᵢ / aᵢ, (..., k-1): the conditional mean of yᵢ is this times yᵢ₊₁."""
        return -self.off_diagonal / self.diagonal[..., :-1]

    def _num_off_diagonal(self, k: int) -> int:
        return k - 1

    def _whiten(self, y: Tensor) -> Tensor:
        return self.diagonal * y + pad(self.off_diagonal * y[..., 1:], (0, 1))

    def _unwhiten(self, eps: Tensor) -> Tensor:
        return _solve_along_last(self._factors, eps / self.diagonal)


@register_kl(ChainNormal, ChainNormal)
def _kl_of_chains(p: ChainNormal, q: ChainNormal) -> Tensor:
    check_event_shapes(p, q)
    # (Lᵀ y)ᵢ = aᵢ yᵢ + bᵢ yᵢ₊₁ with the L of q, where yᵢ is p's step from yᵢ₊₁: two independent terms
    fresh = q.diagonal / p.diagonal
    carried = q.off_diagonal + q.diagonal[..., :-1] * p._factors
    variance = fresh.square() + pad(carried.square() * p.variance[..., 1:], (0, 1))
    return whitened_kl(variance, q._whiten(p.mean - q.mean), -fresh.log())


def _solve_along_last(factors: Tensor, offsets: Tensor) -> Tensor:
    """The recurrence along the last dimension; `offsets` may have leading dimensions that `factors` lack."""
    factors = factors.reshape(*(1,) * (offsets.dim() - factors.dim()), *factors.shape)
    # whole batches lie together in memory, so that the strides of the reduction cost nothing
    first = factors.movedim(-1, 0).contiguous(), offsets.movedim(-1, 0).contiguous()
    return solve_recurrence(*first, compose=torch.mul).movedim(0, -1)
