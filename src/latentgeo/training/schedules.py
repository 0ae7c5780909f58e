"""Learning rates that fall along a training run."""

import math
from dataclasses import dataclass

from latentgeo.models.arguments import check_count


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
        check_count("epoch", epoch)
        stage = 0
        while stage < self.num_stages - 1 and epoch > (3 ** (stage + 1) - 1) // 2:
            stage += 1
        return self.first * (self.last / self.first) ** (stage / (self.num_stages - 1))


@dataclass(frozen=True, kw_only=True)
class CosineSchedule:
    """A learning rate that falls by half a cosine, slowly at both ends.

    rate_e = last + (first - last) · (1 + cos(π (e - 1) / epochs)) / 2 in epoch e = 1, 2, ...; after `epochs` it stays
    at `last`. What a constant rate leaves trembling comes to rest.

    Attributes:
        epochs: over which it falls.
        first: rate of the first epoch.
        last: rate after the last one.

    Raises:
        ValueError: an attribute out of range.

    References:
        Loshchilov and Hutter, SGDR: Stochastic gradient descent with warm restarts, 2017, arXiv 1608.03983, without
        the restarts.

    Examples:
        >>> schedule = CosineSchedule(epochs=4)
        >>> [f"{schedule(epoch):.2e}" for epoch in (1, 2, 3, 4, 5)]
        ['1.00e-03', '8.54e-04', '5.00e-04', '1.46e-04', '0.00e+00']
    """

    epochs: int
    first: float = 1e-3
    last: float = 0.0

    def __post_init__(self) -> None:
        check_count("epochs", self.epochs)
        if not 0.0 < self.first < math.inf:
            raise ValueError(f"first: expected a positive learning rate, got {self.first!r}")
        if not 0.0 <= self.last <= self.first:
            raise ValueError(
                f"last: expected a learning rate from 0 to first, {self.first!r}, got {self.last!r}"
            )

    def __call__(self, epoch: int) -> float:
        """The learning rate of an epoch, the first of which is 1.

        Raises:
            ValueError: `epoch` is below one.
        """
        check_count("epoch", epoch)
        done = min(1.0, (epoch - 1) / self.epochs)
        return self.last + (self.first - self.last) * 0.5 * (1.0 + math.cos(math.pi * done))
