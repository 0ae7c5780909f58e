"""A standard deviation from a perceptron: the usual decoder's, which knows nothing away from the data."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from latentgeo.models.mlp import Activation, MLPDecoder


class NetworkStd(nn.Module):
    """The standard deviation of a Gaussian decoder as a perceptron of its own.

    σ(z) = s + log(1 + exp h(z)), with h the perceptron and s = `min_std`. It is trained with the mean by the
    evidence lower bound. **Away from the data it extrapolates as it happens to**, often to small values, so that the
    expected pull-back metric does not keep curves near the data: `RBFPrecision` does.

    Args:
        latent_dim: latent dimension, d.
        out_features: number of values in one datum, D.
        hidden: widths of the hidden layers, latent side first; may be empty.
        activation: makes the module between layers; smooth by default, since the metric is made of its derivatives.
        min_std: s, in the units of the data. Without one, outputs that are always right, as the margins of
            digits, have no finite optimum.

    Raises:
        ValueError: a width below one, or a `min_std` that is negative or not finite.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2014, arXiv 1312.6114.
        Arvanitidis, Hansen and Hauberg, Latent Space Oddity, 2018, arXiv 1710.11379.

    Examples:
        >>> import torch
        >>> from latentgeo.models import VAE, MLPDecoder, MLPEncoder
        >>> variance = NetworkStd(2, 64, hidden=(32,))
        >>> vae = VAE(MLPEncoder(64, 2), MLPDecoder(2, 64), likelihood="gaussian", variance=variance)
        >>> vae.decode(torch.zeros(5, 2)).stddev.shape
        torch.Size([5, 64])
    """

    def __init__(
        self,
        latent_dim: int,
        out_features: int,
        *,
        hidden: Sequence[int] = (200, 200),
        activation: Activation = nn.Tanh,
        min_std: float = 1e-2,
    ) -> None:
        super().__init__()
        if not 0.0 <= min_std < float("inf"):
            raise ValueError(f"min_std: expected a non-negative finite number, got {min_std!r}")
        self.min_std = min_std
        self.net = MLPDecoder(
            latent_dim, out_features, hidden=hidden, activation=activation, output_activation=nn.Softplus
        )

    def forward(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch features"]:
        """The standard deviation σ(z), at least s.

        Raises:
            ValueError: the last dimension of `z` is not d.
        """
        # Under autocast the network answers in few bits, to which the sum had better not be rounded.
        return self.min_std + self.net(z).to(z.dtype)

    def std(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch features"]:
        """The standard deviation σ(z), at least s."""
        return self(z)
