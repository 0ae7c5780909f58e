"""The energy's gradient, and the quadratic models of it, against what is slow and plain."""

from __future__ import annotations

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

import latentgeo as lg
import latentgeo.geodesics.immersed_energy as energy_module
import laws
from latentgeo.geodesics.energy import curve_energy
from latentgeo.geodesics.sketched_model import SketchedModel
from latentgeo.metrics.immersion import Immersion
from strategies import decoders, dtypes, tensors


@hypothesis.settings(max_examples=20)
@hypothesis.given(st.data())
def test_gradient_is_that_of_the_energy(data: st.DataObject) -> None:
    """Any decoder, any number of segments: the force written out against autograd through every chord."""
    dtype, dim = data.draw(dtypes()), data.draw(st.integers(1, 4))
    segments, batch = data.draw(st.integers(2, 9)), data.draw(st.integers(1, 3))
    metric = lg.pullback_metric(data.draw(decoders(dim, dtype)))
    points = data.draw(tensors((batch, segments + 1, dim), dtype))
    objective = curve_energy(metric, points[:, 0], points[:, -1])
    value, gradient = objective.value_and_gradient(points[:, 1:-1], torch.arange(batch))
    leaf = points.clone().requires_grad_()
    whole = objective.energy(leaf)
    (expected,) = torch.autograd.grad(whole.sum(), leaf)
    laws.assert_near(value, whole, laws.rounding(dtype), "energy")
    laws.assert_near(gradient, expected[:, 1:-1], 10 * laws.rounding(dtype), "gradient")


@pytest.mark.parametrize("segments", [16, 32, 48])
def test_model_between_knots_is_exact_where_the_jacobian_is_linear(segments: int) -> None:
    """A quadratic map along a straight line: J at every fourth point, or second, tells all of it."""
    generator = torch.Generator().manual_seed(0)
    form = torch.randn(5, 3, 3, dtype=torch.float64, generator=generator)
    metric = lg.pullback_metric(lambda z: torch.einsum("ni,kij,nj->nk", z, form, z))
    ends = torch.randn(2, 4, 3, dtype=torch.float64, generator=generator)
    t = torch.linspace(0, 1, segments + 1, dtype=torch.float64)[1:-1, None]
    inner = torch.lerp(ends[0, :, None], ends[1, :, None], t)
    objective = curve_energy(metric, *ends)
    diagonal, upper = objective.hessian_blocks(inner, torch.arange(4))
    j = metric.immersion.jacobian(inner.reshape(-1, 3)).unflatten(0, (4, -1))
    assert objective.evaluations < 2 * 4 + inner[..., 0].numel() / 1.5  # fewer Jacobians than points
    first, last = segments // 8, segments - segments // 8 - 2  # beyond the outer knots it is constant
    laws.assert_near(diagonal[:, first:last], (2 * segments * j.mT @ j)[:, first:last], 1e-12)
    laws.assert_near(upper[:, first:last], (-segments * j[:, :-1].mT @ j[:, 1:])[:, first:last], 1e-12)


def test_sketched_model_solves_what_it_stands_for(dtype: torch.dtype) -> None:
    """Against the dense Kronecker product of second differences and the metric with its ridge."""
    generator = torch.Generator().manual_seed(0)
    segments, d = 7, 5
    rows = torch.randn(3, 4, d, generator=generator, dtype=torch.float64)
    right = torch.randn(3, segments - 1, d, generator=generator, dtype=torch.float64)
    ridge = torch.tensor([1e-1, 1e-2, 1.0], dtype=torch.float64)
    found = SketchedModel(rows.to(dtype), segments).factorised(ridge.to(dtype)).solve(right.to(dtype))
    one = torch.eye(segments - 1, dtype=torch.float64)
    second = segments * (2 * one - one.roll(1, 0).tril(-1) - one.roll(-1, 0).triu(1))
    for k in range(3):
        metric = rows[k].T @ rows[k]
        metric = metric + ridge[k] * metric.trace() / d * torch.eye(d, dtype=torch.float64)
        expected = torch.linalg.solve(torch.kron(second, metric), right[k].flatten())
        laws.assert_near(found[k].flatten(), expected, 10 * laws.rounding(dtype))


def test_sketch_is_the_mean_metric_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    """With n random signs the error falls as 1/sqrt(n): ten times less with a hundred times more, about."""
    monkeypatch.setattr(energy_module, "_MANY", 1)
    net = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 8)).double()
    metric = lg.pullback_metric(net)
    inner = torch.randn(2, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    objective = curve_energy(metric, inner[:, 0], inner[:, -1])
    expected = metric(inner).mean(dim=1).detach()
    errors = []
    for probes in (30, 3000):
        monkeypatch.setattr(energy_module, "_PROBES", probes)
        rows = objective.quadratic_model(inner, torch.arange(2)).rows
        errors.append(float((rows.mT @ rows - expected).norm() / expected.norm()))
    assert errors[1] < 0.03
    assert errors[1] < errors[0] / 3


def test_many_latents_need_no_jacobian(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    """100 latents: the same geodesics as with Jacobians, by products with J and its transpose alone."""
    generator = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(100, 64), torch.nn.Tanh(), torch.nn.Linear(64, 80)).double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) / 8)
    start, end = torch.randn(2, 3, 100, generator=generator, dtype=torch.float64).to(dtype) / 2
    metric = lg.pullback_metric(net.to(dtype))
    with monkeypatch.context() as patch:
        patch.setattr(energy_module, "_MANY", 1000)
        expected = lg.geodesic(metric, start, end)

    def refuse(self: Immersion, z: torch.Tensor) -> torch.Tensor:
        raise AssertionError("a Jacobian was asked for")

    monkeypatch.setattr(Immersion, "jacobian", refuse)
    result = lg.geodesic(metric, start, end)
    assert expected.converged.all()
    assert result.converged.all()
    laws.assert_near(result.energy, expected.energy, 1e-5, scale=expected.energy)
