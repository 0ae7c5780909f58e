"""The mean of the metrics that several decoders pull back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentgeo.metrics.arguments import describe
from latentgeo.metrics.decoder import Decoder
from latentgeo.metrics.immersion import Immersion
from latentgeo.metrics.metric import Metric
from latentgeo.metrics.pullback import ImmersedMetric


class Ensemble(Decoder):
    """Several decoders as one: z -> the outputs of all M, flattened, side by side, over sqrt(M)."""

    def __init__(self, members: Sequence[Decoder]) -> None:
        self.members = tuple(members)
        self.function = self.__call__
        self.name = "decoders"
        self.elementary = False
        self.is_scripted = any(member.is_scripted for member in self.members)
        self.output_dtype = None

    def __repr__(self) -> str:
        return f"[{', '.join(repr(member.function) for member in self.members)}]"

    def refuse_training(self) -> None:
        """Raises if a layer of a member that is only meaningful in eval mode is training."""
        for member in self.members:
            member.refuse_training()

    def __call__(self, z: Tensor) -> Any:
        """The outputs (N, D_1 + ... + D_M), in the dtype and on the device of z."""
        outputs = []
        for member in self.members:
            member.elementary = self.elementary
            outputs.append(member.flat(member(z), z))
        dtypes = [member.output_dtype for member in self.members if member.output_dtype is not None]
        self.output_dtype = max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)
        return torch.cat(outputs, 1) / len(self.members) ** 0.5


def ensemble_pullback_metric(
    decoders: Sequence[Callable[[Tensor], Tensor]] | nn.ModuleList, *, chunk_size: int | None = None
) -> Metric:
    """The mean over an ensemble of decoders f_1, ..., f_M of the metrics that they pull back.

    G(z) = 1/M Σ_m J_m(z)ᵀ J_m(z): the expected metric of a decoder drawn once for a whole curve, and the pull-back
    metric of the stacked map z -> (f_1(z), ..., f_M(z)) / sqrt(M). Where the members disagree, away from the data,
    lengths grow.

    Args:
        decoders: a list (or ``nn.ModuleList``) of callables, each from a batch (N, d) to a batch (N, *event) as for
            :func:`pullback_metric`; the shapes of their outputs may differ.
        chunk_size: each is called on at most so many points at once; None for no bound.

    Returns:
        A :class:`Metric`, differentiable in z and in the parameters of the decoders, in units of data squared per
        latent unit squared.

    Raises:
        TypeError: ``decoders`` is no list of callables, or one of them returns something other than a tensor.
        ValueError: ``decoders`` is empty, or one of them holds BatchNorm or Dropout in training mode; ``chunk_size``
            is not positive.

    References:
        S. Syrota, P. Moreno-Muñoz, S. Hauberg, "Decoder ensembling for learned latent geometries", 2024,
        arXiv:2408.07507.

    Example:
        >>> import torch
        >>> from latentgeo import ensemble_pullback_metric
        >>> metric = ensemble_pullback_metric([lambda z: z, lambda z: 3 * z[:, :1]])
        >>> metric(torch.zeros(2))  # the mean of diag(1, 1) and diag(9, 0)
        tensor([[5.0000, 0.0000],
                [0.0000, 0.5000]])
    """
    if not isinstance(decoders, Sequence | nn.ModuleList) or isinstance(decoders, str):
        raise TypeError(f"decoders must be a list of callables on batches (N, d), got {describe(decoders)}")
    if not len(decoders):
        raise ValueError("decoders must hold at least one decoder, got an empty list")
    ensemble = Ensemble([Decoder(decoder, f"decoders[{i}]") for i, decoder in enumerate(decoders)])
    return ImmersedMetric(Immersion(ensemble, decoder=ensemble, chunk_size=chunk_size))
