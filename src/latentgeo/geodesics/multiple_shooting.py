"""Newton's method for geodesics between two points as initial value problems on S parts of the time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentgeo.geodesics.curve_energy import CurveEnergy
from latentgeo.geodesics.flow import follow
from latentgeo.geodesics.gap_system import close_gaps
from latentgeo.geodesics.result import Status
from latentgeo.geometry import geodesic_acceleration
from latentgeo.metrics import Metric

_SHORTEST = 1e-3  # share of a Newton step, below which it is given up
_LESS = 0.1  # of the share of the step, by which the residual must fall
_ROUNDING = 8.0  # machine epsilons of the size of the points that a gap keeps
_FIRST_STEP = 1.0  # of the integrator, as a share of a part
_STEPS = 30  # of the integrator, on one part; a part that needs more is cut


@dataclass
class GeodesicFlow:
    """The geodesic flow of a metric with the accuracy asked for; counts what it costs.

    Attributes:
        rtol: error of a step relative to position and velocity.
        atol: absolute error of a step in latent units; None for rtol times the latent speed of the curve.
        evaluations: points at which the decoder or the metric has been evaluated so far.
    """

    metric: Metric
    objective: CurveEnergy
    rtol: float
    atol: float | None
    evaluations: int = field(default=0, init=False)

    def acceleration(self, z: Float[Tensor, "n d"], v: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Geodesic accelerations, block by block of memory: J and d²F, or G and its two derivatives."""
        self.evaluations += len(z) * (2 if self.metric.immersion is not None else 3)
        block = self.objective.curves_at_once(1, z.shape[1] + 3)
        pieces = zip(z.split(block), v.split(block), strict=True)
        return torch.cat([geodesic_acceleration(self.metric, some, those) for some, those in pieces])

    def squared_norms(self, z: Float[Tensor, "n d"], *tangents: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The squared lengths of k tangents at each z, of latent points among them if need be."""
        self.evaluations += len(z)
        block = self.objective.curves_at_once(1, z.shape[1] + 3)
        matrix = torch.cat([self.metric(some) for some in z.split(block)])
        return torch.stack([torch.einsum("ni,nij,nj->n", v, matrix, v) for v in tangents], dim=1)

    def arrive(self, nodes: Float[Tensor, "b s n"], times: Tensor) -> tuple[Tensor, Tensor]:
        """Positions (b, s, m, d) at times within the parts, and the states (b, s, n) where the next ones begin."""
        path, states = self._follow(nodes[:, :, None], times)
        return path[:, :, :, 0], states[:, :, 0]

    def arrive_with_derivative(self, nodes: Float[Tensor, "b s n"]) -> tuple[Tensor, Tensor]:
        """The states (b, s, n) at the ends of the parts and their derivatives (b, s, n, n) by the nodes.

        The derivative is the difference quotient of trajectories that take the same steps: second derivatives of F
        suffice, and the error of the integrator is differentiated with everything else.
        """
        n = nodes.shape[2]
        size = math.sqrt(self.objective.eps) * _largest(nodes)
        size = torch.where(size > 0, size, 1)[:, None, None, None]
        shifts = torch.eye(n, dtype=nodes.dtype, device=nodes.device)
        shifts = torch.cat([torch.zeros_like(shifts[:1]), shifts])
        companions = nodes[:, :, None] + size * shifts
        _, states = self._follow(companions, nodes.new_full((1,), 1 / nodes.shape[1]))
        taken = companions[:, :, 1:].diagonal(dim1=2, dim2=3) - nodes  # the shift after rounding
        return states[:, :, 0], ((states[:, :, 1:] - states[:, :, :1]) / taken[..., None]).mT

    def _follow(self, states: Float[Tensor, "b s k n"], times: Tensor) -> tuple[Tensor, Tensor]:
        z, v = states.flatten(0, 1).chunk(2, dim=2)
        atol = self.atol
        if atol is None:
            speed = states[:, :, 0].chunk(2, dim=2)[1].norm(dim=2).amax(dim=1)
            atol = (self.rtol * speed).clamp_min(torch.finfo(z.dtype).tiny).repeat_interleave(states.shape[1])
        path, velocity = follow(
            self.acceleration,
            z,
            v,
            times,
            num_steps=_STEPS,
            rtol=self.rtol,
            atol=atol,
            first_step=_FIRST_STEP,
        )
        arrival = torch.cat([path[:, -1], velocity], dim=2)
        return path.unflatten(0, states.shape[:2]), arrival.unflatten(0, states.shape[:2])


@dataclass(frozen=True)
class Shots:
    """Where Newton's method left each curve: the states (position, velocity) at the nodes, and how it ended."""

    nodes: Float[Tensor, "b s n"]
    residual: Float[Tensor, " b"]
    steps: Int[Tensor, " b"]
    status: np.ndarray


@dataclass(frozen=True)
class _Active:
    """The curves still under way; every tensor has one row a curve."""

    at: Tensor  # number of the curve
    nodes: Tensor
    end: Tensor
    correction: Tensor
    residual: Tensor
    reachable: Tensor
    share: Tensor  # of the Newton step that is tried next
    steps: Tensor

    def select(self, keep: Tensor) -> _Active:
        return replace(self, **{name: value[keep] for name, value in vars(self).items()})


def newton(
    flow: GeodesicFlow,
    nodes: Float[Tensor, "b s n"],
    end: Float[Tensor, "b d"],
    *,
    tol: float,
    budget: Int[Tensor, " b"],
) -> Shots:
    """Damped Newton on the states x_i at S nodes, until each shot arrives where the next one starts.

    With Φ the flow over a part of the time 1/S, the equations are x_{i+1} = Φ(x_i) for positions and velocities, the
    first position and the last being given. The residual is the Newton correction relative to the curve's length,

        sqrt( mean_i (|Δz_i|² + |Δv_i|²) / mean_i |v_i|² ),  lengths in the metric at z_i:

    the predicted distance to the geodesic. A step is taken where it makes the residual smaller, else a quarter of it
    is tried, for each curve on its own; the last correction is still applied.

    Args:
        flow: the geodesic flow.
        nodes: states to start from; S a power of two.
        end: the last positions.
        tol: bound on the residual.
        budget: how many steps, taken or not, each curve may try.

    References:
        P. Deuflhard, "Newton Methods for Nonlinear Problems", 2004, sections 3.3 and 7.1: corrections, not gaps,
        measure progress. J. Stoer, R. Bulirsch, "Introduction to Numerical Analysis", 2002, section 7.3.5.
    """
    rows = torch.arange(len(nodes), device=nodes.device)
    correction, residual, reachable = _linearise(flow, nodes, end)
    done = Shots(
        nodes.clone(), residual.clone(), torch.zeros_like(rows), np.full(len(nodes), Status.MAX_STEPS, object)
    )
    active = _Active(
        rows, nodes, end, correction, residual, reachable, torch.ones_like(residual), torch.zeros_like(rows)
    )
    while len(active.at):
        converged = active.residual <= active.reachable.clamp_min(tol)
        verdicts = (
            (Status.NON_FINITE, ~active.residual.isfinite()),
            (Status.CONVERGED, converged),
            (Status.STALLED, active.share < _SHORTEST),
            (Status.MAX_STEPS, active.steps >= budget[active.at]),
        )
        finished = torch.zeros_like(converged)
        for status, holds in verdicts:
            done.status[active.at[holds & ~finished].cpu().numpy()] = status
            finished = finished | holds
        better = active.nodes + torch.where(converged[:, None, None], active.correction, 0)
        done.nodes[active.at], done.residual[active.at] = better, active.residual
        done.steps[active.at] = active.steps
        active = active.select(~finished)
        if len(active.at):
            active = _advance(flow, active)
    return done


def _advance(flow: GeodesicFlow, active: _Active) -> _Active:
    """One trial step of every active curve: taken, or shortened for the next pass."""
    trial = active.nodes + active.share[:, None, None] * active.correction
    correction, residual, reachable = _linearise(flow, trial, active.end)
    taken = residual < (1 - _LESS * active.share) * active.residual  # false where not finite
    wide = taken[:, None, None]
    return replace(
        active,
        nodes=torch.where(wide, trial, active.nodes),
        correction=torch.where(wide, correction, active.correction),
        residual=torch.where(taken, residual, active.residual),
        reachable=torch.where(taken, reachable, active.reachable),
        share=torch.where(taken, (4 * active.share).clamp_max(1), active.share / 4),
        steps=active.steps + 1,
    )


def _linearise(flow: GeodesicFlow, nodes: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The Newton correction of the nodes, its size relative to the curve, and what rounding makes of that size."""
    b, shots, n = nodes.shape
    d = n // 2
    arrival, derivative = flow.arrive_with_derivative(nodes)
    target = torch.cat([nodes[:, 1:], torch.cat([end, arrival[:, -1, d:]], dim=1)[:, None]], dim=1)
    correction = close_gaps(derivative, arrival - target)[:, :-1]
    z, v = nodes.flatten(0, 1).chunk(2, dim=1)
    moved = correction.flatten(0, 1).chunk(2, dim=1)
    sizes = flow.squared_norms(z, v, z, *moved).unflatten(0, (b, shots)).mean(dim=1)
    speed = sizes[:, 0]
    some = torch.where(speed > 0, speed, 1)
    residual = ((sizes[:, 2] + sizes[:, 3]) / some).sqrt()
    rounding = _ROUNDING * shots * flow.objective.eps
    return correction, residual, rounding * (sizes[:, 1] / some).sqrt()


def _largest(nodes: Tensor) -> Tensor:
    """The largest latent coordinate and velocity of each curve, together."""
    z, v = nodes.chunk(2, dim=2)
    return z.abs().amax(dim=(1, 2)) + v.abs().amax(dim=(1, 2))
