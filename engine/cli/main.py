"""The parser of ``python -m engine``, and the dispatch to the commands."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from engine.algorithm import ProgramError, Registers
from engine.cli.common import Refusal

# Engine errors that are the user's to mend. Those of modules that import numpy are looked up by name when raised.
_REFUSED = ("ProgramError", "SpecError", "TaskError", "DatasetError", "StudyError", "Refusal")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.replace('argument ', '', 1)}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0, 1 (some lines of the input were refused) or 2 (the input was)."""
    args = _parser().parse_args(arguments)
    command = importlib.import_module(f"engine.{args.module}")
    try:
        return command.main(args) or 0
    except ValueError as error:
        if type(error).__name__ not in _REFUSED:
            raise
        return _refuse(args, error)
    except Refusal as error:
        return _refuse(args, error)
    except BrokenPipeError:  # the reader has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _refuse(args: argparse.Namespace, error: Exception) -> int:
    message = " ".join(str(error).split())
    print(f"python -m engine {args.command}: {message}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m engine", description="Evolve and run machine-learning algorithms.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, module: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.set_defaults(module=module)
        return command

    evaluate = add("evaluate", "cli.evaluate", "score programs: JSON lines in, JSON lines out")
    where = evaluate.add_mutually_exclusive_group(required=True)
    where.add_argument("--tasks", metavar="FILE", help="tasks as JSON; each program names its own by index")
    where.add_argument("--preset", metavar="NAME", help="the tasks and registers of a preset")
    evaluate.add_argument(
        "--registers", type=_registers, metavar="S,V,M", help="scalars, vectors, matrices of the memory"
    )
    evaluate.add_argument("--memory", action="store_true", help="also print the registers after the run")
    evaluate.add_argument(
        "--baseline", action="append", metavar="NAME", help="score known algorithms, not standard input"
    )
    evaluate.add_argument(
        "--role", choices=("search", "select", "final"), default="search", help="which of the preset's tasks"
    )
    evaluate.add_argument("--epochs", type=_whole(1, 1000), metavar="N", help="passes over the training examples")
    scale = evaluate.add_argument_group("another scale (with --preset)")
    scale.add_argument(
        "--features", type=_whole(2, 4096), metavar="F",
        help="project to so many, or, if the data has so many columns, take these; above 256 on NumPy and BLAS",
    )  # fmt: skip
    scale.add_argument("--count", type=_whole(1, 10_000), metavar="N", help="tasks")
    scale.add_argument("--train-examples", type=_whole(10, 1_000_000), metavar="N")
    scale.add_argument("--valid-examples", type=_whole(1, 1_000_000), metavar="N")
    scale.add_argument(
        "--retune", type=_whole(1, 1000), metavar="TRIALS",
        help="also score with constants tuned on other tasks of the same scale, by so many random trials",
    )  # fmt: skip
    scale.add_argument(
        "--retune-examples", type=_whole(10, 1_000_000), default=1000, metavar="N",
        help="training examples of the tasks tuned on, at most (default 1,000)",
    )  # fmt: skip
    evaluate.add_argument("--seed", type=_whole(0, 2**63 - 1), default=0, metavar="N", help="of tasks and random ops")

    search = add("search", "cli.search", "search for an algorithm")
    what = search.add_mutually_exclusive_group(required=True)
    what.add_argument("--preset", metavar="NAME", help="one of `python -m engine presets`")
    what.add_argument("--spec", metavar="FILE", help="a specification, JSON or TOML")
    search.add_argument("--seed", type=_whole(0, 2**63 - 1), default=0, metavar="N")
    search.add_argument("--max-seconds", type=_seconds, metavar="T", help="end after so much engine time")
    search.add_argument(
        "--max-individuals", type=_whole(1, 10**15), metavar="N",
        help="end after N programs instead of after a time: the same on every machine",
    )  # fmt: skip
    search.add_argument(
        "--record", metavar="FILE", help="keep the search with curve and ancestry as a bundle (.jsonl or .jsonl.gz)"
    )
    search.add_argument(
        "--workers",
        type=_whole(1, 256),
        default=1,
        metavar="K",
        help="run islands on K threads; of a search of one island, K with seeds of their own",
    )
    search.add_argument(
        "--islands",
        type=_whole(1, 1000),
        metavar="N",
        help="populations that exchange algorithms (the result depends on it)",
    )
    search.add_argument("--json", action="store_true", help="print the result as one JSON object")

    study = add("study", "cli.study", "compare: repeats and arms of a comparison, resumable, with intervals")
    study.add_argument("file", metavar="FILE", help="the study, as TOML; docs/studies/ has examples")
    study.add_argument("--out", metavar="FOLDER", help="where it is kept (default: studies/NAME of the file)")
    study.add_argument("--repeats", type=_whole(1, 10_000), metavar="N", help="instead of the file's")
    study.add_argument(
        "--workers",
        type=_whole(1, 64),
        default=1,
        metavar="K",
        help="runs at a time, on K threads; not more than there are cores to spare, where runs have so many seconds",
    )
    study.add_argument("--json", action="store_true", help="print the outcome as one JSON object")

    presets = add("presets", "cli.show", "list the ready specifications, or show one")
    presets.add_argument("name", metavar="NAME", nargs="?", help="show this one")
    form = presets.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--toml", action="store_true", help="one preset, as a file for `search --spec`")
    form.add_argument("--markdown", action="store_true", help="all, as the page docs/presets.md")
    ops = add("ops", "cli.show", "list the instruction set")
    form = ops.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--markdown", action="store_true", help="as the page docs/search-space.md")

    explain = add("explain", "cli.programs", "say what each line of a program does in the learner")
    explain.add_argument("file", metavar="FILE", help='a program as JSON, or "-" for standard input')
    explain.add_argument("--json", action="store_true")

    export = add("export", "cli.programs", "write a program as code")
    export.add_argument("file", metavar="FILE", help='a program as JSON, or "-" for standard input')
    export.add_argument("--to", required=True, choices=("python", "sklearn", "json", "latex"))
    export.add_argument("--name", default="", help="name of the exported algorithm")
    export.add_argument(
        "--type", choices=("classification", "regression"), default="classification", help="what it learns"
    )

    knockout = add("knockout", "cli.knockout", "measure what each line and each motif of a program is worth")
    which = knockout.add_mutually_exclusive_group(required=True)
    which.add_argument("file", metavar="FILE", nargs="?", help='a program as JSON, or "-" for standard input')
    which.add_argument("--baseline", metavar="NAME", help="a known algorithm")
    knockout.add_argument("--preset", required=True, metavar="NAME", help="on whose tasks")
    knockout.add_argument("--role", choices=("search", "select", "final"), default="final", help="which of its tasks")
    knockout.add_argument(
        "--retune", type=_whole(1, 1000), metavar="TRIALS",
        help="also with constants tuned on other tasks, by so many random trials for each program",
    )  # fmt: skip
    knockout.add_argument("--seed", type=_whole(0, 2**63 - 1), default=0, metavar="N", help="of tasks and random ops")
    knockout.add_argument("--json", action="store_true")

    motifs = add("motifs", "cli.motifs", "measure how well motifs are recognised, and how often by mistake")
    motifs.add_argument("--programs", type=_whole(1, 1_000_000), default=2000, metavar="N", help="random programs")
    motifs.add_argument("--seed", type=_whole(0, 2**63 - 1), default=1, metavar="N")
    motifs.add_argument("--json", action="store_true")

    bench = add("bench", "bench", "measure the engine")
    form = bench.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--markdown", action="store_true", help="the table as docs/performance.md has it")
    bench.add_argument("--ops", action="store_true", help="every op too, on 10 tasks of 16 features")
    bench.add_argument(
        "--seeds", type=int, default=0, metavar="N", help="the time until linear-demo is solved, N seeds"
    )
    bench.add_argument("--scaling", action="store_true", help="how the cost grows with features, tasks, length, …")
    bench.add_argument("--chart", metavar="FILE", help="with --scaling, write the curves as an SVG")
    bench.add_argument(
        "--reference",
        nargs=2,
        metavar=("DEMO", "BASELINE"),
        help="only this: by turns with the published C++ program, built for its demo and for its baseline (docs/performance.md)",
    )
    return parser


def _registers(text: str) -> Registers:
    try:
        return Registers.parse(text)
    except ProgramError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("registers: ")) from None


def _whole(low: int, high: int):
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f'"{text}" is not allowed, whole numbers from {low:,} to {high:,} are')
        return value

    return parse


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e9:
        raise argparse.ArgumentTypeError(f'"{text}" is not allowed, numbers above 0 up to 1e9 are')
    return value
