"""Learning rates that fall along a training run."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BurdaSchedule:
    """The learning rate of Burda et al.: stage i = 0, 1, ... lasts 3^i epochs, and the rate falls geometrically.

    rate_i = first · (last / first)^(i / (num_stages - 1)). The defaults are the published 10^-3 · 10^(-i/7) over
    eight stages, 3280 epochs; five stages, with the same ends, are 121. After the last stage its rate stays.

    Attributes:
        num_stages: at least two.
        first: rate of the first stage.
        last: rate of the last one.

    Raises:
        ValueError: an attribute out of range.

    References:
        Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, 2016, arXiv 1509.00519, section 5.

    Examples:
        >>> schedule = BurdaSchedule()
        >>> schedule.epochs, [f"{schedule(epoch):.2e}" for epoch in (1, 2, 4, 5, 3280)]
        (3280, ['1.00e-03', '7.20e-04', '7.20e-04', '5.18e-04', '1.00e-04'])
    """

    num_stages: int = 8
    first: float = 1e-3
    last: float = 1e-4

    def __post_init__(self) -> None:
        if self.num_stages < 2:
            raise ValueError(f"num_stages: expected at least 2, got {self.num_stages!r}")
        for name in ("first", "last"):
            rate = getattr(self, name)
            if not 0.0 < rate < math.inf:
                raise ValueError(f"{name}: expected a positive learning rate, got {rate!r}")

    @property
    def epochs(self) -> int:
        """Epochs of all stages together, (3^num_stages - 1) / 2."""
        return (3**self.num_stages - 1) // 2

    def __call__(self, epoch: int) -> float:
        """The learning rate of an epoch, the first of which is 1.

        Raises:
            ValueError: `epoch` is below one.
        """
        if epoch < 1:
            raise ValueError(f"epoch: expected a positive integer, got {epoch!r}")
        stage = 0
        while stage < self.num_stages - 1 and epoch > (3 ** (stage + 1) - 1) // 2:
            stage += 1
        return self.first * (self.last / self.first) ** (stage / (self.num_stages - 1))
