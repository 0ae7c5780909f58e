"""The variational Rényi bound, from the logarithms of importance weights."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def renyi_bound(log_weights: Float[Tensor, "samples *batch"], alpha: int | float) -> Float[Tensor, "*batch"]:
    """The variational Rényi bound of order α, estimated from samples.

    With l_s = log p(x, z_s) - log q(z_s | x) and b = 1 - α,

        L_α = (1/b) log[ (1/S) Σ_s exp(b l_s) ],

    and its limits: the mean of l at α = 1 (the evidence lower bound), its maximum at α = -∞, its minimum at
    α = ∞. α = 0 is the bound of importance-weighted autoencoders. Its gradient in l is softmax(b l). For fixed
    samples it never increases with α. It is a lower bound of log p(x) in expectation for α >= 0.

    Every order is computed as m + log1p(mean(expm1(b (l - m)))) / b, m being the maximum for b > 0 and the
    minimum for b < 0, or with log and exp alone where the mean is near -1, in float32 at least: no digits are lost
    near α = 1, nothing overflows. A sample of weight zero, l = -∞, counts as such; with α >= 1 it makes the bound
    -∞. Where the bound is infinite the gradient is shared by the samples that make it so, as that of a minimum is.

    Args:
        log_weights: l, (S, ...), such as `latentgeo.training.log_weights` gives. NaN makes its bounds NaN.
        alpha: α, any number from -∞ to ∞.

    Returns:
        The bounds (...), differentiable.

    Raises:
        ValueError: α is NaN, or there are no samples.
        TypeError: the logarithms are not floating.

    References:
        Li and Turner, Rényi divergence variational inference, 2016, arXiv 1602.02311.
        Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, 2016, arXiv 1509.00519.

    Examples:
        >>> import torch
        >>> logs = torch.tensor([[-1.0], [-3.0]])
        >>> [round(float(renyi_bound(logs, alpha)), 4) for alpha in (-torch.inf, 0.0, 1.0, torch.inf)]
        [-1.0, -1.5662, -2.0, -3.0]
    """
    if math.isnan(alpha):
        raise ValueError("alpha: expected a number from -inf to inf, got nan")
    if not log_weights.is_floating_point():
        raise TypeError(f"log_weights: expected floating values, got {log_weights.dtype}")
    if log_weights.dim() < 1 or len(log_weights) < 1:
        raise ValueError(
            f"log_weights: expected shape (S, ...), S at least 1, got {tuple(log_weights.shape)}"
        )
    order = 1.0 - alpha
    if order == 0.0:
        return log_weights.mean(0)
    logs = log_weights.to(torch.promote_types(log_weights.dtype, torch.float32))
    extreme = logs.amax(0) if order > 0.0 else logs.amin(0)
    # Above the largest number of the dtype the order would be infinite there, and is as good as it.
    if abs(order) > torch.finfo(logs.dtype).max:
        return extreme.to(log_weights.dtype)
    finite = extreme.isfinite()
    center = torch.where(finite, extreme, 0.0).detach()
    powers = order * (torch.where(finite, logs, 0.0) - center)  # at most 0, and 0 for one sample
    change = powers.expm1().mean(0)
    near = change > -0.5
    log_mean = torch.where(near, torch.where(near, change, 0.0).log1p(), powers.exp().mean(0).log())
    return torch.where(finite, center + log_mean / order, extreme).to(log_weights.dtype)
