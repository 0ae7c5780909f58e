"""Training the reference models: objectives and bounds, one loop, checkpoints."""

from latentgeo.training.binarization import static_binarization
from latentgeo.training.bounds import renyi_bound
from latentgeo.training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from latentgeo.training.evaluation import evaluate
from latentgeo.training.history import EpochRecord, History
from latentgeo.training.importance import IWAE, Renyi
from latentgeo.training.loop import fit
from latentgeo.training.objectives import ELBO, ReconstructionLoss
from latentgeo.training.precision import fit_precision
from latentgeo.training.reference_models import reference_model, train_reference
from latentgeo.training.schedules import BurdaSchedule, CosineSchedule
from latentgeo.training.weights import log_weights

__all__ = [
    "ELBO",
    "IWAE",
    "BurdaSchedule",
    "Checkpoint",
    "CosineSchedule",
    "EpochRecord",
    "History",
    "ReconstructionLoss",
    "Renyi",
    "evaluate",
    "fit",
    "fit_precision",
    "load_checkpoint",
    "log_weights",
    "reference_model",
    "renyi_bound",
    "save_checkpoint",
    "static_binarization",
    "train_reference",
]
