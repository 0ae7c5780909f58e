"""The documented experiments: each a name, a frozen config, and a study that gives a result with criteria."""

from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.experiments.result import Figure, Result, UnusableData
from latentgeo.experiments.run import run
from latentgeo.experiments.studies import EXPERIMENTS

__all__ = [
    "EXPERIMENTS",
    "Config",
    "Criterion",
    "Experiment",
    "Figure",
    "Findings",
    "Place",
    "Record",
    "Result",
    "UnusableData",
    "run",
]
