"""Metrics that a map pulls back from its output space."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import geoopt
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from latentgeo.metrics.arguments import check_points, check_tangent, describe
from latentgeo.metrics.decoder import Decoder
from latentgeo.metrics.directional import inside_transform
from latentgeo.metrics.immersion import AmbientMap, Immersion
from latentgeo.metrics.metric import Metric


class ImmersedMetric(Metric):
    """G(z) = J_F(z)ᵀ J_F(z) for a map F into a Euclidean space: the first fundamental form of the image of F.

    Args:
        immersion: the map F.
    """

    def __init__(self, immersion: Immersion) -> None:
        self._immersion = immersion

    @property
    def immersion(self) -> Immersion:
        """The map F."""
        return self._immersion

    def __repr__(self) -> str:
        decoder = self._immersion.decoder
        return f"{type(self).__name__}({'' if decoder is None else decoder.function!r})"

    def __call__(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d d"]:
        """The matrix JᵀJ."""
        check_points("z", z)
        matrix = self._immersion.piecewise(self._immersion.gram, z.reshape(-1, z.shape[-1]))
        return matrix.reshape(*z.shape, z.shape[-1])

    def inner(
        self, z: Float[Tensor, "*#batch d"], u: Float[Tensor, "*#batch d"], v: Float[Tensor, "*#batch d"]
    ) -> Float[Tensor, "..."]:
        """The product <J u, J v>, by two directional derivatives (one where u is v)."""
        flat, tangents, shape = flattened(z, u, v)
        return self._immersion.piecewise(self._product, flat, tangents).reshape(shape)

    def _product(self, z: Tensor, tangents: Tensor) -> Tensor:
        pushed = self._immersion.pushforward(z, tangents.transpose(0, 1))
        return (pushed[:, 0] * pushed[:, -1]).sum(-1)


class AmbientPullbackMetric(Metric):
    """G(z) = J(z)ᵀ A(f(z)) J(z) for a decoder f into a space that has a metric A of its own.

    Args:
        immersion: the decoder f, its output flattened.
        ambient: a metric on the flattened output, or a geoopt manifold whose points have the shape of an output.
        event: remembers the shape of an output, for the manifold.
    """

    def __init__(self, immersion: Immersion, ambient: Metric | geoopt.Manifold, event: _EventShape) -> None:
        self._map = immersion
        self._ambient = ambient
        self._event = event

    @property
    def ambient_map(self) -> AmbientMap:
        """The decoder, and the squares of the ambient metric."""
        return AmbientMap(self._map, lambda x, v: self._ambient_inner(x, v, v))

    def __repr__(self) -> str:
        decoder = self._map.decoder
        return f"AmbientPullbackMetric({'' if decoder is None else decoder.function!r}, {self._ambient!r})"

    def __call__(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d d"]:
        """The matrix Jᵀ A J."""
        check_points("z", z)
        return self._map.piecewise(self._matrix, z.reshape(-1, z.shape[-1])).reshape(*z.shape, z.shape[-1])

    def _matrix(self, z: Tensor) -> Tensor:
        columns = self._map.jacobian(z).mT  # (n, d, D)
        image = self._map(z)
        if isinstance(self._ambient, Metric):
            return columns @ self._ambient(image) @ columns.mT
        d = z.shape[-1]
        i, j = torch.triu_indices(d, d, device=z.device)
        products = self._ambient_inner(image[:, None].expand(-1, len(i), -1), columns[:, i], columns[:, j])
        # position of the pair (i, j) or (j, i) in the list of pairs
        pair = torch.zeros(d, d, dtype=torch.long, device=z.device)
        pair[i, j] = pair[j, i] = torch.arange(len(i), device=z.device)
        return products[:, pair]

    def inner(
        self, z: Float[Tensor, "*#batch d"], u: Float[Tensor, "*#batch d"], v: Float[Tensor, "*#batch d"]
    ) -> Float[Tensor, "..."]:
        """The ambient product of J u and J v at f(z), by two directional derivatives (one where u is v)."""
        flat, tangents, shape = flattened(z, u, v)
        return self._map.piecewise(self._product, flat, tangents).reshape(shape)

    def _product(self, z: Tensor, tangents: Tensor) -> Tensor:
        pushed = self._map.pushforward(z, tangents.transpose(0, 1))
        return self._ambient_inner(self._map(z), pushed[:, 0], pushed[:, -1])

    def _ambient_inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        if isinstance(self._ambient, Metric):
            return self._ambient.inner(x, u, v)
        event = self._event.shape
        x, u, v = (a.reshape(*a.shape[:-1], *event) for a in (x, u, v))
        # keepdim=True: geoopt's PoincareBall mis-broadcasts batches without it.
        product = self._ambient.inner(x, u, v, keepdim=True)
        if product.numel() != x.shape[: x.ndim - len(event)].numel():
            raise ValueError(
                f"ambient must be a manifold whose points have the shape {tuple(event)} of an output of the decoder, "
                f"but {self._ambient} answers inner products of shape {tuple(product.shape)} for {len(x)} points"
            )
        return product.reshape(x.shape[: x.ndim - len(event)])


class _EventShape:
    """Remembers the shape of one output of the decoder while the output is flattened."""

    shape: torch.Size = torch.Size()


def pullback_metric(
    decoder: Callable[[Tensor], Tensor],
    *,
    ambient: Metric | geoopt.Manifold | None = None,
    chunk_size: int | None = None,
) -> Metric:
    """The metric that a deterministic decoder f pulls back from data space.

    G(z) = J(z)ᵀ J(z) with J the Jacobian of f, or J(z)ᵀ A(f(z)) J(z) for an ambient metric A: the length of a
    latent curve is then the length of its decoded curve.

    Args:
        decoder: any callable from a batch (N, d) to a batch (N, *event), made of torch operations; called on
            batches only, never modified.
        ambient: a :class:`Metric` on the flattened output (D,), or a ``geoopt.Manifold`` on the output as it is;
            None for the Euclidean space.
        chunk_size: at most so many points are decoded at once, and no more Jacobians held, which bounds memory; None
            for no bound.

    Returns:
        A :class:`Metric`, differentiable in z and in the parameters of the decoder, in units of data squared per
        latent unit squared.

    Raises:
        TypeError: the decoder is not callable, or returns something other than a tensor.
        ValueError: the decoder holds BatchNorm or Dropout in training mode, draws random numbers, maps a point
            otherwise in another batch, or hides its gradient; ``chunk_size`` is not positive.

    References:
        G. Arvanitidis, L. K. Hansen, S. Hauberg, "Latent Space Oddity: on the Curvature of Deep Generative
        Models", 2018, arXiv:1710.11379. H. Shao, A. Kumar, P. T. Fletcher, "The Riemannian Geometry of Deep
        Generative Models", 2018, arXiv:1711.08014.

    Example:
        >>> import torch
        >>> from latentgeo import pullback_metric
        >>> paraboloid = pullback_metric(lambda z: torch.cat([z, z.square().sum(1, keepdim=True)], 1))
        >>> paraboloid(torch.tensor([1.0, 0.0]))
        tensor([[5., 0.],
                [0., 1.]])
    """
    source = Decoder(decoder)
    event = _EventShape()

    f = functools.partial(_image, source, event)
    if ambient is None:
        return ImmersedMetric(Immersion(f, decoder=source, chunk_size=chunk_size))
    if isinstance(ambient, Metric):
        if ambient.immersion is not None:
            composed = functools.partial(_image_in, ambient.immersion, getattr(ambient, "dim", None), f)
            return ImmersedMetric(Immersion(composed, decoder=source, chunk_size=chunk_size))
    elif not isinstance(ambient, geoopt.Manifold):
        raise TypeError(f"ambient must be a Metric, a geoopt.Manifold or None, got {describe(ambient)}")
    return AmbientPullbackMetric(Immersion(f, decoder=source, chunk_size=chunk_size), ambient, event)


def expected_pullback_metric(decoder: Callable[[Tensor], Any], *, chunk_size: int | None = None) -> Metric:
    """The mean of the random metric that a Gaussian decoder x = μ(z) + σ(z) ⊙ ε pulls back.

    E_ε[G(z)] = J_μᵀ J_μ + J_σᵀ J_σ: the pull-back metric of the stacked map z -> (μ(z), σ(z)).

    Args:
        decoder: any callable from a batch (N, d) to ``(mean, std)``, tensors (N, *event), or to a
            ``torch.distributions`` Normal or Independent(Normal).
        chunk_size: at most so many points are decoded at once; None for no bound.

    Returns:
        A :class:`Metric`, differentiable in z and in the parameters of the decoder.

    Raises:
        TypeError: the decoder returns neither a pair nor a Normal.
        ValueError: as :func:`pullback_metric`, or some standard deviation is negative.

    References:
        Arvanitidis, Hansen, Hauberg 2018, Theorem 1, arXiv:1710.11379.

    Example:
        >>> import torch
        >>> from latentgeo import expected_pullback_metric
        >>> metric = expected_pullback_metric(lambda z: (z, z.square()))
        >>> metric(torch.tensor([[0.0, 1.0]]))
        tensor([[[1., 0.],
                 [0., 5.]]])
    """
    source = Decoder(decoder)

    f = functools.partial(_stacked, source)
    return ImmersedMetric(Immersion(f, decoder=source, chunk_size=chunk_size))


# Maps are functions of this module with their decoder bound, not closures, so that metrics can be pickled.


def _image(decoder: Decoder, event: _EventShape, z: Tensor) -> Tensor:
    """f(z) (N, D) of a deterministic decoder, whose event shape is noted."""
    output = decoder(z)
    if isinstance(output, Distribution):
        raise TypeError(
            f"decoder must return a tensor (N, *event), got a {type(output).__name__} distribution: "
            "expected_pullback_metric takes a Normal, fisher_pullback_metric any supported family"
        )
    if _is_pair(output):
        raise TypeError(
            f"{decoder.name} must return a tensor (N, *event), got {describe(output)}: expected_pullback_metric "
            "takes a decoder that returns (mean, std), pullback_metric one of the two, lambda z: decoder(z)[0]"
        )
    flat = decoder.flat(output, z)
    event.shape = output.shape[1:]
    return flat


def _image_in(outer: Immersion, dim: int | None, f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """F(f(z)), F being the immersion of an ambient metric of dimension ``dim``, where it has one."""
    image = f(z)
    if dim is not None and image.shape[1] != dim:
        raise ValueError(
            f"ambient must have the dimension of an output of the decoder, but has {dim}, "
            f"and an output has {image.shape[1]} values"
        )
    return outer(image)


def _stacked(decoder: Decoder, z: Tensor) -> Tensor:
    """(μ(z), σ(z)) (N, 2 D) of a Gaussian decoder."""
    mean, std = _mean_and_std(decoder(z))
    if isinstance(mean, Tensor) and isinstance(std, Tensor) and mean.shape != std.shape:
        try:
            mean, std = torch.broadcast_tensors(mean, std)
        except RuntimeError:
            raise ValueError(
                "decoder must return a mean and a std of one shape, "
                f"got for the mean {describe(mean)} and for the std {describe(std)}"
            ) from None
    if decoder.output_dtype is None and not inside_transform():  # once, as a GPU would have to be waited for
        _refuse_negative(decoder, std)
    return torch.cat([decoder.flat(mean, z), decoder.flat(std, z)], dim=1)


def _refuse_negative(decoder: Decoder, std: object) -> None:
    if isinstance(std, Tensor) and std.is_floating_point() and bool((std < 0).any()):
        raise ValueError(
            f"{decoder.name} must return a std that is nowhere negative, got {std.min():.3g}: is it a log-variance? "
            "Then hand over exp(log_var / 2)"
        )


def _mean_and_std(output: object) -> tuple[Any, Any]:
    inner = output
    while isinstance(inner, Independent):
        inner = inner.base_dist
    if isinstance(inner, Normal):
        return inner.loc, inner.scale
    if _is_pair(output):
        return output[0], output[1]
    raise TypeError(
        "decoder must return (mean, std) or a torch.distributions Normal or Independent(Normal), "
        f"got {describe(output)}"
    )


def _is_pair(output: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(output, tuple | list) and len(output) == 2


def flattened(z: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, torch.Size]:
    """Points (n, d) and the one or two tangents (n, k, d) of a broadcast batch, and the shape of that batch."""
    check_tangent(z, "u", u)
    check_tangent(z, "v", v)
    d = z.shape[-1]
    shape = torch.broadcast_shapes(z.shape, u.shape, v.shape)
    tangents = (u,) if u is v else (u, v)
    flat = z.expand(shape).reshape(-1, d)
    return flat, torch.stack([t.expand(shape).reshape(-1, d) for t in tangents], 1), shape[:-1]
