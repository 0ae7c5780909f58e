"""The principal components of latents: how many directions carry information, and whether they are axes."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentgeo.diagnostics.arguments import check_latents, check_threshold


@dataclass(frozen=True)
class PCASpectrum:
    """Eigenvalues and eigenvectors of a covariance matrix.

    Attributes:
        eigenvalues: (..., d), in descending order, non-negative.
        components: (..., d, d), unit eigenvectors as rows, in the order of the eigenvalues; the
            entry of largest absolute value is positive. Components of (nearly) equal eigenvalues
            are arbitrary within the space that they span together.

    Examples:
        Points of a line that is no axis: one of two directions carries information.

        >>> import torch
        >>> spectrum = pca_spectrum(torch.tensor([[-3.0, -4.0], [0.0, 0.0], [3.0, 4.0]]))
        >>> spectrum.informative(), spectrum.eigenvalues.round(decimals=3)
        (tensor([ True, False]), tensor([25.,  0.]))
        >>> spectrum.components[0]
        tensor([0.6000, 0.8000])
    """

    eigenvalues: Float[Tensor, "*batch d"]
    components: Float[Tensor, "*batch d d"]

    @property
    def max_loadings(self) -> Float[Tensor, "*batch d"]:
        """The largest |entry| of each component, (..., d): 1 where it is an axis, d^(-1/2) at the least."""
        return self.components.abs().amax(-1)

    def informative(self, threshold: float = 0.01) -> Bool[Tensor, "*batch d"]:
        """Which components have an eigenvalue above `threshold`, (..., d); `sum(-1)` counts them.

        Args:
            threshold: in squared units of the data.

        Raises:
            ValueError: a negative threshold.

        References:
            Peste, Malagò and Sârbu, An Explanatory Analysis of the Geometry of Latent Variables Learned by
            Variational Auto-Encoders, 2017.
        """
        check_threshold(threshold)
        return self.eigenvalues > threshold


def pca_spectrum(x: Float[Tensor, "*batch n d"]) -> PCASpectrum:
    """The spectrum of the covariance of `x`, by singular values of the centred data in float64.

    Cov = 1/(N - 1) Σ_n (x_n - x̄)(x_n - x̄)ᵀ. Singular values keep small eigenvalues to full
    precision relative to the largest singular value, where an eigendecomposition loses half the digits.

    Args:
        x: (..., N, d), posterior means or samples, or data; at least two rows. With fewer than d + 1, the
            eigenvalues beyond the rank are zero.

    Raises:
        ValueError: fewer than two rows, or non-finite values.
        TypeError: not a floating tensor.

    References:
        Jolliffe, Principal Component Analysis, 2002, doi 10.1007/b98835.

    Examples:
        >>> import torch
        >>> spectrum = pca_spectrum(torch.tensor([[0.0, 3.0], [0.0, -3.0], [1.0, 0.0], [-1.0, 0.0]]))
        >>> spectrum.eigenvalues, spectrum.max_loadings
        (tensor([6.0000, 0.6667]), tensor([1., 1.]))
    """
    check_latents("x", x)
    rows, dims = x.shape[-2:]
    centred = x.double() - x.double().mean(-2, keepdim=True)
    # The triangle has the same singular values and right vectors, and at most d rows.
    triangle = torch.linalg.qr(centred, mode="r").R
    _, values, components = torch.linalg.svd(triangle, full_matrices=True)
    eigenvalues = values.square() / (rows - 1)
    if rows < dims:
        eigenvalues = torch.nn.functional.pad(eigenvalues, (0, dims - rows))
    return PCASpectrum(eigenvalues.to(x.dtype), _signed(components).to(x.dtype))


def _signed(components: Tensor) -> Tensor:
    """The same vectors, each with its largest entry positive, since an eigenvector has no sign of its own."""
    largest: Int[Tensor, "*batch d 1"] = components.abs().argmax(-1, keepdim=True)
    return components * components.gather(-1, largest).sign()
