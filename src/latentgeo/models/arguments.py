"""Checks of counts at the public boundary of models, their training and data."""

import numbers


def is_count(value: object) -> bool:
    """Whether it is a positive integer, Python's or NumPy's."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= 1


def check_count(name: str, value: object, *, words: str = "a positive integer") -> None:
    """Refuse what is not a positive integer."""
    if not is_count(value):
        raise ValueError(f"{name}: expected {words}, got {value!r}")
