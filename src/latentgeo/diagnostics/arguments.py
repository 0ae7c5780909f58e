"""Checks of tensors and counts at the public boundary."""

from torch import Tensor


def check_tensor(name: str, x: Tensor, shape: str, *, least_dims: int) -> None:
    """Refuse what is not a finite floating tensor with values, of at least so many dimensions."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected a torch tensor {shape}, got {type(x).__name__}")
    if not x.is_floating_point():
        raise TypeError(f"{name}: expected floating values, got {x.dtype}")
    if x.dim() < least_dims or 0 in x.shape:
        raise ValueError(f"{name}: expected shape {shape}, got {tuple(x.shape)}")
    if not bool(x.isfinite().all()):
        raise ValueError(f"{name}: expected finite values, got NaN or infinity among them")


def check_latents(name: str, x: Tensor) -> None:
    """Refuse what has no spread: fewer than two rows of finite latents (..., N, d)."""
    check_tensor(name, x, "(..., N, d)", least_dims=2)
    if x.shape[-2] < 2:
        raise ValueError(f"{name}: expected shape (..., N, d) with at least 2 rows, got {tuple(x.shape)}")


def check_data(x: Tensor) -> None:
    """Refuse what is not a batch (B, *event) of finite data."""
    check_tensor("x", x, "(B, *event), a batch of data", least_dims=2)


def check_variances(means: Tensor, variances: Tensor) -> None:
    """Refuse variances that do not belong to `means`, or that are negative."""
    check_tensor("variances", variances, "of means", least_dims=1)
    if variances.shape != means.shape:
        raise ValueError(
            f"variances: expected the shape of means, {tuple(means.shape)}, got {tuple(variances.shape)}"
        )
    check_not_negative("variances", variances)


def check_not_negative(name: str, x: Tensor) -> None:
    """Refuse negative values, as of log-variances given for variances."""
    if not bool((x >= 0).all()):
        raise ValueError(f"{name}: expected non-negative values, got {float(x.min())!r} among them")


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that no variance, or every one, could pass."""
    if not 0.0 <= threshold < float("inf"):
        raise ValueError(f"threshold: expected a non-negative finite number, got {threshold!r}")
