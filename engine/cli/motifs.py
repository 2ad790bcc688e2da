"""``motifs``: how well they are recognised, and how often where nobody put one."""

from __future__ import annotations

import argparse

from engine.alarms import as_json, measure, report
from engine.cli.common import dump_json


def main(args: argparse.Namespace) -> int:
    """Print the measurement as Markdown tables, or as JSON."""
    recalls, alarms = measure(programs=args.programs, variants=max(1, args.programs // 10), seed=args.seed)
    print(dump_json(as_json(recalls, alarms), indent=2) if args.json else report(recalls, alarms).rstrip())
    return 0
