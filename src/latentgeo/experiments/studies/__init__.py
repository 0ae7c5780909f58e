"""The documented experiments, one file an experiment or family."""

from latentgeo.experiments.experiment import Experiment
from latentgeo.experiments.studies import (
    ae_vs_vae,
    demo,
    fisher_geodesics,
    geodesic_k_means,
    graph_geodesics,
    latent_interpolation,
    marginal_likelihood,
    posterior_trajectories,
    sparsity_conv,
    sparsity_dense,
    stationary_condition,
    theorem_check,
)

# In the order in which they are listed.
EXPERIMENTS: tuple[Experiment, ...] = (
    demo.EXPERIMENT,
    ae_vs_vae.EXPERIMENT,
    posterior_trajectories.EXPERIMENT,
    sparsity_dense.EXPERIMENT,
    sparsity_conv.EXPERIMENT,
    stationary_condition.EXPERIMENT,
    fisher_geodesics.EXPERIMENT,
    theorem_check.EXPERIMENT,
    marginal_likelihood.EXPERIMENT,
    geodesic_k_means.EXPERIMENT,
    latent_interpolation.EXPERIMENT,
    graph_geodesics.EXPERIMENT,
)

__all__ = ["EXPERIMENTS"]
