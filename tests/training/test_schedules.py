import math

import pytest
import torch

from latentgeo.training import BurdaSchedule, CosineSchedule


def test_the_published_schedule_written_out():
    schedule = BurdaSchedule()
    rates = [1e-3 * 10 ** (-i / 7) for i in range(8) for _ in range(3**i)]
    assert schedule.epochs == len(rates) == 3280
    assert [schedule(epoch) for epoch in range(1, 3281)] == pytest.approx(rates, rel=1e-12)
    assert schedule(5000) == pytest.approx(1e-4)


def test_fewer_stages_have_the_same_ends():
    schedule = BurdaSchedule(num_stages=4, first=1e-2, last=1e-5)
    rates = [schedule(epoch) for epoch in range(1, schedule.epochs + 1)]
    torch.testing.assert_close(
        torch.tensor(rates).unique(), torch.tensor([1e-5, 1e-4, 1e-3, 1e-2]), rtol=1e-6, atol=0
    )
    assert (rates[0], rates[-1]) == pytest.approx((1e-2, 1e-5))
    assert rates == sorted(rates, reverse=True)


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"num_stages: .* got 1"):
        BurdaSchedule(num_stages=1)
    with pytest.raises(ValueError, match="last: expected a positive"):
        BurdaSchedule(last=0.0)
    with pytest.raises(ValueError, match="first: expected a positive"):
        BurdaSchedule(first=math.nan)
    with pytest.raises(ValueError, match=r"epoch: .* got 0"):
        BurdaSchedule()(0)


def test_cosine_is_that_of_torch():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7, eta_min=0.1)
    schedule = CosineSchedule(epochs=7, first=0.3, last=0.1)
    for epoch in range(1, 9):
        assert schedule(epoch) == pytest.approx(peer.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        peer.step()
    assert schedule(100) == pytest.approx(0.1)


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_of_the_cosine_are_named():
    with pytest.raises(ValueError, match=r"epochs: .* got 0"):
        CosineSchedule(epochs=0)
    with pytest.raises(ValueError, match="first: expected a positive"):
        CosineSchedule(epochs=1, first=math.inf)
    with pytest.raises(ValueError, match=r"last: .* from 0 to first"):
        CosineSchedule(epochs=1, last=1.0)
    with pytest.raises(ValueError, match=r"epoch: .* got -1"):
        CosineSchedule(epochs=1)(-1)
