"""Training the reference models: objectives, one loop, checkpoints."""

from latentgeo.training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from latentgeo.training.history import EpochRecord, History
from latentgeo.training.loop import fit
from latentgeo.training.objectives import ELBO
from latentgeo.training.precision import fit_precision

__all__ = [
    "ELBO",
    "Checkpoint",
    "EpochRecord",
    "History",
    "fit",
    "fit_precision",
    "load_checkpoint",
    "save_checkpoint",
]
