"""Searches as lines of text, and a bar that moves."""

from __future__ import annotations

import shutil
import sys
from typing import Any, TextIO

ENDED = ("stopped", "finished", "failed")
BAR = 24


def score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def span(seconds: float) -> str:
    """Return a time span in its two largest units."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def line(search: dict[str, Any]) -> str:
    """Return one line that says how a search stands."""
    best = search["best"]["score"] if search["best"] else None
    parts = [
        search["state"],
        f"best {score(best)}",
        f"{search['individuals']:,} programs tried",
        span(search["seconds"]),
    ]
    return ", ".join(parts)


def bar(share: float) -> str:
    full = round(max(0.0, min(share, 1.0)) * BAR)
    return "█" * full + "░" * (BAR - full)


class Progress:
    """One line on a terminal that is written over; elsewhere a new line whenever the state or the best changes."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.moves = self.stream.isatty()
        self._last: tuple = ()

    def show(self, search: dict[str, Any]) -> None:
        if self.moves:
            share = search["progress"]
            head = f"{bar(share)} {share:4.0%}  " if share is not None else ""
            width = shutil.get_terminal_size().columns - 1
            self.stream.write("\r\x1b[K" + (head + line(search))[:width])
        else:
            best = search["best"]["permalink"] if search["best"] else None
            if (search["state"], best) != self._last:
                self._last = (search["state"], best)
                self.stream.write(line(search) + "\n")
        self.stream.flush()

    def end(self) -> None:
        """Leave the line as it is."""
        if self.moves:
            self.stream.write("\n")
            self.stream.flush()
