import math

import pytest
import torch

from latentgeo.training import BurdaSchedule


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
