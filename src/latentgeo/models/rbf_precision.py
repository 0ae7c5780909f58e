"""A precision that fades away from the data: radial basis functions over the latent space."""

import numpy as np
import torch
from jaxtyping import Float
from sklearn.cluster import KMeans
from torch import Tensor, nn

from latentgeo.models.arguments import check_count
from latentgeo.models.autocast import without_autocast

# Below this fraction of the distance to the nearest other centre, a cluster's extent is rounding error.
_NO_EXTENT = 1e-6


class RBFPrecision(nn.Module):
    """The precision of a Gaussian decoder as a positive combination of radial basis functions.

    β(z) = W v(z) + ζ,  v_k(z) = exp(-λ_k |z - c_k|²),  σ(z) = β(z)^(-1/2),  W = exp(log_weight) > 0.

    Near the centres the precision is what W says; far from all of them it falls to ζ, so that σ
    rises to ζ^(-1/2) where there were no data. It rises on the way out, and there J_σᵀJ_σ makes
    paths expensive. **Farther out σ is flat**, its Jacobian vanishes and the expected pull-back
    metric becomes cheap again: a minimizing curve that starts far outside, or that can go around the
    data at many bandwidths' distance, may do so.

    Args:
        centers: c, (K, d).
        bandwidths: λ, (K,), positive, in units of 1 / latent length squared.
        out_features: number of outputs, D.
        zeta: ζ, positive: the precision at infinity, in units of 1 / data squared.

    Centres, bandwidths and ζ are buffers; `log_weight` (D, K), zero at first, is the only parameter.

    Raises:
        TypeError: centres that are not floating.
        ValueError: shapes that do not match, or values that are not positive and finite in the dtype of the centres.

    References:
        Que and Belkin, Back to the future: radial basis function networks revisited, 2016.
        Arvanitidis, Hansen and Hauberg, Latent Space Oddity, 2018, arXiv 1710.11379.

    Examples:
        >>> import torch
        >>> precision = RBFPrecision(torch.zeros(1, 2), torch.ones(1), 3, zeta=0.01)
        >>> precision.std(torch.tensor([[0.0, 0.0], [9.0, 0.0]])).mean(1) > 9.9
        tensor([False,  True])
    """

    centers: Tensor
    bandwidths: Tensor
    zeta: Tensor

    def __init__(
        self,
        centers: Float[Tensor, "k d"],
        bandwidths: Float[Tensor, " k"],
        out_features: int,
        *,
        zeta: float,
    ) -> None:
        super().__init__()
        if centers.dim() != 2 or len(centers) == 0:
            raise ValueError(f"centers: expected shape (K, d) with K at least 1, got {tuple(centers.shape)}")
        if not centers.is_floating_point():
            raise TypeError(f"centers: expected floating values, got {centers.dtype}")
        if not bool(centers.isfinite().all()):
            raise ValueError("centers: expected finite values, got NaN or infinity among them")
        if bandwidths.shape != centers.shape[:1]:
            raise ValueError(f"bandwidths: expected shape ({len(centers)},), got {tuple(bandwidths.shape)}")
        check_count("out_features", out_features)
        self.out_features = out_features
        self.register_buffer("centers", centers.detach().clone())
        self.register_buffer("bandwidths", bandwidths.detach().to(centers).clone())
        self.register_buffer("zeta", centers.new_tensor(zeta))
        # As they are in the dtype of the centres, where small ones may have become zero.
        if not bool((self.bandwidths.isfinite() & (self.bandwidths > 0)).all()):
            raise ValueError(
                f"bandwidths: expected positive finite values in {centers.dtype}, got others among them"
            )
        if not 0.0 < float(self.zeta) < float("inf"):
            raise ValueError(f"zeta: expected a positive finite number in {centers.dtype}, got {zeta!r}")
        self.log_weight = nn.Parameter(centers.new_zeros(out_features, len(centers)))

    @classmethod
    def from_latents(
        cls,
        latents: Float[Tensor, "n d"],
        num_centers: int,
        out_features: int,
        *,
        a: float = 1.0,
        zeta: float = 1e-2,
        random_state: int | np.random.RandomState | None = None,
    ) -> "RBFPrecision":
        """Centres by k-means, bandwidths by the clusters' extents.

        λ_k = ½ (a r_k)^(-2), with r_k = 1/|C_k| Σ_{j ∈ C_k} |z_j - c_k|. A cluster without extent, of one
        point or of duplicates, takes the distance to the nearest other centre for r_k: the
        function then reaches its neighbours, instead of being infinitely narrow.

        Args:
            latents: encoded data, (N, d).
            num_centers: K, at most the number of distinct points.
            out_features: number of outputs, D.
            a: width of the functions in units of the clusters' extents.
            zeta: ζ; the default means σ = 10 at infinity, large for data in [0, 1].
            random_state: of k-means, in scikit-learn's sense.

        Raises:
            ValueError: fewer distinct points than centres, or only one distinct point, which has no scale;
                non-finite latents; options out of range.
            TypeError: latents that are not floating.

        Examples:
            >>> import torch
            >>> z = torch.tensor([[0.0, 0.0], [0.0, 2.0], [8.0, 0.0]])
            >>> RBFPrecision.from_latents(z, 2, 5, random_state=0).centers.shape
            torch.Size([2, 2])
        """
        if latents.dim() != 2:
            raise ValueError(f"latents: expected shape (N, d), got {tuple(latents.shape)}")
        if not latents.is_floating_point():
            raise TypeError(f"latents: expected floating values, got {latents.dtype}")
        if not 0.0 < a < float("inf"):
            raise ValueError(f"a: expected a positive finite number, got {a!r}")
        check_count("num_centers", num_centers)
        points = latents.detach().cpu().double().numpy()
        if not np.isfinite(points).all():
            raise ValueError("latents: expected finite values, got NaN or infinity among them")
        distinct = len(np.unique(points, axis=0))
        if distinct < max(num_centers, 2):
            raise ValueError(
                f"latents: expected at least {max(num_centers, 2)} distinct points "
                f"for num_centers={num_centers}, got {distinct}"
            )
        clusters = KMeans(num_centers, n_init="auto", random_state=random_state).fit(points)
        centers = np.asarray(clusters.cluster_centers_)
        extents = _extents(points, centers, np.asarray(clusters.labels_))
        bandwidths = 0.5 / (a * extents) ** 2
        return cls(latents.new_tensor(centers), latents.new_tensor(bandwidths), out_features, zeta=zeta)

    def basis(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch k"]:
        """v(z), between 0 and 1.

        Raises:
            ValueError: the last dimension of `z` is not d.
        """
        if z.shape[-1:] != self.centers.shape[1:]:
            raise ValueError(f"z: expected shape (..., {self.centers.shape[1]}), got {tuple(z.shape)}")
        difference = z.unsqueeze(-2) - self.centers
        # Summed squares, not torch.cdist, whose derivatives at zero distance are not those of |z - c|².
        return torch.exp(-self.bandwidths * difference.square().sum(-1))

    def forward(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch features"]:
        """The precision β(z), above ζ."""
        with without_autocast(z.device):
            return nn.functional.linear(self.basis(z), self.log_weight.exp()) + self.zeta

    def std(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch features"]:
        """The standard deviation σ(z) = β(z)^(-1/2), below ζ^(-1/2)."""
        return self(z).rsqrt()


def _extents(points: np.ndarray, centers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean distance to its centre in each cluster; to the nearest other centre where that is no distance."""
    count = len(centers)
    distances = np.linalg.norm(points - centers[labels], axis=1)
    sizes = np.bincount(labels, minlength=count)
    extents = np.bincount(labels, weights=distances, minlength=count) / np.maximum(sizes, 1)
    if count == 1:
        return extents
    between = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
    np.fill_diagonal(between, np.inf)
    nearest = between.min(axis=1)
    return np.where(extents > _NO_EXTENT * nearest, extents, nearest)
