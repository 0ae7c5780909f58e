"""The command line: ``latentgeo demo``, ``latentgeo list``."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from latentgeo.experiments import EXPERIMENTS, Result, UnusableData, demo

_MET, _NOT_MET, _BAD_ARGUMENTS, _INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments after the program's name; those of the process, if None.

    Returns:
        The exit status: 0 where every criterion was met, 1 where one was not, 2 for bad arguments or missing data,
        130 after Ctrl-C.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse has said why; after --help and --version there is nothing to say
        return stop.code if isinstance(stop.code, int) else _BAD_ARGUMENTS
    # The networks are small: a second thread saves little, and where another program wants the core it costs tenfold.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return arguments.command(arguments)
    finally:
        torch.set_num_threads(threads)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="latentgeo", description="Riemannian geometry for latent spaces.")
    version = importlib.metadata.version("latentgeo")
    parser.add_argument("--version", action="version", version=f"latentgeo {version}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run_demo = commands.add_parser(
        "demo",
        help=demo.SUMMARY,
        description="Trains a small VAE on three digits, draws its metric and geodesics, and clusters its latent "
        "space. Ends with status 0 only where every criterion was met.",
    )
    run_demo.add_argument(
        "--data", choices=("digits", "mnist"), default="digits", help="embedded digits (the default) or MNIST"
    )
    run_demo.add_argument("--data-dir", type=Path, metavar="DIR", help="where MNIST's files lie")
    run_demo.add_argument(
        "--classes",
        type=int,
        nargs="+",
        metavar="DIGIT",
        default=list(demo.DIGITS.classes),
        help="default: 0 1 2",
    )
    run_demo.add_argument("--seed", type=int, default=0, metavar="N", help="of everything drawn (default: 0)")
    run_demo.add_argument("--device", default="cpu", metavar="D", help="cpu (the default), cuda, cuda:1, ...")
    run_demo.add_argument(
        "--out",
        type=Path,
        default=Path("latentgeo-demo"),
        metavar="DIR",
        help="where the figures and the page go; those of an earlier run are replaced (default: latentgeo-demo)",
    )
    run_demo.set_defaults(command=_demo)

    listing = commands.add_parser("list", help="every experiment, a line each")
    listing.set_defaults(command=_list)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    del arguments
    width = max(len(name) for name, _ in EXPERIMENTS)
    for name, summary in EXPERIMENTS:
        print(f"{name:{width}}  {summary}")
    return _MET


def _demo(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    if arguments.data == "digits" and arguments.data_dir is not None:
        return _refuse("--data-dir goes with --data mnist; the embedded digits need none")
    try:
        config = dataclasses.replace(
            demo.MNIST if arguments.data == "mnist" else demo.DIGITS,
            data_dir=arguments.data_dir,
            classes=tuple(arguments.classes),
            seed=arguments.seed,
            device=arguments.device,
        )
    except ValueError as error:
        return _refuse(f"--{error}")
    before = _written(out)
    try:
        result = demo.run(config, out=out, progress=True)
    except UnusableData as error:
        return _refuse(str(error))
    except OSError as error:  # nothing but the folder is opened
        return _refuse(f"--out: {error}")
    except KeyboardInterrupt:
        kept = sorted(path.name for path, when in _written(out).items() if before.get(path) != when)
        what = f"kept in {out}: {', '.join(kept)}" if kept else "nothing was kept"
        print(f"\nInterrupted; {what}", file=sys.stderr)
        return _INTERRUPTED
    _report(result, out)
    return _MET if result.passed else _NOT_MET


def _written(folder: Path) -> dict[Path, int]:
    """The files in a folder, if there is one, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("*.*")}


def _report(result: Result, out: Path) -> None:
    print(f"{result.title}, {sum(result.seconds.values()):.0f} s")
    scores = result.numbers["k-means"]
    print(
        f"k-means F-measure: {scores['geodesic']['f_measure']:.3f} by geodesic distance, "
        f"{scores['Euclidean']['f_measure']:.3f} by Euclidean distance"
    )
    for criterion in result.criteria:
        print(criterion)
    print(f"page: {(out / 'index.html').resolve()}")
    print(f"numbers: {(out / 'metrics.json').resolve()}")


def _refuse(sentence: str) -> int:
    print(f"latentgeo: {sentence}", file=sys.stderr)
    return _BAD_ARGUMENTS
