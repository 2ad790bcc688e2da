"""Read a bundle: unpacked into a temporary file within limits, then line by line, as often as it is looked at."""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from engine.algorithm import MAX_INSTRUCTIONS, Algorithm, Instruction, ProgramError
from engine.bundle import form
from engine.bundle.form import (
    KINDS,
    MOST,
    BundledFind,
    BundleError,
    Event,
    Head,
    IslandState,
    Limits,
    event_from_json,
    find_from_json,
    head_from_json,
    island_from_json,
    point_from_json,
    whole,
)

_MAGIC = b"\x1f\x8b"


class Row(NamedTuple):
    """One individual of the ancestry. island, parent_island: indexes; parent_island None: the same island."""

    island: int
    birth: int
    parent: int | None
    parent_island: int | None
    mutation: str
    change: dict[str, Any]
    score: float | None
    depth: int = 0


class Bundle:
    """A bundle on its way in. Use it as a context manager; sections are there when it has been opened.

    Opening unpacks it and looks at every line's form and checksum, and at nothing else. Raises BundleError.
    """

    def __init__(self, source: str | Path | BinaryIO, *, limits: Limits | None = None):
        self.limits = limits or Limits()
        self.sections: list[Section] = []
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        try:
            self._unpack(source)
            self._divide()
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *_error: Any) -> None:
        self.file.close()

    def _unpack(self, source: str | Path | BinaryIO) -> None:
        try:
            raw = open(source, "rb") if isinstance(source, (str, Path)) else source  # noqa: SIM115
        except OSError as error:
            raise BundleError(f"cannot read {source}: {error.strerror}") from None
        try:
            first = raw.read(2)
            raw.seek(0)
            packed = gzip.GzipFile(fileobj=raw) if first == _MAGIC else raw
            total = 0
            while chunk := packed.read(1 << 16):
                total += len(chunk)
                if total > self.limits.bytes:
                    raise BundleError(f"larger than {self.limits.bytes:,} bytes when unpacked")
                self.file.write(chunk)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BundleError(f"damaged: it cannot be unpacked ({error})") from None
        finally:
            if isinstance(source, (str, Path)):
                raw.close()

    def _divide(self) -> None:
        """Find the sections, and check that each is whole: its lines, their order, and the checksum."""
        self.file.seek(0)
        begin, lines, rank, digest = 0, 0, -1, hashlib.sha256()
        number = first = 0
        while text := self.file.readline(self.limits.line + 1):
            number += 1
            if len(text) > self.limits.line:
                raise BundleError(f"line {number}: longer than {self.limits.line:,} bytes")
            data = parse(text, number)
            kind = data.get("kind")
            if kind not in KINDS:
                raise BundleError(f"line {number}: kind: not one of {', '.join(KINDS)}; is this a bundle of Ab Ovo?")
            new_rank = KINDS.index(kind)
            if (rank == -1) != (kind == "search") or new_rank < rank:
                raise BundleError(f"line {number}: a line of kind {kind} is not expected here")
            if kind == "end":
                if data.get("lines") != lines or data.get("sha256") != digest.hexdigest():
                    raise BundleError(f"line {number}: damaged: the checksum of the lines before it does not match")
                if len(self.sections) == self.limits.searches:
                    raise BundleError(f"line {number}: more than {self.limits.searches:,} searches")
                self.sections.append(Section(self, begin, first, lines, digest.digest()))
                begin, lines, rank, digest = self.file.tell(), 0, -1, hashlib.sha256()
                continue
            if kind == "search":
                first = number
            rank = new_rank
            lines += 1
            digest.update(text)
        if rank != -1:
            raise BundleError(f"line {number}: cut off: its last line, of kind end, is missing")
        if not self.sections:
            raise BundleError("empty: there is no search in it")


def parse(text: bytes, number: int) -> dict[str, Any]:
    """Return a line's object. Raises BundleError."""
    try:
        data = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # JSON, UTF-8 and over-long numbers alike
        reason = getattr(error, "msg", None) or getattr(error, "reason", None) or str(error)
        raise BundleError(f"line {number}: not valid JSON in UTF-8: {' '.join(str(reason).split())[:100]}") from None
    if not isinstance(data, dict):
        raise BundleError(f"line {number}: expected an object with a kind")
    return data


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number of JSON")


