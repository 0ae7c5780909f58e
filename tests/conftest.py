"""Options and fixtures of the whole suite; jaxtyping and beartype check the library's signatures at run time."""

from __future__ import annotations

import hypothesis
import jaxtyping
import pytest
import torch

pytest.register_assert_rewrite("laws")

# Before anything imports latentgeo: from here on the annotated functions are checked at each call.
jaxtyping.install_import_hook("latentgeo", "beartype.beartype")

hypothesis.settings.register_profile(
    "latentgeo",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=25,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate, hypothesis.Phase.shrink),
)
hypothesis.settings.load_profile("latentgeo")

torch.set_num_threads(1)  # the tests are many small computations, and the workers of xdist share the cores


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="the torch device the tests run on (default: cpu)")
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: runs only with --slow"))


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where the tests put their tensors."""
    return torch.device(request.config.getoption("--device"))


@pytest.fixture
def generator() -> torch.Generator:
    """Randomness that is the same in every run."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library as a user meets it, without run-time type checks: bad input reaches its own errors."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
