"""``presets`` and ``ops``: what there is to choose from."""

from __future__ import annotations

import argparse

from engine.cli.common import Refusal, dump_json
from engine.ops import OPS
from engine.presets import preset, preset_names
from engine.presets.page import presets_markdown
from engine.search_space import search_space_markdown
from engine.spec_toml import to_toml


def main(args: argparse.Namespace) -> int:
    """Print a list as text, as JSON, as a page of documentation, or one preset as TOML. Raises Refusal or SpecError."""
    if args.command == "presets":
        print(_presets(args), end="")
    elif args.markdown:
        print(search_space_markdown(), end="")
    else:
        print(_ops(args.json))
    return 0


def _presets(args: argparse.Namespace) -> str:
    if args.markdown:
        return presets_markdown()
    if args.toml:
        if args.name is None:
            raise Refusal("--toml: needs the name of a preset before it")
        return to_toml(preset(args.name))
    if args.json:
        data = preset(args.name).to_json() if args.name else [preset(name).to_json() for name in preset_names()]
        return dump_json(data, indent=2) + "\n"
    specs = [preset(name) for name in ([args.name] if args.name else preset_names())]
    if args.name:
        return f"{specs[0].name}  {specs[0].title}\n\n{specs[0].description}\n"
    width = max(len(spec.name) for spec in specs)
    return "".join(f"{spec.name:{width}}  {spec.title}\n" for spec in specs)


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
