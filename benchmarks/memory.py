"""Peak memory and time of solving thousands of geodesics at once, and their growth with the number of curves.

    python benchmarks/memory.py [--problem mnist10] [--curves 256 512 1024 2048] [--segments 64] [--out DIR]

Each solve has a process of its own. Its memory is the largest resident set in the whole run of the process, less the
largest after imports and building of decoder, metric and pairs; on a GPU, the largest sum of allocated tensors, less
what is allocated before. The goal is below 2 GiB for 2048 curves of 64 segments through 784 outputs.
"""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from problems import CACHE, NAMES, load
from timing import slope

from latentgeo import MinimizeEnergy
from latentgeo.experiments.environment import environment

GOAL = 2.0  # GiB, of the largest batch


def main() -> None:
    """Solves each batch in a process of its own; prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problem", choices=NAMES, default="mnist10")
    parser.add_argument("--curves", type=int, nargs="+", default=[256, 512, 1024, 2048], help="B")
    parser.add_argument("--segments", type=int, default=64, help="T")
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where trained decoders are kept")
    parser.add_argument("--data-dir", type=Path, help="where the files of MNIST are")
    parser.add_argument(
        "--alone", action="store_true", help="solve the first batch here, and print only JSON"
    )
    args = parser.parse_args()
    if args.alone:
        print(json.dumps(solve(args)))
        return
    folders = ["--cache", args.cache, *(["--data-dir", args.data_dir] if args.data_dir else [])]
    # On Linux a process inherits the largest resident set of the one that starts it: nothing large happens here.
    output_of(Path(__file__).with_name("problems.py"), args.problem, *folders)
    options = ["--problem", args.problem, "--segments", args.segments, "--device", args.device, *folders]
    print(f"| {args.problem}, T = {args.segments} | seconds | GiB | converged | decoded points |")
    print("|---" * 5 + "|", flush=True)
    batches = []
    for curves in sorted(args.curves):
        batch = json.loads(output_of(__file__, "--alone", "--curves", curves, *options).splitlines()[-1])
        batches.append(batch)
        cells = "{seconds:.2f} | {gib:.2f} | {converged:.1%} | {evaluations:.1e}".format(**batch)
        print(f"| B = {curves} | {cells} |", flush=True)
    met = batches[-1]["gib"] < GOAL
    print(f"\n{'Below' if met else 'NOT below'} {GOAL:g} GiB for {batches[-1]['curves']} curves")
    report = {"date": str(datetime.date.today()), "problem": args.problem, "segments": args.segments}
    report |= {"environment": environment(args.device), "goal_gib": GOAL, "met": met, "batches": batches}
    if len(batches) > 1:
        sizes = [b["curves"] for b in batches]
        report["growth"] = {key: slope(sizes, [b[key] for b in batches]) for key in ("seconds", "gib")}
        print("Growth: seconds ~ B^{seconds:.2f}, memory ~ B^{gib:.2f}".format(**report["growth"]))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "memory.json").write_text(json.dumps(report, indent=1) + "\n")


def output_of(*command: object) -> str:
    """What a Python script prints in a process of its own; what it complains of is shown."""
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def solve(args: argparse.Namespace) -> dict[str, float | str]:
    """Solves the first of the batches in this process, and measures it."""
    options = {"cache": args.cache, "data_dir": args.data_dir, "device": args.device}
    problem = load(args.problem, pairs=args.curves[0], **options)
    metric, solver = problem.metric(), MinimizeEnergy(num_segments=args.segments)
    before, began = peak(args.device), time.perf_counter()
    result = solver.solve(metric, problem.start, problem.end)
    converged = float(result.converged.double().mean())  # waits for the device
    seconds = time.perf_counter() - began
    return {
        "curves": len(result),
        "decoder": problem.description,
        "seconds": seconds,
        "gib": (peak(args.device) - before) / 2**30,
        "baseline_gib": before / 2**30,
        "converged": converged,
        "evaluations": result.evaluations,
    }


def peak(device: torch.device) -> int:
    """The largest memory so far, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
