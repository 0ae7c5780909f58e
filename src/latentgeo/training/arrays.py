"""Data for training, as one tensor where the model is."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn


def training_data(model: nn.Module, data: Tensor | np.ndarray, name: str = "data") -> Float[Tensor, "n ..."]:
    """`data` in the dtype and on the device of the parameters of `model`, copied only where these differ.

    Args:
        model: what is trained.
        data: (N, *event).
        name: of the argument that they came by.

    Raises:
        ValueError: the model has no parameters, or the data no rows.
        TypeError: the data are no tensor or array, or not floating.
    """
    parameter = next(model.parameters(), None)
    if parameter is None:
        raise ValueError("model: expected parameters to train, got none")
    if not isinstance(data, Tensor | np.ndarray):
        raise TypeError(
            f"{name}: expected a tensor or an array (N, ...), such as the images of LabelledImages, "
            f"got {type(data).__name__}"
        )
    tensor = torch.as_tensor(data)
    if not tensor.is_floating_point():
        raise TypeError(
            f"{name}: expected floating values, such as grey levels in [0, 1], got {tensor.dtype}"
        )
    if tensor.dim() < 2 or len(tensor) == 0:
        raise ValueError(f"{name}: expected shape (N, ...) with N at least 1, got {tuple(tensor.shape)}")
    return tensor.detach().to(parameter)
