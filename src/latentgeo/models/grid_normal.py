"""A normal whose coordinates form a grid: block tridiagonal precision, linear time for rows of a fixed width."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions.kl import register_kl
from torch.nn.functional import pad

from latentgeo.models.arguments import is_count
from latentgeo.models.autocast import without_autocast
from latentgeo.models.precision_normal import PrecisionNormal, Vector, whitened_kl
from latentgeo.models.recurrence import solve_recurrence


class GridNormal(PrecisionNormal):
    """N(μ, P⁻¹) on an extended grid: P = L Lᵀ block tridiagonal, L lower block bidiagonal, of bidiagonal blocks.

    Coordinate r · columns + j is the site (r, j). The column of L that belongs to a site has its diagonal a > 0 and
    the entries towards its neighbours to the right (r, j+1), below (r+1, j) and obliquely below (r+1, j+1):

        a y(r, j) + right y(r, j+1) + below y(r+1, j) + oblique y(r+1, j+1) = ε(r, j),   y = z - μ,

    which is Lᵀ y = ε, a Markov mesh. The precision then joins each site to its eight neighbours and to no others: the
    grid extended by both diagonals. (A regular grid's precision has a Cholesky factor that fills in.)

    With A the diagonal blocks of L, one a row, and B those below them, samples and covariances of rows follow

        yᵣ = Cᵣ yᵣ₊₁ + Aᵣ⁻ᵀ εᵣ,   Σᵣ = Cᵣ Σᵣ₊₁ Cᵣᵀ + Aᵣ⁻ᵀ Aᵣ⁻¹,   Cᵣ = -Aᵣ⁻ᵀ Bᵣᵀ.

    The density and the entropy are linear in k = rows · columns; samples, variances and Kullback-Leibler divergences
    take time k w², with w the shorter side: linear in k for a fixed width. The structure is the same with rows and
    columns exchanged, so that it does not matter which side is the shorter. A single row or column is a chain.

    Strong couplings cost digits of the variances, since the terms of Σᵣ may cancel: in float32, on a grid of 8 by 6
    with a between 1/2 and 2, their relative error was 1e-6 for entries of size 1/2 and 5e-4 for entries of size 3.

    Args:
        mean: μ, (..., k).
        diagonal: a, (..., k), positive.
        off_diagonal: (..., m) with m = `num_parameters(shape)`: all entries to the right, rows · (columns-1), then
            all below, (rows-1) · columns, then all oblique ones, (rows-1) · (columns-1); each part row by row.
        shape: (rows, columns) of the grid.
        validate_args: whether values are looked at; shapes always are. None follows torch's default. Under
            `torch.func.vmap` it must be False.

    The three broadcast in their leading dimensions, which are the batch shape.

    Raises:
        TypeError: an argument is not a floating-point tensor.
        ValueError: shapes that do not match, dtypes or devices that differ, or values outside their range.

    References:
        Malagò, Peşte and Sârbu, Variational AutoEncoder: An Introduction and Recent Perspectives (slides,
        Romanian Institute of Science and Technology).
        Abend, Harley and Kanal, Classification of Binary Random Patterns, 1965 (Markov meshes).
        Rue and Held, Gaussian Markov Random Fields, 2005.

    Examples:
        >>> import torch
        >>> GridNormal.num_parameters((2, 3))
        9
        >>> q = GridNormal(torch.zeros(6), torch.ones(6), torch.full((9,), -0.5), shape=(2, 3))
        >>> q.variance.reshape(2, 3)
        tensor([[3.3281, 2.5000, 1.2500],
                [1.3125, 1.2500, 1.0000]])
        >>> q.rsample((5,)).shape
        torch.Size([5, 6])
    """

    def __init__(
        self,
        mean: Float[Tensor, "*#batch k"],
        diagonal: Float[Tensor, "*#batch k"],
        off_diagonal: Float[Tensor, "*#batch edges"],
        shape: tuple[int, int],
        validate_args: bool | None = None,
    ) -> None:
        self.shape = _checked(shape)
        super().__init__(mean, diagonal, off_diagonal, validate_args)

    @staticmethod
    def num_parameters(shape: tuple[int, int]) -> int:
        """The number of entries of L below its diagonal: rights, belows and obliques of (rows, columns).

        Raises:
            ValueError: `shape` is not two positive integers.

        Examples:
            >>> GridNormal.num_parameters((4, 5))
            43
        """
        return sum(math.prod(part) for part in _edge_shapes(_checked(shape)))

    @property
    def variance(self) -> Vector:
        """The diagonal of the covariance, (..., k)."""
        return self._sites(self._row_covariances(*self._row_transitions()).diagonal(dim1=-2, dim2=-1))

    def _num_off_diagonal(self, k: int) -> int:
        if k != math.prod(self.shape):
            raise ValueError(
                f"mean: expected shape (..., {math.prod(self.shape)}) for a grid of shape {self.shape}, "
                f"got (..., {k})"
            )
        return self.num_parameters(self.shape)

    def _whiten(self, y: Tensor) -> Tensor:
        right, below, oblique = self._edges()
        y = y.unflatten(-1, self.shape)
        whitened = (
            self.diagonal.unflatten(-1, self.shape) * y
            + pad(right * y[..., 1:], (0, 1))
            + pad(below * y[..., 1:, :], (0, 0, 0, 1))
            + pad(oblique * y[..., 1:, 1:], (0, 1, 0, 1))
        )
        return whitened.flatten(-2)

    def _unwhiten(self, eps: Tensor) -> Tensor:
        factors, inverses = self._row_transitions()
        # samples are the columns of the unknowns, so that one matrix product serves all of them
        leading = eps.shape[: eps.dim() - self.loc.dim()]
        samples = eps.reshape(math.prod(leading), *self.loc.shape)
        with without_autocast(self.loc.device):
            offsets = inverses @ self._rows(samples).movedim(1, -1)
            y = solve_recurrence(factors, offsets, compose=torch.matmul)
        return self._sites(y.movedim(-1, 1)).reshape(eps.shape)

    def _edges(self) -> list[Tensor]:
        """The entries of L to the right, below and oblique, each on the part of the grid that has them."""
        shapes = _edge_shapes(self.shape)
        parts = self.off_diagonal.split([math.prod(shape) for shape in shapes], -1)
        return [part.unflatten(-1, shape) for part, shape in zip(parts, shapes, strict=True)]

    @property
    def _wide(self) -> bool:
        """Whether the grid is wider than long; its columns are then taken for rows."""
        return self.shape[1] > self.shape[0]

    def _rows(self, x: Tensor) -> Tensor:
        """Coordinates (..., k) as rows of the shorter side's length, (rows, ..., width)."""
        x = x.unflatten(-1, self.shape)
        return (x.mT if self._wide else x).movedim(-2, 0)

    def _sites(self, x: Tensor) -> Tensor:
        """The inverse of `_rows`."""
        x = x.movedim(0, -2)
        return (x.mT if self._wide else x).flatten(-2)

    def _stencil(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The entries of L by rows of the shorter side: diagonal, within a row, straight and slanted to the next."""
        across, down, oblique = self._edges()
        if self._wide:
            across, down, oblique = down.mT, across.mT, oblique.mT
        within, straight, slanted = (x.movedim(-2, 0) for x in (across, down, oblique))
        return self._rows(self.diagonal), within, straight, slanted

    def _transposed_blocks(self) -> tuple[Tensor, Tensor]:
        """Aᵣᵀ (rows, ..., width, width) and Bᵣᵀ (rows-1, ..., width, width), upper bidiagonal."""
        diagonal, within, straight, slanted = self._stencil()
        return (
            torch.diag_embed(diagonal) + torch.diag_embed(within, 1),
            torch.diag_embed(straight) + torch.diag_embed(slanted, 1),
        )

    def _row_transitions(self) -> tuple[Tensor, Tensor]:
        """Cᵣ (rows-1, ..., width, width) and Aᵣ⁻ᵀ (rows, ..., width, width)."""
        diagonal, within, _, _ = self._stencil()
        # the inverse of a bidiagonal matrix, all of its columns at once: a chain along the row
        factors = (-within / diagonal[..., :-1]).movedim(-1, 0).unsqueeze(-1)
        offsets = torch.diag_embed(diagonal.reciprocal()).movedim(-2, 0)
        inverses = solve_recurrence(factors, offsets).movedim(0, -2)
        with without_autocast(self.loc.device):
            return -inverses[:-1] @ self._transposed_blocks()[1], inverses

    def _row_covariances(self, factors: Tensor, inverses: Tensor) -> Tensor:
        """Σᵣ, (rows, ..., width, width)."""
        with without_autocast(self.loc.device):
            return solve_recurrence(
                factors,
                inverses @ inverses.mT,
                compose=torch.matmul,
                apply=lambda factor, covariance: factor @ covariance @ factor.mT,
            )


@register_kl(GridNormal, GridNormal)
def _kl_of_grids(p: GridNormal, q: GridNormal) -> Tensor:
    if p.shape != q.shape:
        raise ValueError(f"q: expected a grid of shape {p.shape}, got {q.shape}")
    batch_shape = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    p, q = p.expand(batch_shape), q.expand(batch_shape)
    # (Lᵀ y)ᵣ = Aᵣᵀ yᵣ + Bᵣᵀ yᵣ₊₁ with the L of q, where yᵣ is p's step from yᵣ₊₁: two independent terms
    diagonal, lower = q._transposed_blocks()
    factors, inverses = p._row_transitions()
    with without_autocast(p.loc.device):
        fresh = (diagonal @ inverses).square().sum(-1)
        weights = lower + diagonal[:-1] @ factors
        carried = ((weights @ p._row_covariances(factors, inverses)[1:]) * weights).sum(-1)
    # nothing is carried into the last row
    variance = q._sites(fresh + torch.cat([carried, torch.zeros_like(fresh[:1])]))
    return whitened_kl(variance, q._whiten(p.mean - q.mean), (p.diagonal / q.diagonal).log())


def _edge_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """The parts of the grid whose sites have a neighbour to the right, below, and obliquely below."""
    rows, columns = shape
    return [(rows, columns - 1), (rows - 1, columns), (rows - 1, columns - 1)]


def _checked(shape: tuple[int, int]) -> tuple[int, int]:
    """`shape` as it is, where it is two positive integers."""
    if len(shape) != 2 or not all(map(is_count, shape)):
        raise ValueError(f"shape: expected two positive integers (rows, columns), got {shape!r}")
    return (shape[0], shape[1])
