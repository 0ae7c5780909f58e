"""Every solver on every known geometry in every dtype, each batch solved once for all the laws."""

from __future__ import annotations

import functools
import logging
import signal
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from distributed import Client, LocalCluster
from torch import Tensor

import latentgeo as lg
from spaces import SPACES, Problem, Space

BATCH = 4

# Solvers join here; each must find the geodesics of all the spaces from a straight line. The laws of BoundaryValue,
# one curve at a time and local, are in test_boundary_value.py; those of GraphSearch, approximate, in
# test_graph_search.py.
SOLVERS = (lg.MinimizeEnergy(), lg.Georce(), lg.Shooting())

# The arcs of the catalogue turn by at most half a turn. With T segments each turns by at most h = π / T; the error
# of a length is below h⁴ / 100, that of points below h⁴ of the way, both of fourth order.
STEP = torch.pi / 32
LENGTH_RTOL = {torch.float64: STEP**4 / 100, torch.float32: 20 * torch.finfo(torch.float32).eps}
# A solver stops at a relative distance tol to the discrete geodesic in the norm of the energy, 1e-6 and 1e-4 by
# default; coordinates of small metric move more than those of large: a factor sqrt(condition) <= 17 here.
POINT_RTOL = {torch.float64: STEP**4, torch.float32: 17e-4}


TIME_LIMIT = 60  # seconds of this process, however busy the machine; every solver ends, whatever it is given


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    """Fails a test whose solver does not end, instead of hanging the run."""

    def stop(signum: int, frame: object) -> None:
        raise TimeoutError(f"no end after {TIME_LIMIT} seconds")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, TIME_LIMIT)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


@dataclass(frozen=True)
class Solved:
    """A space, its problem in one dtype, and what one solver made of it."""

    space: Space
    solver: object
    metric: lg.Metric
    problem: Problem
    start: Tensor
    end: Tensor
    result: lg.GeodesicResult

    @property
    def length_rtol(self) -> float:
        return LENGTH_RTOL[self.start.dtype]

    @property
    def point_rtol(self) -> float:
        return POINT_RTOL[self.start.dtype]

    @functools.cached_property
    def log(self) -> Tensor:
        return lg.logmap(self.metric, self.start, self.end, solver=self.solver)

    @functools.cached_property
    def length(self) -> Tensor:
        """By `distance`, not the curve's own."""
        return self.distance(self.start, self.end)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        return lg.distance(self.metric, a, b, solver=self.solver)


@functools.cache
def problem_of(space: Space, batch: int = BATCH, seed: int = 0) -> Problem:
    """The same pairs for every solver and dtype."""
    return space.problem(batch, torch.Generator().manual_seed(seed))


@functools.cache
def _solve(space: Space, solver: object, dtype: torch.dtype, device: torch.device) -> Solved:
    problem, metric = problem_of(space), space.metric(dtype, device)
    start, end = problem.start.to(device, dtype), problem.end.to(device, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", lg.ConvergenceWarning
        )  # test_every_curve_converges looks at the statuses
        result = lg.geodesic(metric, start, end, solver=solver)
    return Solved(space, solver, metric, problem, start, end, result)


@pytest.fixture(params=SPACES, ids=str)
def space(request: pytest.FixtureRequest) -> Space:
    return request.param


@pytest.fixture(params=SOLVERS, ids=lambda s: type(s).__name__)
def solver(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def solved(space: Space, solver: object, dtype: torch.dtype, device: torch.device) -> Solved:
    return _solve(space, solver, dtype, device)


@pytest.fixture(scope="session")
def _cluster() -> Iterator[Client]:
    local = LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
    )
    with local, local.get_client() as connected:
        yield connected


@pytest.fixture
def cluster(_cluster: Client) -> Client:
    """The client of two worker processes of one thread each, both there whatever the test before did to them."""
    _cluster.wait_for_workers(2)
    return _cluster
