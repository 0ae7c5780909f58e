"""Multilayer perceptrons: an encoder with a Gaussian posterior, and a decoder."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from latentgeo.models.arguments import check_count, is_count
from latentgeo.models.heads import Posterior, PosteriorHead

Activation = Callable[[], nn.Module]


class MLPEncoder(nn.Module):
    """A perceptron from data to a Gaussian over the latent space.

    The hidden layers, each followed by the activation, then one linear layer to the parameters of q(z | x): by
    default N(μ(x), diag σ(x)²) from (μ, log σ²). The weights have PyTorch's initialization.

    Args:
        in_features: number of values in one datum, D.
        latent_dim: latent dimension, d.
        hidden: widths of the hidden layers, input side first; may be empty.
        activation: makes the module between layers, such as `nn.ReLU`.
        posterior: family of q(z | x), see `PosteriorHead`.

    Raises:
        ValueError: a width below one, or an unknown posterior.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2014, arXiv 1312.6114.

    Examples:
        >>> import torch
        >>> encoder = MLPEncoder(64, 2, hidden=(32,))
        >>> encoder(torch.zeros(5, 1, 8, 8)).mean.shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        in_features: int,
        latent_dim: int,
        *,
        hidden: Sequence[int] = (200, 200),
        activation: Activation = nn.ReLU,
        posterior: Posterior = "diagonal",
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.latent_dim = latent_dim
        _check_widths({"in_features": in_features, "latent_dim": latent_dim}, hidden)
        widths = (in_features, *hidden)
        self.net = nn.Sequential(*_hidden_layers(widths, activation))
        self.head = PosteriorHead(widths[-1], latent_dim, posterior)

    def forward(self, x: Float[Tensor, "..."]) -> Distribution:
        """q(z | x), with batch shape (...) and event shape (d,).

        Args:
            x: data (..., D), or shaped like images (N, C, H, W) with C·H·W = D.

        Raises:
            ValueError: neither the last dimension nor one datum of `x` holds D values.
        """
        return self.head(self.net(_flat(x, self.in_features)))


class MLPDecoder(nn.Module):
    """A perceptron from the latent space to data. The weights have PyTorch's initialization.

    Args:
        latent_dim: latent dimension, d.
        out_features: number of values in one datum, D.
        hidden: widths of the hidden layers, latent side first; may be empty.
        activation: makes the module between layers. ReLU leaves JᵀJ piecewise constant; take a
            smooth one (`nn.Softplus`, `nn.Tanh`, `nn.ELU`) where curvature or geodesic equations matter.
        output_activation: makes the module after the last layer; None leaves it linear, as the
            logits of a Bernoulli likelihood need.

    Raises:
        ValueError: a width below one.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2014, arXiv 1312.6114, appendix C.

    Examples:
        >>> import torch
        >>> MLPDecoder(2, 64, hidden=(32,), activation=nn.Tanh)(torch.zeros(5, 2)).shape
        torch.Size([5, 64])
    """

    def __init__(
        self,
        latent_dim: int,
        out_features: int,
        *,
        hidden: Sequence[int] = (200, 200),
        activation: Activation = nn.ReLU,
        output_activation: Activation | None = None,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.out_features = out_features
        _check_widths({"latent_dim": latent_dim, "out_features": out_features}, hidden)
        widths = (latent_dim, *hidden)
        layers = [*_hidden_layers(widths, activation), nn.Linear(widths[-1], out_features)]
        if output_activation is not None:
            layers.append(output_activation())
        self.net = nn.Sequential(*layers)

    def forward(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch features"]:
        """Decode latent points.

        Raises:
            ValueError: the last dimension of `z` is not d.
        """
        if z.shape[-1:] != (self.latent_dim,):
            raise ValueError(f"z: expected shape (..., {self.latent_dim}), got {tuple(z.shape)}")
        return self.net(z)


def _check_widths(widths: dict[str, int], hidden: Sequence[int]) -> None:
    """Refuse a layer without units, naming the argument it came by."""
    for name, width in widths.items():
        check_count(name, width)
    if not all(map(is_count, hidden)):
        raise ValueError(f"hidden: expected positive integers, got {tuple(hidden)!r}")


def _hidden_layers(widths: tuple[int, ...], activation: Activation) -> list[nn.Module]:
    """Linear layers through `widths`, each followed by the activation."""
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [nn.Linear(width, following), activation()]
    return layers


def _flat(x: Tensor, features: int) -> Tensor:
    """`x` as (..., features), where one datum of it may have the shape of an image."""
    if x.shape[-1:] == (features,):
        return x
    if x.dim() > 2 and x.shape[1:].numel() == features:
        return x.flatten(1)
    raise ValueError(
        f"x: expected shape (..., {features}) or (N, C, H, W) with C·H·W = {features}, got {tuple(x.shape)}"
    )
