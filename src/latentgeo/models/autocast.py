"""Where mixed precision has too few digits: matrix products that autocast leaves in the dtype of their arguments."""

import contextlib
from contextlib import AbstractContextManager

import torch


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Within the context autocast on that device is off; where it is off already, nothing is entered."""
    if not torch.amp.is_autocast_available(device.type) or not torch.is_autocast_enabled(device.type):
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)
