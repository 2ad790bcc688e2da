"""``presets`` and ``ops``: what there is to choose from."""

from __future__ import annotations

import argparse

from engine.cli.common import dump_json
from engine.ops import OPS
from engine.presets import preset, preset_names
from engine.search_space import search_space_markdown


def main(args: argparse.Namespace) -> int:
    """Print a list as text, or as JSON."""
    if args.command == "presets":
        print(_presets(args.json))
    elif args.markdown:
        print(search_space_markdown(), end="")
    else:
        print(_ops(args.json))
    return 0


def _presets(as_json: bool) -> str:
    specs = [preset(name) for name in preset_names()]
    if as_json:
        return dump_json([spec.to_json() for spec in specs], indent=2)
    width = max(len(spec.name) for spec in specs)
    return "\n".join(f"{spec.name:{width}}  {spec.title}" for spec in specs)


def _ops(as_json: bool) -> str:
    if as_json:
        return dump_json(
            [
                {
                    "id": int(info.op), "name": info.op.name, "notation": info.notation, "inputs": list(info.inputs),
                    "output": info.output, "constants": list(info.constants), "meaning": info.meaning, "cost": info.cost,
                }
                for info in OPS
            ],
            indent=2,
        )  # fmt: skip
    rows = []
    for info in OPS:
        letters = {name: name for name in info.constants}
        rows.append(
            (
                f"{int(info.op):2}",
                info.op.name,
                info.notation.format(a="a", b="b", o="o", **letters),
                info.meaning,
            )
        )
    name, notation = (max(len(row[column]) for row in rows) for column in (1, 2))
    return "\n".join(f"{row[0]}  {row[1]:{name}}  {row[2]:{notation}}  {row[3]}" for row in rows)
