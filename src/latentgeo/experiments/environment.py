"""The machine and the versions that numbers came from."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import torch


def environment(device: torch.device) -> dict[str, str | int]:
    """Versions of Python and of what computes, the processor and its threads, and the device."""
    packages = ("latentgeo", "torch", "numpy", "scipy", "scikit-learn", "matplotlib")
    versions = {name: importlib.metadata.version(name) for name in packages}
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return {
        "python": platform.python_version(),
        **versions,
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count() or 0,
        "torch threads": torch.get_num_threads(),
        "device": f"{device} {gpu}".strip(),
    }
