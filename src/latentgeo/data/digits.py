"""Handwritten digits that come with scikit-learn: nothing to download."""

from typing import cast

import sklearn.datasets
import torch
from sklearn.utils import Bunch

from latentgeo.data.images import LabelledImages


def load_digits() -> LabelledImages:
    """The 1,797 digits of 8 × 8 pixels embedded in scikit-learn, with grey levels k/16 in [0, 1].

    Returns:
        Images (1797, 1, 8, 8) and labels (1797,), about 180 of each digit.

    References:
        Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, 1998, doi 10.24432/C50P49.

    Examples:
        >>> load_digits().images.shape
        torch.Size([1797, 1, 8, 8])
    """
    bunch = cast(Bunch, sklearn.datasets.load_digits())
    images = torch.from_numpy(bunch.images).to(torch.float32).unsqueeze(1) / 16
    return LabelledImages(images, torch.from_numpy(bunch.target).to(torch.int64))
