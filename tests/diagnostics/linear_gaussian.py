"""A latent variable model whose likelihood, posterior and reconstruction errors are known in closed form."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal


@dataclass
class LinearGaussian:
    """x = W z + b + s ε, with z and ε standard normal; it notes the batches that it is called with.

    `stretch` widens the exact posterior N(μ, Σ) to N(μ, stretch² Σ).
    """

    weight: Tensor
    bias: Tensor
    std: float
    stretch: float = 1.0
    encoded: list[int] = field(default_factory=list)
    decoded: list[Tensor] = field(default_factory=list)

    @classmethod
    def random(cls, dim: int, outputs: int, *, dtype=torch.float64, std: float = 0.7, **options):
        g = torch.Generator().manual_seed(7)
        weight, bias = (
            torch.randn(shape, dtype=torch.float64, generator=g).to(dtype)
            for shape in ((outputs, dim), (outputs,))
        )
        return cls(weight, bias, std, **options)

    def encode(self, x: Tensor) -> Distribution:
        self.encoded.append(len(x))
        identity = torch.eye(self.weight.shape[1]).to(x)
        precision = identity + self.weight.T @ self.weight / self.std**2
        mean = torch.linalg.solve(precision, self.weight.T @ (x - self.bias).T / self.std**2).T
        return MultivariateNormal(mean, precision_matrix=precision / self.stretch**2)

    def decode(self, z: Tensor) -> Distribution:
        self.decoded.append(z)
        return Independent(Normal(z @ self.weight.T + self.bias, self.std), 1)

    def exact(self, x: Tensor) -> Tensor:
        """Log N(x; b, W Wᵀ + s² I)."""
        noise = self.std**2 * torch.eye(len(self.bias)).to(x)
        return MultivariateNormal(self.bias, self.weight @ self.weight.T + noise).log_prob(x)

    def sample(self, count: int, seed: int = 1234) -> Tensor:
        # A seed that no test gives to the library: latents of data and of posteriors must not be the same numbers.
        g = torch.Generator().manual_seed(seed)
        z, noise = (
            torch.randn(count, n, dtype=torch.float64, generator=g).to(self.bias) for n in self.weight.T.shape
        )
        return z @ self.weight.T + self.bias + self.std * noise
