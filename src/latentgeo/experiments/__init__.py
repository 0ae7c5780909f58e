"""The documented experiments: each a name, a frozen config, and a run that gives a result with criteria."""

from latentgeo.experiments import demo
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.result import Figure, Result, UnusableData

# A name and a line each, in the order in which they are listed.
EXPERIMENTS: tuple[tuple[str, str], ...] = ((demo.NAME, demo.SUMMARY),)

__all__ = ["EXPERIMENTS", "Criterion", "Figure", "Result", "UnusableData", "demo"]
