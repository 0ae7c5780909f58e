"""A fitted mixture of locally adaptive normals: its density, and draws of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentgeo.geodesics import Solver
from latentgeo.geodesics.result import advice, failures_of
from latentgeo.geometry import log_volume_element
from latentgeo.metrics import Metric
from latentgeo.statistics.land_likelihood import Move, Parameters, State, surrogate
from latentgeo.statistics.logarithms import Logarithms, guided
from latentgeo.statistics.normalizing_constant import Constant
from latentgeo.statistics.proposal import KernelProposal, Standard
from latentgeo.statistics.without_graph import without_graph

_MOST, _FEWEST = 4096, 64  # points that are proposed at once
_HOPELESS = 1000  # proposals a draw


@dataclass(frozen=True)
class LandDensity:
    """A mixture of locally adaptive normals, with what its logarithms and its draws go on from.

    Attributes:
        metric: the metric.
        solver: for the geodesics.
        parameters: weights, means and covariances.
        log_constants: (k,) the logarithms of the normalizing constants.
        guides: the logarithms of the data of the fit.
        proposal: what draws are proposed from.
        largest: (k,) the largest ratios of density and proposal that have been seen.
    """

    metric: Metric
    solver: Solver
    parameters: Parameters
    log_constants: Float[Tensor, " k"]
    guides: Logarithms
    proposal: KernelProposal
    largest: Float[Tensor, " k"]

    @classmethod
    def of(cls, metric: Metric, solver: Solver, state: State, constant: Constant) -> LandDensity:
        """The density of a state."""
        largest = constant.shares.amax(dim=1) * constant.shares.shape[1]
        return cls(
            metric, solver, state.parameters, constant.log_value, state.data, state.draws.proposal, largest
        )

    @without_graph
    def joint(self, points: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "k n"], np.ndarray]:
        """The log π_k + log p_k with respect to dM, -inf out of reach, and the (k, n) statuses of the geodesics."""
        feet = self.parameters.feet
        logs = guided(
            self.metric, self.solver, self.guides, points.to(self.guides.points).expand(len(feet), -1, -1)
        )
        return self.parameters.weights.log()[:, None] + self._log_densities(logs), logs.status

    @without_graph
    def log_volume(self, points: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """The log of sqrt(det G), -inf where the metric is not finite."""
        volume = log_volume_element(self.metric, points.to(self.guides.points)).double()
        return torch.where(volume < torch.inf, volume, -torch.inf)

    @without_graph
    def sample(self, count: int, random: np.random.RandomState) -> Float[Tensor, "n d"]:
        """Draws of the mixture, in random order."""
        counts = random.multinomial(count, self.parameters.weights.cpu().numpy())
        parts = [self._sample(k, int(some), random) for k, some in enumerate(counts) if some]
        empty = self.guides.points.new_zeros(0, self.guides.points.shape[2])
        return torch.cat([empty, *parts])[torch.from_numpy(random.permutation(count))]

    def _sample(self, k: int, count: int, random: np.random.RandomState) -> Tensor:
        """Draws of a component by rejection: kept with probability as their ratio p / q to the largest yet seen."""
        proposal = self.proposal.of(k).widened()  # a gap would have a ratio that leaves hardly any to be kept
        guides = self.guides.of(k)
        largest, d = float(self.largest[k]), guides.points.shape[2]
        z, log_ratio, threshold = guides.points.new_zeros(0, d), torch.zeros(0), torch.zeros(0)
        log_ratio, threshold = (a.to(proposal.weights) for a in (log_ratio, threshold))
        while True:
            # a ratio that turns out larger takes back some of those that have been kept
            keep = (threshold < log_ratio - math.log(largest)).nonzero()[:, 0]
            if len(keep) >= count:
                return z[keep[:count]]
            if len(z) >= _HOPELESS * (count + _FEWEST):
                raise RuntimeError(
                    f"{len(keep)} of {len(z)} proposals were kept, and {count} wanted: the density has parts that "
                    "its proposal hardly reaches; fit it anew with more n_samples"
                )
            number = min(_MOST, max(_FEWEST, math.ceil(1.2 * largest * (count - len(keep)))))
            some = proposal.place(Standard.independent(number, d, random)).to(guides.points)
            logs = guided(self.metric, self.solver, guides, some)
            density = self._log_densities(logs, k)[0] + self.log_volume(some[0])
            ratio = density - proposal.log_density(some.double())[0]
            z, log_ratio = torch.cat([z, some[0]]), torch.cat([log_ratio, ratio])
            uniform = torch.from_numpy(np.log1p(-random.random_sample(number))).to(threshold)
            threshold = torch.cat([threshold, uniform])
            largest = max(largest, float(ratio.max().exp()))

    def _log_densities(self, logs: Logarithms, only: int | None = None) -> Float[Tensor, "k n"]:
        chosen = slice(None) if only is None else slice(only, only + 1)
        white = torch.linalg.solve(self.parameters.factors[chosen], logs.values.mT)
        squares = white.square().sum(dim=1)
        squares = torch.where(squares.isnan(), torch.inf, squares)
        return -squares / 2 - self.log_constants[chosen, None]


def failures(status: np.ndarray, joint: Float[Tensor, "k n"]) -> str:
    """What is to be said of the geodesics from the most probable component to each point; empty, if nothing."""
    own = status[joint.argmax(dim=0).cpu().numpy(), np.arange(status.shape[1])]
    words = [advice(failures_of(own))]
    lost = int((~joint.isfinite()).all(dim=0).sum())
    if lost:
        words.append(f"{lost} points are at no finite distance from any mean, and have density zero.")
    return " ".join(filter(None, words))


def joint_of(state: State) -> Float[Tensor, "k n"]:
    """The log π_k + log p_k of the data of a fit, with respect to dM."""
    return surrogate(state, None, 0.0)(Move.none(state.parameters))[0]
