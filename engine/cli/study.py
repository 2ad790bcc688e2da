"""``study``: repeats and arms of a comparison; Ctrl-C keeps what there is, the same command goes on."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from engine.cli.common import Refusal, dump_json, parse_toml, read_text
from engine.cli.search import interruptible
from engine.study import Folder, Run, Study, StudyError, run_study, study_from_toml, write
from engine.study_table import curves, summary, table


def main(args: argparse.Namespace) -> int:
    """Run the study, or go on with it, and print its table. Raises Refusal before anything is written."""
    study = _study(args)
    path = Path(args.out or Path("studies") / Path(args.file).stem)
    try:
        folder = Folder(path, study)
    except (StudyError, OSError, ValueError) as error:
        raise Refusal(f"--out: {error}") from None
    total = len(study.arms) * study.repeats
    done = len(folder.finished())
    print(f"{path}: {done} of {total} runs have ended", file=sys.stderr, flush=True)
    last = time.monotonic()

    def progress(run: Run, ended: bool) -> None:
        nonlocal done, last
        done += ended
        if ended or time.monotonic() - last >= 10:
            last = time.monotonic()
            best = f", best on the select tasks {run.curve[-1][2]:.4f}" if run.curve else ""
            state = "ended" if ended else "running"
            print(
                f"{done}/{total}  {run.arm}, repeat {run.repeat}, {state}: {run.seconds:.1f} s, {run.individuals:,} programs{best}",
                file=sys.stderr,
                flush=True,
            )

    with interruptible() as stop:
        runs = run_study(study, folder, should_stop=stop.is_set, on_progress=progress, workers=args.workers)
    outcome = summary(study, runs)
    write(path / "table.md", table(outcome).encode())
    write(path / "curves.csv", curves(runs).encode())
    write(path / "summary.json", dump_json(outcome, indent=1).encode())
    print(dump_json(outcome) if args.json else table(outcome), end="\n" if args.json else "")
    if outcome["runs_to_come"]:
        print(f"{outcome['runs_to_come']} runs to come: the same command goes on", file=sys.stderr)
        return 130
    return 0


def _study(args: argparse.Namespace) -> Study:
    data = parse_toml(read_text(args.file, "study"), "study")
    if args.repeats is not None:
        data["repeats"] = args.repeats
    try:
        return study_from_toml(data)
    except StudyError as error:
        raise Refusal(str(error)) from None
