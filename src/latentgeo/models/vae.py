"""Variational and plain autoencoders: an encoder and a decoder with a likelihood between them."""

from typing import Literal, Protocol, cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from latentgeo.models.constant_std import ConstantStd

Likelihood = Literal["bernoulli", "gaussian"]


class StdProvider(Protocol):
    """What a Gaussian VAE asks of its `variance`: ConstantStd, NetworkStd and RBFPrecision answer it."""

    def std(self, z: Tensor) -> Tensor:
        """The standard deviation of the outputs at z (..., d): a scalar, or (..., D)."""
        ...


class VAE(nn.Module):
    """A variational autoencoder: p(x | z) p(z), with q(z | x) for its posterior.

    p(z) = N(0, I); p(x | z) is Bernoulli with the decoder's outputs for logits, or
    N(f(z), diag σ(z)²) with f the decoder and σ the submodule `variance`.

    Args:
        encoder: maps data to a `torch.distributions.Distribution` over z that has `rsample`.
        decoder: maps (N, d) to (N, *event).
        likelihood: `"bernoulli"` for data in [0, 1], or `"gaussian"`.
        variance: for `"gaussian"`, a module with `std(z)`; by default one learnable
            `ConstantStd()`. `NetworkStd` is trained with the decoder; `latentgeo.training.fit_precision` puts an
            `RBFPrecision` in its place.

    Raises:
        ValueError: an unknown likelihood, or a variance beside a Bernoulli likelihood.
        TypeError: `variance` is not a module with a method `std`.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2014, arXiv 1312.6114.
        Arvanitidis, Hansen and Hauberg, Latent Space Oddity, 2018, arXiv 1710.11379.

    Examples:
        >>> import torch
        >>> from latentgeo.models import MLPDecoder, MLPEncoder
        >>> vae = VAE(MLPEncoder(64, 2), MLPDecoder(2, 64), likelihood="gaussian")
        >>> vae.decode(vae.encode(torch.zeros(5, 64)).mean).event_shape
        torch.Size([64])
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        likelihood: Likelihood = "bernoulli",
        variance: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f"likelihood: expected 'bernoulli' or 'gaussian', got {likelihood!r}")
        if likelihood == "bernoulli" and variance is not None:
            raise ValueError("variance: expected None with likelihood='bernoulli', which has no variance")
        if variance is not None and not callable(getattr(variance, "std", None)):
            raise TypeError(
                f"variance: expected a module with a method std(z), got {type(variance).__name__}"
            )
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        if likelihood == "gaussian" and variance is None:
            variance = ConstantStd()
        self.variance = variance

    def encode(self, x: Float[Tensor, "..."]) -> Distribution:
        """The posterior q(z | x), with event shape (d,)."""
        return self.encoder(x)

    def decode(self, z: Float[Tensor, "*batch d"]) -> Independent:
        """The likelihood p(x | z), with batch shape (...) and the event shape of one datum.

        Returns:
            `Independent(Bernoulli(logits))` or `Independent(Normal(mean, std))`. Arguments and values
            are not validated: grey levels between 0 and 1 have a Bernoulli score too, and reading
            values would break under `torch.func.vmap`.

        Raises:
            ValueError: the variance has another number of outputs than the decoder.
        """
        # Decoders are promised one batch dimension only: convolutions could not take two.
        # Under autocast networks answer in few bits, too few for a density: both go back to the dtype of z.
        output = self.decoder(z.reshape(-1, z.shape[-1])).to(z.dtype)
        event_dims = output.dim() - 1
        output = output.reshape(z.shape[:-1] + output.shape[1:])
        if self.likelihood == "bernoulli":
            base: Distribution = Bernoulli(logits=output, validate_args=False)
        else:
            std = cast(StdProvider, self.variance).std(z).to(z.dtype)
            if std.dim() > 0:
                if std.numel() != output.numel():
                    raise ValueError(
                        f"variance: expected one standard deviation for each of the decoder's outputs "
                        f"{tuple(output.shape)}, got {tuple(std.shape)}"
                    )
                std = std.reshape(output.shape)
            base = Normal(output, std, validate_args=False)
        return Independent(base, event_dims, validate_args=False)

    def prior(self, like: Float[Tensor, "*batch d"]) -> Independent:
        """p(z) = N(0, I) with event shape (d,), on the device and in the dtype of `like`."""
        shape = like.shape[-1:]
        normal = Normal(like.new_zeros(shape), like.new_ones(shape), validate_args=False)
        return Independent(normal, 1, validate_args=False)

    def forward(self, x: Float[Tensor, "..."]) -> Independent:
        """The reconstruction p(x | z) at the posterior mean z."""
        return self.decode(self.encode(x).mean)


class Autoencoder(nn.Module):
    """A plain autoencoder, without likelihood or prior.

    Args:
        encoder: maps data to tensors (N, d), or to a distribution, whose mean is then taken, so that
            the encoders of this package serve both models.
        decoder: maps (N, d) to (N, *event).

    References:
        Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, 2006,
        doi 10.1126/science.1127647.

    Examples:
        >>> import torch
        >>> from latentgeo.models import MLPDecoder, MLPEncoder
        >>> model = Autoencoder(MLPEncoder(64, 2), MLPDecoder(2, 64))
        >>> model(torch.zeros(5, 64)).shape
        torch.Size([5, 64])
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, x: Float[Tensor, "..."]) -> Float[Tensor, "*batch d"]:
        """The latent point of each datum."""
        code = self.encoder(x)
        return code.mean if isinstance(code, Distribution) else code

    def decode(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "..."]:
        """The decoder's output at latent points."""
        return self.decoder(z)

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The reconstruction of `x`."""
        return self.decode(self.encode(x))
