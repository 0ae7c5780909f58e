"""The command line: ``latentgeo demo``, ``list``, ``run`` and ``report``."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from latentgeo.experiments import EXPERIMENTS, Experiment, Place, Result, UnusableData, demo, run
from latentgeo.experiments.experiment import starting_at
from latentgeo.experiments.jobs import connected
from latentgeo.experiments.report import NoResults, markdown, read_results, report

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

    running = commands.add_parser(
        "run",
        help="documented experiments, reproduced and judged",
        description="Runs experiments one after another, each into a folder of its name. Ends with status 0 only "
        "where every criterion was met.",
    )
    running.add_argument("names", nargs="+", metavar="NAME", help="as in the list, or 'all'")
    running.add_argument(
        "--preset",
        choices=("quick", "standard", "full"),
        default="standard",
        help="quick: embedded digits, minutes; standard (the default): MNIST, an hour each; full: as documented",
    )
    running.add_argument(
        "--seed", type=int, metavar="N", help="the first of the seeds (default: the preset's)"
    )
    running.add_argument("--device", default="cpu", metavar="D", help="cpu (the default), cuda, cuda:1, ...")
    running.add_argument("--data-dir", type=Path, metavar="DIR", help="where MNIST's files lie")
    running.add_argument(
        "--out",
        type=Path,
        default=Path("latentgeo-results"),
        metavar="DIR",
        help="where results go, and trained models for later runs (default: latentgeo-results)",
    )
    cluster = running.add_mutually_exclusive_group()
    cluster.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask cluster, over which sweeps are spread"
    )
    cluster.add_argument(
        "--workers", type=int, metavar="N", help="spread sweeps over so many processes of this machine"
    )
    running.set_defaults(command=_run)

    reporting = commands.add_parser("report", help="an HTML page of every result under a folder")
    reporting.add_argument("folder", type=Path, metavar="DIR", help="where results lie")
    reporting.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in DIR")
    reporting.add_argument(
        "--markdown", action="store_true", help="prints the table of criteria and writes no page"
    )
    reporting.set_defaults(command=_report_folder)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    del arguments
    lines = [(demo.NAME, demo.SUMMARY), *((e.name, e.summary) for e in EXPERIMENTS)]
    width = max(len(name) for name, _ in lines)
    for name, summary in lines:
        print(f"{name:{width}}  {summary}")
    return _MET


def _run(arguments: argparse.Namespace) -> int:
    named = {experiment.name: experiment for experiment in EXPERIMENTS}
    wanted = list(named) if arguments.names == ["all"] else list(dict.fromkeys(arguments.names))
    for name in wanted:
        if name not in named:
            near = difflib.get_close_matches(name, named, n=1, cutoff=0.0)
            return _refuse(f"no experiment is called {name!r}; did you mean {near[0]!r}? See latentgeo list")
    if arguments.seed is not None and not 0 <= arguments.seed < 2**31:
        return _refuse(f"--seed: expected an integer from 0 to 2**31 - 1, got {arguments.seed}")
    if arguments.workers is not None and arguments.workers < 1:
        return _refuse(f"--workers: expected a positive integer, got {arguments.workers}")
    try:
        torch.empty(0, device=arguments.device)
    except (RuntimeError, AssertionError) as error:
        sentence = str(error).splitlines()[0]
        return _refuse(f"--device: {arguments.device!r} is not to be had: {sentence}")
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(connected(arguments.scheduler, arguments.workers))
        except (ImportError, OSError) as error:
            return _refuse(str(error))
        place = Place(
            cache=arguments.out / "cache",
            data_dir=arguments.data_dir,
            device=arguments.device,
            client=client,
            progress=True,
        )
        return _run_all([named[name] for name in wanted], arguments, place)


def _run_all(wanted: list[Experiment], arguments: argparse.Namespace, place: Place) -> int:
    """The worst status of all; what is done stays when a later one fails."""
    status = _MET
    for experiment in wanted:
        config = experiment.presets[arguments.preset]
        if arguments.seed is not None:
            config = starting_at(config, arguments.seed)
        out = arguments.out / experiment.name
        try:
            result = run(experiment, config, place, out=out)
        except OSError as error:
            return _refuse(f"--out: {error}")
        except KeyboardInterrupt:
            print(
                f"\nInterrupted in {experiment.name}; run it again and trained models go on", file=sys.stderr
            )
            return _INTERRUPTED
        print(
            f"{experiment.name}: {result.status}, {sum(result.seconds.values()):.0f} s, {out / 'index.html'}"
        )
        for criterion in result.criteria:
            print(f"  {criterion}")
        if result.skipped:
            print(f"latentgeo: {experiment.name} was skipped: {result.skipped}", file=sys.stderr)
            status = max(status, _BAD_ARGUMENTS)
        status = max(status, _MET if result.passed else _NOT_MET)
    return status


def _report_folder(arguments: argparse.Namespace) -> int:
    try:
        results = read_results(arguments.folder)
        if arguments.markdown:
            print(markdown(results), end="")
            return _MET
        file: Path = arguments.out or arguments.folder / "report.html"
        file.write_text(report(results), encoding="utf-8")
    except NoResults as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"--out: {error}")
    print(f"page: {file.resolve()}")
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
