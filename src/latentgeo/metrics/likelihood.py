"""Decoders into distributions: which family they return, and its parameters."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from latentgeo.metrics.arguments import describe
from latentgeo.metrics.decoder import Decoder
from latentgeo.metrics.families import Family, family_of


class Likelihood:
    """A decoder into distributions: z (N, d) -> the parameters of N of them, in the dtype and on the device of z."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    def read(self, z: Tensor) -> tuple[Family, tuple[Tensor, ...]]:
        """The family that the decoder returns, and its parameters (N, *shape)."""
        output, name = self.decoder(z), self.decoder.name
        if not isinstance(output, Distribution):
            raise TypeError(
                f"{name} must return a torch.distributions.Distribution, got {describe(output)}: pullback_metric "
                "takes a decoder that returns a tensor, expected_pullback_metric one that returns (mean, std)"
            )
        if output.batch_shape[:1] != z.shape[:1]:
            raise ValueError(
                f"{name} must map a batch {tuple(z.shape)} to distributions of batch shape ({z.shape[0]}, ...), one "
                f"for each point, got {type(output).__name__} of batch shape {tuple(output.batch_shape)} "
                f"and event shape {tuple(output.event_shape)}"
            )
        family, inner = family_of(output)
        held = [getattr(inner, parameter) for parameter in family.parameters]
        return family, tuple(self.decoder.flat(p, z).reshape(p.shape) for p in held)

    def parameters(self, z: Tensor, family: Family) -> tuple[Tensor, ...]:
        """The parameters of the family that the decoder returned before, and must return again."""
        came, parameters = self.read(z)
        if came != family:
            raise ValueError(
                f"{self.decoder.name} must return one family of distributions everywhere, "
                f"but returned a {family} first and now a {came}"
            )
        return parameters

    def moves(self, z: Tensor, family: Family, parameter: str) -> bool:
        """Whether a parameter depends on z: by its graph, or, if it is detached, by its values."""
        index = family.parameters.index(parameter)
        with torch.inference_mode(False), torch.enable_grad():
            leaf = z.detach().clone().requires_grad_()
            here = self.parameters(leaf, family)[index]
            if here.requires_grad:
                (gradient,) = torch.autograd.grad(here.sum(), leaf, allow_unused=True)
                if gradient is not None:
                    return True
        with torch.no_grad():  # the way to another point stays within cones and intervals from 0
            there = self.parameters(torch.where(z == 0, 1e-3, 0.99 * z), family)[index]
        return not torch.equal(here, there)
