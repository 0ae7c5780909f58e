"""Every likelihood of the catalogue, and points for it; a module's own fixtures of these names come first."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metrics.fisher import DIM
from metrics.likelihoods import LIKELIHOODS, Likelihood


@pytest.fixture(params=LIKELIHOODS, ids=str)
def likelihood(request: pytest.FixtureRequest) -> Likelihood:
    return request.param


@pytest.fixture
def points(generator: torch.Generator) -> Tensor:
    return torch.randn(3, DIM, generator=generator, dtype=torch.float64)
