"""Wrong calls of the geodesic functions: the error names the argument, what was expected and what came."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import latentgeo as lg
from spaces import SPHERE
from strategies import network

pytestmark = pytest.mark.usefixtures("unchecked")

METRIC = SPHERE.metric()
GOOD = torch.zeros(4, 2, dtype=torch.float64)
FUNCTIONS = {"geodesic": lg.geodesic, "distance": lg.distance}
pairwise = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


@pairwise
@pytest.mark.parametrize("position", ["start", "end"])
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (np.zeros((4, 2)), TypeError, r"{} must be a torch tensor.*got numpy\.ndarray"),
        ([[0.0, 0.0]], TypeError, r"{} must be a torch tensor.*got list"),
        (torch.zeros(4, 2, dtype=torch.long), TypeError, r"{} must be of a floating-point dtype.*int64"),
        (torch.tensor(1.0).double(), ValueError, r"{} must have shape .*\(\)"),
        (torch.zeros(2, 4, 2).double(), ValueError, r"{} must have shape \(B, d\) or \(d,\).*\(2, 4, 2\)"),
    ],
    ids=["numpy", "list", "integers", "scalar", "three dimensions"],
)
def test_ends_that_are_none(
    function: Callable, position: str, wrong: object, error: type, message: str
) -> None:
    ends = {"start": GOOD, "end": GOOD} | {position: wrong}
    with pytest.raises(error, match=message.replace("{}", position)):
        function(METRIC, **ends)


@pairwise
@pytest.mark.parametrize(
    ("end", "message"),
    [
        (torch.zeros(4, 3).double(), r"end must have the 2 coordinates of start.*\(4, 3\)"),
        (torch.zeros(3, 2).double(), r"start and end must hold equally many points.*4 and 3"),
        (torch.zeros(4, 2), r"end must have the dtype and device of start.*float32.*float64"),
    ],
    ids=["dimension", "batch", "dtype"],
)
def test_ends_that_do_not_match(function: Callable, end: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(METRIC, GOOD, end)


@pytest.mark.parametrize(
    ("w", "error", "message"),
    [
        (torch.zeros(4, 3).double(), ValueError, r"w must have the 2 coordinates of z.*\(4, 3\)"),
        (torch.zeros(3, 2).double(), ValueError, r"w must .*\(4, 2\).*\(3, 2\)|w must .*\(3, 2\).*\(4, 2\)"),
        (torch.zeros(4, 2), ValueError, r"w must .*float32.*float64|w must .*float64.*float32"),
        (None, TypeError, r"w must be a torch tensor.*NoneType"),
    ],
    ids=["dimension", "batch", "dtype", "None"],
)
def test_logarithm_of_points_that_do_not_match(w: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        lg.logmap(METRIC, GOOD, w)


@pytest.mark.parametrize(
    ("v", "error", "message"),
    [
        (torch.zeros(4, 3).double(), ValueError, r"v must have the 2 coordinates of z.*\(4, 3\)"),
        (torch.zeros(3, 2).double(), ValueError, r"v must .*\(4, 2\).*\(3, 2\)|v must .*\(3, 2\).*\(4, 2\)"),
        (torch.zeros(4, 2), (TypeError, ValueError), r"v must .*float64.*float32|v must .*float32.*float64"),
        (None, TypeError, r"v must be a torch tensor.*NoneType"),
    ],
    ids=["dimension", "batch", "dtype", "None"],
)
def test_exponential_of_velocities_that_do_not_match(v: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        lg.expmap(METRIC, GOOD, v)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, r"num_steps must be a positive integer, got 0"),
        ({"num_steps": 2.5}, r"num_steps must be a positive integer, got 2.5"),
        ({"rtol": 0.0}, r"rtol.* must be positive"),
        ({"atol": -1.0}, r"atol must be positive"),
        ({"t": torch.zeros(2, 2)}, r"t must be a vector of times \(M,\).*\(2, 2\)"),
        ({"t": 0.5}, r"t must be a vector of times \(M,\).*float"),
        ({"t": torch.tensor([1.0, torch.nan])}, r"t must be finite, got nan"),
    ],
    ids=["no steps", "half a step", "rtol", "atol", "matrix of times", "number as time", "NaN as time"],
)
def test_exponential_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lg.expmap(METRIC, GOOD, GOOD, **options)


@pytest.mark.parametrize(
    "metric", [None, network(2, 3), lambda z: z, torch.eye(2)], ids=["None", "module", "lambda", "tensor"]
)
def test_metric_that_is_none(metric: object) -> None:
    """A decoder in place of a metric is the likely slip: the message shows how to make one of it."""
    for function in (lg.geodesic, lg.distance, lg.logmap):
        with pytest.raises(TypeError, match=r"metric must be a .*Metric.*pullback_metric\(decoder\), got"):
            function(metric, GOOD, GOOD)
    with pytest.raises(TypeError, match=r"metric must be a .*Metric"):
        lg.expmap(metric, GOOD, GOOD)


@pytest.mark.parametrize("solver", ["georce", lg.MinimizeEnergy, 3], ids=["string", "class", "number"])
def test_solver_that_is_none(solver: object) -> None:
    for function in (lg.geodesic, lg.distance, lg.logmap):
        with pytest.raises(TypeError, match=r"solver must be an object such as MinimizeEnergy\(\), got"):
            function(METRIC, GOOD, GOOD, solver=solver)


def _straight(segments: int = 8) -> Tensor:
    return torch.zeros(4, segments + 1, 2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("initial", "error", "message"),
    [
        (_straight()[:3], ValueError, r"initial must have shape \(4, K\+1, 2\).*\(3, 9, 2\)"),
        (_straight()[0], ValueError, r"initial must have shape \(4, K\+1, 2\).*\(9, 2\)"),
        (_straight()[..., :1], ValueError, r"initial must have shape \(4, K\+1, 2\).*\(4, 9, 1\)"),
        (_straight()[:, :1], ValueError, r"initial must have shape \(4, K\+1, 2\) with K >= 1.*\(4, 1, 2\)"),
        (_straight().float(), ValueError, r"initial must have the dtype.*float32"),
        (_straight() + 0.1, ValueError, r"initial must begin at start and finish at end.*0\.1"),
        (_straight().numpy(), TypeError, r"initial must be a torch tensor.*numpy"),
        ("straight", TypeError, r"initial must be a torch tensor.*str"),
    ],
    ids=["batch", "one curve", "dimension", "a point", "dtype", "ends", "numpy", "string"],
)
def test_initial_curve(initial: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        lg.geodesic(METRIC, GOOD, GOOD, initial=initial)


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
@pytest.mark.parametrize("away", [1e-3, torch.nan], ids=["by a thousandth", "NaN"])
def test_ends_of_an_initial_curve_count_in_units_of_the_pair(scale: float, away: float) -> None:
    ends = scale * torch.eye(2)
    with pytest.raises(ValueError, match=r"initial must begin at start.*curve 0 is"):
        lg.geodesic(lg.EuclideanMetric(2), *ends, initial=((1 + away) * ends)[None])


@pytest.mark.parametrize("option", ["num_segments", "max_steps"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "8", None, True], ids=repr)
def test_numbers_of_the_solver(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be a positive integer, got {value!r}"):
        lg.MinimizeEnergy(**{option: value})


@pytest.mark.parametrize("value", [0.0, -1e-3, float("nan"), "small"], ids=repr)
def test_tolerance_of_the_solver(value: object) -> None:
    with pytest.raises(
        (ValueError, TypeError), match=rf"tol must be a positive number or None, got {value!r}"
    ):
        lg.MinimizeEnergy(tol=value)


def test_tolerance_may_be_a_number_of_numpy() -> None:
    assert (
        lg.distance(METRIC, GOOD, GOOD + 0.1, solver=lg.MinimizeEnergy(tol=np.float32(1e-3))).isfinite().all()
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused_by_the_exponential(dtype: torch.dtype) -> None:
    with pytest.raises(
        TypeError, match=r"z must be in float32 or float64, got a b?float16 tensor of .*\(4, 2\)"
    ):
        lg.expmap(METRIC, GOOD.to(dtype), GOOD.to(dtype))


def test_options_are_keyword_only_and_frozen() -> None:
    with pytest.raises(TypeError):
        lg.MinimizeEnergy(32)
    with pytest.raises(AttributeError):
        lg.MinimizeEnergy().tol = 1.0


@pytest.mark.parametrize("t", [0.5, [1.5], [-0.1], [torch.nan], [[0.5]]], ids=repr)
def test_times_outside_the_curve(t: object) -> None:
    result = lg.geodesic(METRIC, GOOD[:1], GOOD[:1] + 0.1)
    with pytest.raises(ValueError, match=r"t must be a vector of times in \[0, 1\], got"):
        result.at(torch.tensor(t, dtype=torch.float64))


def test_errors_of_the_decoder_pass_unchanged() -> None:
    class MyError(Exception):
        pass

    def decoder(z: Tensor) -> Tensor:
        if z.requires_grad or z.shape[0] > 100:
            raise MyError("from inside the decoder")
        return z

    with pytest.raises(MyError, match="from inside the decoder") as caught:
        lg.geodesic(lg.pullback_metric(decoder), GOOD, GOOD + 1)
    assert caught.traceback[-1].name == "decoder"
    assert caught.value.__cause__ is None
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes"):  # the network takes 3 latents, not 2
        lg.distance(lg.pullback_metric(network(3, 4)), GOOD, GOOD + 1)


def test_training_mode_is_refused_even_when_switched_on_later() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Dropout(0.1)).double().eval()
    metric = lg.pullback_metric(net)
    net.train()
    with pytest.raises(ValueError, match=r"\.eval\(\)"):
        lg.geodesic(metric, GOOD, GOOD + 1)
