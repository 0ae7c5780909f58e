"""The documented experiments, one file an experiment or family."""

from latentgeo.experiments.experiment import Experiment
from latentgeo.experiments.studies import fisher_geodesics, latent_interpolation, theorem_check

# In the order in which they are listed.
EXPERIMENTS: tuple[Experiment, ...] = (
    fisher_geodesics.EXPERIMENT,
    theorem_check.EXPERIMENT,
    latent_interpolation.EXPERIMENT,
)

__all__ = ["EXPERIMENTS"]
