"""Checks of a solver's options."""

from __future__ import annotations

import math
import numbers

from latentgeo.metrics.arguments import check_count


def check_counts(options: object, *names: str) -> None:
    """Refuses attributes that are not positive integers."""
    for name in names:
        check_count(name, getattr(options, name))


def check_tolerances(options: object, *names: str) -> None:
    """Refuses attributes that are neither positive finite numbers nor None."""
    for name in names:
        value = getattr(options, name)
        if value is not None and (
            not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 < float(value) < math.inf
        ):
            raise ValueError(f"{name} must be a positive number or None, got {value!r}")
