"""``explain`` and ``export``: one program, read and written out."""

from __future__ import annotations

import argparse
import sys

from engine.cli.common import Refusal, dump_json, read_algorithm


def main(args: argparse.Namespace) -> int:
    """Print what the command makes of the program. Raises Refusal or ProgramError."""
    algorithm = read_algorithm(args.file)
    if args.command == "explain":
        from engine.explain import explain

        explanation = explain(algorithm)
        sys.stdout.write(dump_json(explanation.to_json(), indent=2) + "\n" if args.json else explanation.text())
    else:
        from engine.export import export

        try:
            text = export(algorithm, args.to, name=args.name, task_type=args.type)
        except ValueError as error:
            raise Refusal(str(error).replace("task_type:", "--type:")) from None
        sys.stdout.write(text)
    return 0
