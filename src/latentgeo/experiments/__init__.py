"""The documented experiments: each a name, a frozen config, and a study that gives a result with criteria."""

from latentgeo.experiments import demo, fisher_geodesics, latent_interpolation, theorem_check
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.experiment import Config, Experiment, Findings, Place
from latentgeo.experiments.record import Record
from latentgeo.experiments.result import Figure, Result, UnusableData
from latentgeo.experiments.run import run

# In the order in which they are listed.
EXPERIMENTS: tuple[Experiment, ...] = (
    fisher_geodesics.EXPERIMENT,
    theorem_check.EXPERIMENT,
    latent_interpolation.EXPERIMENT,
)

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
    "demo",
    "run",
]