@dataclass(eq=False)
class Section:
    """One search of a bundle. digest: SHA-256 of its lines, which stands for its content."""

    bundle: Bundle
    begin: int
    first: int
    lines: int
    digest: bytes

    def _read(self, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (number, object) of the section's lines of one kind."""
        last = KINDS.index(kind)
        offset, number = self.begin, self.first
        for _ in range(self.lines):
            # Others may read in between.
            self.bundle.file.seek(offset)
            text = self.bundle.file.readline()
            offset += len(text)
            data = parse(text, number)
            if KINDS.index(data["kind"]) > last:
                return
            if data["kind"] == kind:
                yield number, data
            number += 1

    def head(self) -> Head:
        """Return the search's first line. Raises BundleError."""
        number, data = next(self._read("search"))
        return _at(number, head_from_json, data)

    def islands(self, head: Head) -> list[IslandState]:
        """Return the islands, by index. Raises BundleError."""
        found = []
        for number, data in self._read("island"):
            found.append(_at(number, island_from_json, data))
            if found[-1].index != len(found) - 1:
                raise BundleError(f"line {number}: index: expected {len(found) - 1}")
        if len(found) != head.spec.islands or len(found) > self.bundle.limits.islands:
            raise BundleError(
                f"line {self.first}: spec.islands: {head.spec.islands}, but there are {len(found)} lines of kind island"
            )
        return found

    def finds(self, head: Head) -> Iterator[BundledFind]:
        """Yield the finds, in their order. Raises BundleError."""
        seen: set[tuple[int, int]] = set()
        for number, data in self._read("find"):
            find = _at(number, find_from_json, data, head.spec, head.canonical_version)
            place = (find.island, find.birth)
            if place in seen:
                raise BundleError(f"line {number}: birth {find.birth} of island {find.island} is there twice")
            if find.island >= head.spec.islands:
                raise BundleError(f"line {number}: island: {find.island}, there are {head.spec.islands}")
            if len(seen) == self.bundle.limits.finds:
                raise BundleError(f"line {number}: more than {self.bundle.limits.finds:,} finds")
            seen.add(place)
            yield find

    def ancestry(self, head: Head) -> Iterator[tuple[Row, Algorithm]]:
        """Yield each individual with its program, replayed from the first ancestors. Raises BundleError.

        Programs are kept only as long as children of theirs are still to come.
        """
        children = self._children(head)
        programs: dict[tuple[int, int], Algorithm] = {}
        known: dict[tuple[int, int], tuple[int, float | None]] = {}
        for number, data in self._read("ancestry"):
            for row in data["rows"]:
                one, program = _at(number, _replayed, row, head, programs, known)
                place = (one.island, one.birth)
                known[place] = (one.depth, one.score)
                if place in children:
                    programs[place] = program
                if one.parent is not None:
                    above = (one.island if one.parent_island is None else one.parent_island, one.parent)
                    children[above] -= 1
                    if not children[above]:
                        del children[above], programs[above]
                yield one, program

    def _children(self, head: Head) -> dict[tuple[int, int], int]:
        """Return how many children each individual that has any has; checks the rows' form."""
        children: dict[tuple[int, int], int] = {}
        seen: set[tuple[int, int]] = set()
        for number, data in self._read("ancestry"):
            rows = data.get("rows")
            if not isinstance(rows, list):
                raise BundleError(f"line {number}: rows: expected a list")
            for row in rows:
                place, above = _at(number, _places, row, head)
                if place in seen:
                    raise BundleError(f"line {number}: birth {place[1]} of island {place[0]} is there twice")
                if len(seen) == self.bundle.limits.individuals:
                    raise BundleError(f"line {number}: more than {self.bundle.limits.individuals:,} individuals")
                if above is not None:
                    if above not in seen:
                        raise BundleError(
                            f"line {number}: birth {place[1]} of island {place[0]}: its parent, birth {above[1]} of island "
                            f"{above[0]}, does not come before it"
                        )
                    children[above] = children.get(above, 0) + 1
                seen.add(place)
        return children

    def points(self, head: Head) -> Iterator[tuple[int, tuple]]:
        """Yield (island, point). Raises BundleError."""
        count = 0
        last: dict[int, int] = {}
        for number, data in self._read("curve"):
            island = _at(number, whole, data.get("island"), "island", 0, head.spec.islands - 1)
            if not isinstance(data.get("points"), list):
                raise BundleError(f"line {number}: points: expected a list")
            for values in data["points"]:
                point = _at(number, point_from_json, values)
                if point[0] <= last.get(island, -1):
                    raise BundleError(f"line {number}: points: individuals must grow")
                last[island] = point[0]
                count += 1
                if count > self.bundle.limits.points:
                    raise BundleError(f"line {number}: more than {self.bundle.limits.points:,} points")
                yield island, point

    def events(self) -> Iterator[Event]:
        """Yield the log, oldest first. Raises BundleError."""
        for count, (number, data) in enumerate(self._read("event")):
            if count == self.bundle.limits.events:
                raise BundleError(f"line {number}: more than {self.bundle.limits.events:,} events")
            yield _at(number, event_from_json, data)


def _at(number: int, read: Callable, *args: Any) -> Any:
    """Call a reader; its errors name the line."""
    try:
        return read(*args)
    except BundleError as error:
        raise BundleError(f"line {number}: {error}") from None


def _places(row: Any, head: Head) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """Return where an individual is and where its parent is: (island, birth) each. Raises BundleError."""
    if not isinstance(row, list) or not 4 <= len(row) <= 6:
        raise BundleError("rows: expected [island, birth, parent, mutation, change, score]")
    most = head.spec.islands - 1
    place = (whole(row[0], "island", 0, most), whole(row[1], "birth", 0, MOST))
    parent = row[2]
    if parent is None:
        return place, None
    if isinstance(parent, list) and len(parent) == 2:
        return place, (whole(parent[0], "parent", 0, most), whole(parent[1], "parent", 0, MOST))
    return place, (place[0], whole(parent, "parent", 0, place[1] - 1))


def _replayed(row: list, head: Head, programs: dict, known: dict) -> tuple[Row, Algorithm]:
    """Return an individual and its program, from its row and its parent's program. Raises BundleError."""
    place, above = _places(row, head)
    where = f"birth {place[1]} of island {place[0]}"
    mutation = form.name(row[3], f"{where}: mutation")
    try:
        if above is None:
            change = row[4] if len(row) == 6 else None
            if not isinstance(change, dict) or set(change) != {"program"}:
                raise BundleError(f"{where}: a first ancestor needs a program and a score")
            program = Algorithm.from_json(change["program"], registers=head.spec.registers)
            if program.vector_labels != head.spec.vector_labels:
                raise BundleError(f"{where}: its labels are not of the kind of the specification's tasks")
            change = {"program": program.to_json()}
            return Row(*place, None, None, mutation, change, form.score(row[5], f"{where}: score"), 0), program
        depth, score = known[above]
        edits = row[4] if len(row) > 4 else []
        if len(row) == 6:
            score = form.score(row[5], f"{where}: score")
        program, edits = _edited(programs[above], edits, head, where)
    except ProgramError as error:
        raise BundleError(f"{where}: {error}") from None
    parent_island = above[0] if isinstance(row[2], list) else None
    return Row(*place, above[1], parent_island, mutation, {"edits": edits}, score, depth + 1), program


def _edited(program: Algorithm, edits: Any, head: Head, where: str) -> tuple[Algorithm, list]:
    if edits == []:
        return program, []
    if not isinstance(edits, list):
        raise BundleError(f"{where}: edits: expected a list")
    functions = [list(function) for function in program.functions]
    clean = []
    for edit in edits:
        if not isinstance(edit, list) or len(edit) != 4 or not isinstance(edit[3], list):
            raise BundleError(f"{where}: edits: expected [function, start, removed, [instruction, …]]")
        function = functions[whole(edit[0], f"{where}: edits: function", 0, 2)]
        start = whole(edit[1], f"{where}: edits: start", 0, len(function))
        removed = whole(edit[2], f"{where}: edits: removed", 0, len(function) - start)
        if len(function) - removed + len(edit[3]) > MAX_INSTRUCTIONS:
            raise BundleError(f"{where}: edits: more than {MAX_INSTRUCTIONS} instructions")
        added = [Instruction.from_json(one, registers=head.spec.registers, place="edits") for one in edit[3]]
        function[start : start + removed] = added
        clean.append([edit[0], start, removed, [one.to_json() for one in added]])
    return program.with_functions(functions), clean
