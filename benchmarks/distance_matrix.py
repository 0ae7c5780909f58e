"""All distances between encoded digits: exact ones of some points, those of a graph of many, and their errors.

    python benchmarks/distance_matrix.py [--points 200] [--many 2000] [--neighbors 10 20 40 80] [--threads 1 2]
        [--workers 2] [--naive 3200] [--errors 200] [--device cpu] [--out DIR]

The decoder is that of MNIST with two latents. Exact distances are compared with those of one call of ``distance`` for
every 64 pairs, on a sample of them, in the same run: seconds, and lengths. Goals are for two cores: two threads of
torch, or two workers of a single thread each. Processor seconds are those of this process, without workers.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from distributed import LocalCluster
from problems import Problem, load
from timing import timed
from torch import Tensor

from latentgeo import GraphSearch, distance, distance_matrix, sampled_errors
from latentgeo.experiments.environment import environment

EXACT_GOAL, GRAPH_GOAL = 90, 60  # seconds, of all pairs of 200 points, and of 2,000 points by a graph
ERROR_GOAL = 0.03  # median, of the default number of neighbours
BATCH = 64  # pairs a call of the naive way


def main() -> None:
    """Solves, prints tables, writes JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=200, help="of which all exact distances are found")
    parser.add_argument("--many", type=int, default=2000, help="of which distances are found by a graph")
    parser.add_argument("--neighbors", type=int, nargs="+", default=[10, 20, 40, 80])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--workers", type=int, default=2, help="of a local cluster; 0 for none")
    parser.add_argument("--naive", type=int, default=3200, help="pairs solved in the naive way")
    parser.add_argument("--errors", type=int, default=200, help="pairs on which the graph is judged")
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    busy, problem = os.getloadavg()[0], load("mnist2", device=args.device)
    report = {"date": str(datetime.date.today()), "decoder": problem.description}
    report |= {"environment": {**environment(args.device), "load average before": busy}}
    report |= {
        "goals": {"exact_seconds": EXACT_GOAL, "graph_seconds": GRAPH_GOAL, "graph_median": ERROR_GOAL}
    }
    exact = [exact_row(problem, args.points, n, args.naive, args.device) for n in args.threads]
    if args.workers:
        exact.append(cluster_row(problem, args.points, args.workers, args.device))
    report["exact"] = exact
    table(exact)
    torch.set_num_threads(max(args.threads))
    graph = [graph_row(problem, args.many, k, args.errors, args.device) for k in args.neighbors]
    report["graph"] = graph
    table(graph)
    report["met"] = {
        "exact": min(row["seconds"] for row in exact) <= EXACT_GOAL,
        "graph": all(
            row["seconds"] <= GRAPH_GOAL for row in graph if row["neighbors"] == GraphSearch.num_neighbors
        ),
        "graph_error": all(
            row["median"] < ERROR_GOAL for row in graph if row["neighbors"] == GraphSearch.num_neighbors
        ),
    }
    print("\n" + ", ".join(f"{name}: {'met' if met else 'NOT met'}" for name, met in report["met"].items()))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "distance_matrix.json").write_text(json.dumps(report, indent=1) + "\n")


def exact_row(problem: Problem, points: int, threads: int, naive: int, device: torch.device) -> dict:
    """All pairs of some points by ``distance_matrix``, and a sample of them batch by batch."""
    torch.set_num_threads(threads)
    x, kept = problem.latents[:points], []
    pairs = torch.triu_indices(points, points, 1)
    drawn = pairs[:, torch.randperm(pairs.shape[1], generator=torch.Generator().manual_seed(0))[:naive]]
    distance(problem.metric(), x[drawn[0, :BATCH]], x[drawn[1, :BATCH]])  # warm
    began = time.process_time()
    (seconds,) = timed(lambda: kept.append(distance_matrix(problem.metric(), x)), 1, device)
    busy = time.process_time() - began
    row = {"points": points, "pairs": pairs.shape[1], "threads": threads, "seconds": seconds}
    row |= {"processor_seconds": busy, "pairs_per_second": pairs.shape[1] / seconds}
    began = time.process_time()
    (alone,) = timed(lambda: kept.append(batch_by_batch(problem, x, drawn)), 1, device)
    scale = pairs.shape[1] / drawn.shape[1]
    row |= {"naive_seconds": alone * scale, "naive_processor_seconds": (time.process_time() - began) * scale}
    matrix, lengths = kept
    relative = matrix[tuple(drawn.numpy())] / lengths - 1
    row |= {"median_difference": float(np.median(relative)), "longer_1e-3": float((relative > 1e-3).mean())}
    return {**row, "shorter_1e-3": float((relative < -1e-3).mean())}


def cluster_row(problem: Problem, points: int, workers: int, device: torch.device) -> dict:
    """The same on workers of one thread each, which have been at work before."""
    x, metric = problem.latents[:points], problem.metric()
    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    with cluster, cluster.get_client() as client:
        distance_matrix(metric, x[:40], client=client, tile_size=8)
        (seconds,) = timed(lambda: distance_matrix(metric, x, client=client), 1, device)
    pairs = points * (points - 1) // 2
    return {"points": points, "pairs": pairs, "workers": workers, "seconds": seconds} | {
        "pairs_per_second": pairs / seconds
    }


def batch_by_batch(problem: Problem, x: Tensor, pairs: Tensor) -> np.ndarray:
    """Distances of pairs (2, n), one call for each few."""
    metric = problem.metric()
    with torch.no_grad():
        parts = [distance(metric, x[i], x[j]) for i, j in pairs.split(BATCH, dim=1)]
    return torch.cat(parts).double().cpu().numpy()


def graph_row(problem: Problem, points: int, neighbors: int, errors: int, device: torch.device) -> dict:
    """All distances by a graph of the points themselves, and their errors."""
    x, kept, metric = problem.latents[:points], [], problem.metric()
    solver = GraphSearch(x, num_neighbors=neighbors)
    run = functools.partial(distance_matrix, metric, x, solver=solver)
    (seconds,) = timed(lambda: kept.append(run()), 1, device)
    found = sampled_errors(kept[0], metric, x, num_pairs=errors)
    row = {"points": points, "neighbors": neighbors, "threads": torch.get_num_threads(), "seconds": seconds}
    row |= {"median": found.median, "ninetieth_percentile": found.ninetieth_percentile}
    return {**row, "worst": found.worst, "bias": found.bias}


def table(rows: list[dict]) -> None:
    """Prints rows of numbers."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    print("\n| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")
    for row in rows:
        values = [row.get(name, "") for name in names]
        cells = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in values)
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
