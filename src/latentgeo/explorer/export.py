"""A curve as a file of NumPy's."""

from __future__ import annotations

import io

import numpy as np

from latentgeo.explorer.joined import Joined


def curve_file(joined: Joined, metric: str) -> bytes:
    """The geodesic and the straight line as the bytes of an NPZ file, which ``numpy.load`` reads.

    It holds ``points`` (T+1, d), ``line`` (n, d), ``length`` and ``line_length`` in ambient units, ``energy``,
    ``residual``, ``steps``, ``status``, the sentence, and the name of the ``metric``.

    Example:
        >>> import io, numpy, torch
        >>> from latentgeo import EuclideanMetric
        >>> from latentgeo.explorer.joined import join
        >>> *_, joined = join(EuclideanMetric(2), torch.zeros(2), torch.ones(2))
        >>> numpy.load(io.BytesIO(curve_file(joined, "Euclidean")))["points"].shape
        (33, 2)
    """
    result = joined.result
    file = io.BytesIO()
    np.savez(
        file,
        points=result.points[0].cpu().numpy(),
        line=joined.line.cpu().numpy(),
        length=float(result.length[0]),
        line_length=joined.line_length,
        energy=float(result.energy[0]),
        residual=float(result.residual[0]),
        steps=int(result.steps[0]),
        status=str(result.status[0]),
        metric=metric,
    )
    return file.getvalue()
