"""How well classes are told apart by hyperplanes in a latent space."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

Array = np.ndarray | Tensor


def linear_separability(
    features_train: Array,
    labels_train: Array,
    features_test: Array,
    labels_test: Array,
    *,
    inverse_penalty: float = 1.0,
    max_iter: int = 1000,
) -> float:
    """The test accuracy of a logistic regression, trained on standardized features.

    Features may be posterior means, means and variances side by side (`torch.cat` along the last
    dimension), samples, or the raw data as a baseline. Standardization has mean and variance from the
    training features; a constant feature is left out of account.

    Args:
        features_train: (N, k).
        labels_train: (N,), integers or booleans, of at least two classes.
        features_test: (M, k).
        labels_test: (M,).
        inverse_penalty: scikit-learn's C, on squared weights; the larger, the weaker the penalty.
        max_iter: of the solver, L-BFGS, which warns where they were not enough.

    Returns:
        The share of the test data whose class is predicted, in [0, 1].

    Raises:
        ValueError: shapes that do not match, non-finite features, one class only, options out of range.
        TypeError: neither arrays nor tensors.

    References:
        Peste, Malagò and Sârbu, An Explanatory Analysis of the Geometry of Latent Variables Learned by
        Variational Auto-Encoders, 2017.
        Alain and Bengio, Understanding intermediate layers using linear classifier probes, 2016,
        arXiv 1610.01644.

    Examples:
        >>> import torch
        >>> points = torch.tensor([[-2.0, 0.0], [-1.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> linear_separability(points, labels, -points, labels)
        0.0
    """
    if not 0.0 < inverse_penalty < float("inf"):
        raise ValueError(f"inverse_penalty: expected a positive finite number, got {inverse_penalty!r}")
    if max_iter < 1:
        raise ValueError(f"max_iter: expected a positive integer, got {max_iter!r}")
    train = _features("features_train", features_train)
    test = _features("features_test", features_test)
    if test.shape[1] != train.shape[1]:
        raise ValueError(
            f"features_test: expected {train.shape[1]} columns as in training, got {test.shape[1]}"
        )
    classes = _labels("labels_train", labels_train, len(train))
    truth = _labels("labels_test", labels_test, len(test))
    if len(np.unique(classes)) < 2:
        raise ValueError("labels_train: expected at least two classes, got one")
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=inverse_penalty, max_iter=max_iter))
    return float(classifier.fit(train, classes).score(test, truth))


def _features(name: str, features: Array) -> np.ndarray:
    """Features (N, k) in float64, finite."""
    values = _array(name, features)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"{name}: expected shape (N, k), got {values.shape}")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite values, got NaN or infinity among them")
    return values


def _labels(name: str, labels: Array, rows: int) -> np.ndarray:
    """Labels (N,), one for each row of features."""
    values = _array(name, labels)
    if values.shape != (rows,):
        raise ValueError(f"{name}: expected shape ({rows},), one label for each row, got {values.shape}")
    if values.dtype.kind not in "iub":
        raise TypeError(f"{name}: expected integers or booleans, got {values.dtype}")
    return values


def _array(name: str, values: Array) -> np.ndarray:
    if isinstance(values, Tensor):
        known = values.float() if values.dtype == torch.bfloat16 else values  # which NumPy has no type for
        return known.detach().cpu().numpy()
    if not isinstance(values, np.ndarray):
        raise TypeError(f"{name}: expected a torch tensor or a NumPy array, got {type(values).__name__}")
    return values
