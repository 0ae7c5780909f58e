"""The command line: ``latentgeo demo``, ``explore``, ``list``, ``run`` and ``report``."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import importlib.metadata
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from latentgeo.experiments import EXPERIMENTS, Config, Experiment, Place, run
from latentgeo.experiments.experiment import starting_at
from latentgeo.experiments.jobs import connected
from latentgeo.experiments.report import NoResults, markdown, read_results, report
from latentgeo.experiments.studies import demo
from latentgeo.explorer.server import Explorer, require_bokeh

_MET, _NOT_MET, _BAD_ARGUMENTS, _INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments after the program's name; those of the process, if None.

    Returns:
        The exit status: 0 where every criterion was met, 1 where one was not, 2 for bad arguments or missing data,
        130 after Ctrl-C, with which ``explore`` ends as it should, with 0.
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

    showing = commands.add_parser(
        "demo",
        help=demo.EXPERIMENT.summary,
        description="Trains a small VAE on three digits, draws its metric and geodesics, and clusters its latent "
        "space. Ends with status 0 only where every criterion was met.",
    )
    showing.add_argument(
        "--data", choices=("digits", "mnist"), default="digits", help="embedded digits (the default) or MNIST"
    )
    showing.add_argument(
        "--classes", type=int, nargs="+", metavar="DIGIT", default=[0, 1, 2], help="default: 0 1 2"
    )
    _add_place(showing, out="latentgeo-demo")
    showing.set_defaults(command=_demo)

    exploring = commands.add_parser(
        "explore",
        help="a page in the browser to look around in a latent space",
        description="Serves a page on this machine, for this machine alone, until Ctrl-C: the map of the metric, "
        "geodesics between points that are clicked, balls and clusters.",
    )
    shown = exploring.add_mutually_exclusive_group()
    shown.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="a model of 'latentgeo demo' or 'latentgeo run', in cache/models",
    )
    shown.add_argument(
        "--data",
        choices=("digits", "mnist"),
        help="the model that comes with the package: of embedded digits (the default) or MNIST",
    )
    exploring.add_argument("--data-dir", type=Path, metavar="DIR", help="where MNIST's files lie")
    exploring.add_argument(
        "--port", type=int, default=5006, metavar="N", help="default: 5006, or the next free one"
    )
    exploring.add_argument("--no-browser", action="store_true", help="only says where the page is")
    exploring.set_defaults(command=_explore)

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
    _add_place(running, out="latentgeo-results")
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


def _add_place(parser: argparse.ArgumentParser, *, out: str) -> None:
    """What every command that runs experiments asks for."""
    parser.add_argument(
        "--seed", type=int, metavar="N", help="the first of the seeds (default: the preset's)"
    )
    parser.add_argument("--device", default="cpu", metavar="D", help="cpu (the default), cuda, cuda:1, ...")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where MNIST's files lie")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(out),
        metavar="DIR",
        help=f"where results go, in place of those of an earlier run, and trained models for later ones "
        f"(default: {out})",
    )


def _list(arguments: argparse.Namespace) -> int:
    del arguments
    width = max(len(experiment.name) for experiment in EXPERIMENTS)
    for experiment in EXPERIMENTS:
        print(f"{experiment.name:{width}}  {experiment.summary}")
    return _MET


def _demo(arguments: argparse.Namespace) -> int:
    if arguments.data == "digits" and arguments.data_dir is not None:
        return _refuse("--data-dir goes with --data mnist; the embedded digits need none")
    preset = demo.EXPERIMENT.presets["standard" if arguments.data == "mnist" else "quick"]
    try:
        config = dataclasses.replace(preset, classes=tuple(arguments.classes))
    except ValueError as error:
        return _refuse(f"--{error}")
    wrong = _refuse_place(arguments)
    return wrong or _run_all([(demo.EXPERIMENT, config, arguments.out)], arguments, client=None)


def _explore(arguments: argparse.Namespace) -> int:
    if not 0 <= arguments.port < 2**16:
        return _refuse(f"--port: expected a number from 0 to 65535, got {arguments.port}")
    try:
        require_bokeh()
        # what reads models takes a second to import, which no other command needs
        from latentgeo.explorer.trained import checkpoint_scene, shipped_scene

        if arguments.checkpoint is None:
            scene = shipped_scene(arguments.data or "digits", arguments.data_dir)
        else:
            scene = checkpoint_scene(arguments.checkpoint, arguments.data_dir)
        explorer = Explorer(scene, arguments.port)
    except (ImportError, OSError, ValueError) as error:
        return _refuse(str(error).removeprefix("path: "))
    busy = f" (port {arguments.port} is in use)" if arguments.port not in (0, explorer.port) else ""
    print(f"page: {explorer.url}{busy}; Ctrl-C ends it", flush=True)
    if not arguments.no_browser:
        webbrowser.open(explorer.url)
    with explorer, contextlib.suppress(KeyboardInterrupt):
        explorer.wait()
    return _MET


def _run(arguments: argparse.Namespace) -> int:
    named = {experiment.name: experiment for experiment in EXPERIMENTS}
    wanted = list(dict.fromkeys(n for name in arguments.names for n in (named if name == "all" else [name])))
    for name in wanted:
        if name not in named:
            near = difflib.get_close_matches(name, named, n=1, cutoff=0.0)
            return _refuse(f"no experiment is called {name!r}; did you mean {near[0]!r}? See latentgeo list")
    if arguments.workers is not None and arguments.workers < 1:
        return _refuse(f"--workers: expected a positive integer, got {arguments.workers}")
    if wrong := _refuse_place(arguments):
        return wrong
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(connected(arguments.scheduler, arguments.workers))
        except (ImportError, OSError) as error:
            return _refuse(str(error))
        plan = [(named[n], named[n].presets[arguments.preset], arguments.out / n) for n in wanted]
        return _run_all(plan, arguments, client=client)


def _refuse_place(arguments: argparse.Namespace) -> int:
    """Zero, where the seed and the device will do."""
    if arguments.seed is not None and not 0 <= arguments.seed < 2**31:
        return _refuse(f"--seed: expected an integer from 0 to 2**31 - 1, got {arguments.seed}")
    try:
        torch.empty(0, device=arguments.device)
    except (RuntimeError, AssertionError) as error:
        sentence = str(error).splitlines()[0]
        return _refuse(f"--device: {arguments.device!r} is not to be had: {sentence}")
    return 0


def _run_all(
    plan: list[tuple[Experiment, Config, Path]], arguments: argparse.Namespace, *, client: Any
) -> int:
    """The worst status of all; what is done stays when a later one fails."""
    place = Place(
        cache=arguments.out / "cache",
        data_dir=arguments.data_dir,
        device=arguments.device,
        client=client,
        progress=True,
    )
    status = _MET
    for experiment, preset, out in plan:
        config = preset if arguments.seed is None else starting_at(preset, arguments.seed)
        try:
            result = run(experiment, config, place, out=out)
        except OSError as error:
            return _refuse(f"--out: {error}")
        except KeyboardInterrupt:
            print(
                f"\nInterrupted in {experiment.name}; what was finished is in {arguments.out}, and the same command "
                "goes on from there",
                file=sys.stderr,
            )
            return _INTERRUPTED
        seconds = sum(result.seconds.values())
        print(f"{experiment.name}: {result.status}, {seconds:.0f} s, {(out / 'index.html').resolve()}")
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


def _refuse(sentence: str) -> int:
    print(f"latentgeo: {sentence}", file=sys.stderr)
    return _BAD_ARGUMENTS
