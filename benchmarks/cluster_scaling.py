"""How much sooner two workers finish a distance matrix than one: dask workers of one thread each, on this machine.

    python benchmarks/cluster_scaling.py [--problem mnist2] [--points 96] [--tile-size 16] [--repeats 3] [--out DIR]

Encoded data, all pairs, default solver, in process and on clusters of one and two worker processes in turns; each
computes a small matrix before, uncounted, for which it imports torch. Efficiency is T(1) / 2 T(2), the median over
the turns; the goal is 80%. What else runs on the machine takes from two workers more than from one, so that the load
is given, and beside it the efficiency in processor seconds, which the load hardly touches: those of the one worker
over those of the two. The matrices must agree to 1e-6.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from distributed import Client, LocalCluster
from problems import CACHE, NAMES, load

from latentgeo import ConvergenceWarning, distance_matrix
from latentgeo.experiments.environment import environment

GOAL = 0.8
AGREEMENT = 1e-6
WORKERS = (1, 2)


def main() -> None:
    """Times the matrix in process and on both clusters; prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problem", choices=NAMES, default="mnist2")
    parser.add_argument("--points", type=int, default=96)
    parser.add_argument("--tile-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where trained decoders are kept")
    parser.add_argument("--data-dir", type=Path, help="where the files of MNIST are")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter(
        "ignore", ConvergenceWarning
    )  # of pairs that no solver settles; the same everywhere
    problem = load(args.problem, cache=args.cache, data_dir=args.data_dir)
    points, busy = problem.latents[: args.points], os.getloadavg()[0]
    pairs = args.points * (args.points - 1) // 2

    def matrix(client: Client | None, count: int = args.points) -> np.ndarray:
        return distance_matrix(problem.metric(), points[:count], client=client, tile_size=args.tile_size)

    clusters = {
        n: LocalCluster(
            n_workers=n, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
        )
        for n in WORKERS
    }
    clients = {0: None, **{n: cluster.get_client() for n, cluster in clusters.items()}}
    for client in clients.values():
        matrix(client, 2 * args.tile_size)
    turns: list[dict[int, dict[str, float]]] = []
    found: dict[int, np.ndarray] = {}
    for _ in range(args.repeats):
        turn = {}
        for n, client in clients.items():
            before, began = processor_seconds(client), time.perf_counter()
            found[n] = matrix(client)
            seconds, after = time.perf_counter() - began, processor_seconds(client)
            turn[n] = {"seconds": seconds, "processor seconds": after - before}
        turns.append(turn)
        print(f"turn {len(turns)}: {turn}", flush=True)
    for client in filter(None, clients.values()):
        client.close()
    for cluster in clusters.values():
        cluster.close()

    table = {n: {key: statistics.median(t[n][key] for t in turns) for key in turns[0][n]} for n in clients}
    efficiency = {
        key: statistics.median(t[1][key] / t[2][key] / share for t in turns)
        for key, share in (("seconds", 2), ("processor seconds", 1))
    }
    difference = max(
        float(np.nanmax(np.abs(found[n] - found[0]) / np.where(found[0] > 0, found[0], 1))) for n in WORKERS
    )
    met = efficiency["seconds"] >= GOAL and difference <= AGREEMENT
    print(
        f"\n| {args.problem}, {pairs} pairs | seconds | processor seconds | pairs a second |\n"
        + "|---" * 4
        + "|"
    )
    for n, row in table.items():
        name = f"{n} workers" if n else "in process"
        print(
            f"| {name} | {row['seconds']:.1f} | {row['processor seconds']:.1f} | {pairs / row['seconds']:.0f} |"
        )
    print(
        f"\n{'Met' if met else 'NOT met'}: efficiency of two workers {efficiency['seconds']:.0%} (goal {GOAL:.0%}), "
        f"{efficiency['processor seconds']:.0%} in processor seconds; entries differ by at most {difference:.1g}; "
        f"load average {busy:.1f} before"
    )
    place = {**environment(torch.device("cpu")), "load average before": busy}
    report = {"date": str(datetime.date.today()), "environment": place, "problem": args.problem}
    report |= {"points": args.points, "pairs": pairs, "tile size": args.tile_size, "goal": GOAL, "met": met}
    report |= {"efficiency": efficiency, "largest relative difference": difference}
    report |= {"medians, 0 workers being in process": table, "turns": turns}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "cluster_scaling.json").write_text(json.dumps(report, indent=1) + "\n")


def processor_seconds(client: Client | None) -> float:
    """What this process has computed, or the workers of a cluster."""
    return time.process_time() if client is None else sum(client.run(time.process_time).values())


if __name__ == "__main__":
    main()
