"""What the commands share: refusals, reading files, printing JSON."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from engine.algorithm import Algorithm
from engine.spec_toml import read_toml

MAX_FILE_BYTES = 1 << 30


class Refusal(Exception):
    """Input that is not accepted: its one-line message goes to standard error, and the exit status is 2."""


def read_text(path: str, what: str) -> str:
    """Return a file's text, or standard input's for "-". Raises Refusal, which begins with `what`."""
    try:
        if path == "-":
            return sys.stdin.buffer.read().decode()
        if Path(path).stat().st_size > MAX_FILE_BYTES:
            raise Refusal(f"{what}: {path} is larger than {MAX_FILE_BYTES:,} bytes")
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Refusal(f"{what}: {path} is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise Refusal(f"{what}: cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def parse_json(text: str, what: str) -> Any:
    """Return parsed JSON. Raises Refusal naming line and column."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Refusal(f"{what}: not valid JSON, line {error.lineno} column {error.colno}: {error.msg}") from None
    except (RecursionError, ValueError) as error:
        raise Refusal(f"{what}: not valid JSON: {error}") from None


def parse_toml(text: str, what: str) -> dict[str, Any]:
    """Return parsed TOML. Raises Refusal naming line and column."""
    try:
        return read_toml(text)
    except ValueError as error:
        raise Refusal(f"{what}: not valid TOML: {error}") from None


def read_algorithm(path: str) -> Algorithm:
    """Read a program: {"setup", "predict", "learn"}, alone or as the "program" of a larger object (a search's result).

    Raises Refusal or ProgramError.
    """
    data = parse_json(read_text(path, "program"), "program")
    if isinstance(data, dict) and isinstance(data.get("program"), dict):
        data = data["program"]
    return Algorithm.from_json(data)


def plain(value: Any) -> Any:
    """Return a value for JSON: arrays as lists, and "nan", "inf", "-inf" for what JSON has no numbers for."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def dump_json(value: Any, **options: Any) -> str:
    """Return `plain(value)` as JSON text."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, **options)
