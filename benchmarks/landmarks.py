"""How well distances to landmarks bound the distances between other points.

    python benchmarks/landmarks.py [--problems mnist2 mnist10] [--points 50] [--landmarks 10 30] [--out DIR]

With landmarks a, max |A[i, a] - A[j, a]| <= d(i, j) <= min A[i, a] + A[a, j]. Both bounds over the exact distance, in
the median and the worst tenth, for all pairs of encoded digits and for each digit with its nearest; landmarks are
other digits at random. Also pairs solved in a processor second of one thread.
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from problems import NAMES, Problem, load

from latentgeo import ConvergenceWarning, distance_matrix
from latentgeo.experiments.environment import environment

_FAR = 1000  # row of the first landmark


def main() -> None:
    """Solves, prints a table, writes JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problems", choices=NAMES, nargs="+", default=["mnist2", "mnist10"])
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--landmarks", type=int, nargs="+", default=[10, 30])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)  # of pairs that no solver settles
    rows = [row for name in args.problems for row in bounds(load(name), args.points, args.landmarks)]
    print("\n| " + " | ".join(rows[0]) + " |\n" + "|---" * len(rows[0]) + "|")
    for row in rows:
        print("| " + " | ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()) + " |")
    report = {
        "date": str(datetime.date.today()),
        "environment": environment(torch.device("cpu")),
        "rows": rows,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "landmarks.json").write_text(json.dumps(report, indent=1) + "\n")


def bounds(problem: Problem, count: int, landmarks: list[int]) -> list[dict]:
    """A row for each number of landmarks and kind of pairs."""
    points, chosen = problem.latents[:count], problem.latents[_FAR : _FAR + max(landmarks)]
    began = time.process_time()
    exact, to_landmarks = (
        distance_matrix(problem.metric(), points),
        distance_matrix(problem.metric(), points, chosen),
    )
    rate = (count * (count - 1) // 2 + to_landmarks.size) / (time.process_time() - began)
    every = np.stack(np.triu_indices(count, 1))
    nearest = np.argsort(exact, axis=1)[:, 1]
    near = np.unique(np.sort(np.stack([np.arange(count), nearest]), axis=0), axis=1)
    rows = []
    for number in landmarks:
        known = to_landmarks[:, :number]
        for kind, (i, j) in (("all", every), ("nearest", near)):
            upper = (known[i] + known[j]).min(axis=1) / exact[i, j]
            lower = np.abs(known[i] - known[j]).max(axis=1) / exact[i, j]
            rows.append(
                {
                    "problem": problem.name,
                    "landmarks": number,
                    "pairs": kind,
                    "upper bound, median": float(np.median(upper)),
                    "upper bound, 90%": float(np.quantile(upper, 0.9)),
                    "lower bound, median": float(np.median(lower)),
                    "lower bound, 10%": float(np.quantile(lower, 0.1)),
                    "pairs a processor second": rate,
                }
            )
    return rows


if __name__ == "__main__":
    main()
