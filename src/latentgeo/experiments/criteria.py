"""What an experiment must show: a bound fixed beforehand, and the value that was measured."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Literal

Relation = Literal[">", ">=", "<", "<="]

_HOLDS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


@dataclass(frozen=True)
class Criterion:
    """A claim, ``measured relation bound``, that holds or does not.

    Attributes:
        claim: a sentence.
        measured: the value; NaN never passes.
        relation: ">", ">=", "<" or "<=".
        bound: what it is compared with, never changed after a look at the value.
        documented: what the document says of it.

    Example:
        >>> Criterion("Most of them agree.", 0.97, ">=", 0.95).passed
        True
    """

    claim: str
    measured: float
    relation: Relation
    bound: float
    documented: str = ""

    @property
    def passed(self) -> bool:
        """Whether the claim holds."""
        return bool(_HOLDS[self.relation](self.measured, self.bound))

    def __str__(self) -> str:
        verdict = "met" if self.passed else "NOT MET"
        return f"{verdict} ({self.measured:.4g} {self.relation} {self.bound:g}): {self.claim}"
