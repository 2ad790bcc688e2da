"""An engine that follows a script: deterministic, instant, and as resumable as the real one.

Birth n is made from birth n - 1 by a change of one constant; its score grows with n. Each `run` adds a fixed number of births.
"""

from __future__ import annotations

import json
from dataclasses import replace

from engine.algorithm import Algorithm
from engine.records import Counters, CurvePoint, Find, IndividualRecord, Result, SliceReport

BIRTHS_A_RUN = 10


def constant(value: float) -> dict:
    return {"op": "SCALAR_CONST_SET", "out": 2, "constants": [value]}


def program(birth: int, seed: int = 0) -> dict:
    return {"setup": [constant(float(birth) + seed * 1000)], "predict": [DOT], "learn": []}


DOT = {"op": "VECTOR_INNER_PRODUCT", "in1": 0, "in2": 1, "out": 1}


def score(birth: int) -> float:
    """Every fifth birth is better than those before it; the others are neutral."""
    return 0.5 + (birth // 5) * 0.001


class ScriptedEngine:
    """Stands in for engine.search.Search. `births_at_end`: finishes there; `fail`: raised by the next run."""

    births_at_end = 1_000_000
    fail: Exception | None = None
    runs = 0
    starts = 0
    restores = 0

    def __init__(self, spec, seed, births=0):
        self.spec, self.seed, self.births = spec, seed, births
        self.finished = False
        self.exchange = None

    @classmethod
    def start(cls, spec, seed, *, index=0):
        ScriptedEngine.starts += 1
        return cls(spec, seed)

    @classmethod
    def restore(cls, spec, seed, data, *, index=0):
        ScriptedEngine.restores += 1
        return cls(spec, seed, json.loads(data)["births"])

    def set_stop(self, stop):
        self.spec = replace(self.spec, stop=stop)

    def checkpoint(self):
        return json.dumps({"births": self.births}).encode()

    def run(self, *, seconds, should_stop=None):
        ScriptedEngine.runs += 1
        if ScriptedEngine.fail:
            raise ScriptedEngine.fail
        first = self.births
        self.births = min(first + BIRTHS_A_RUN, self.births_at_end)
        return self._report(first)

    def conclude(self, reason="stopped"):
        return self._report(self.births, reason=reason)

    def _report(self, first, reason=""):
        if self.births >= self.births_at_end:
            reason = "max_individuals"
        self.finished = bool(reason)
        births = range(first, self.births)
        last = self.births - 1
        result = Result(
            Algorithm.from_json(program(last, self.seed)), last, score(last), 0.6, 0.55, (0.6, 0.6), (0.5, 0.6), False
        )
        return SliceReport(
            counters=Counters(
                individuals=self.births, evaluations=self.births, train_steps=self.births * 7, seconds=self.births / 100
            ),
            points=tuple(
                CurvePoint(birth + 1, birth * 7, birth / 100, 0, score(birth), float("nan"), 0.5, 0.01, score(birth))
                for birth in births
            ),
            individuals=tuple(self._individual(birth) for birth in births),
            finds=tuple(
                Find(
                    birth,
                    score(birth),
                    Algorithm.from_json(program(birth, self.seed)),
                    birth + 1,
                    birth * 7,
                    birth / 100,
                    0,
                )
                for birth in births
                if birth % 5 == 0
            ),
            population_best=None,
            finished=self.finished,
            finish_reason=reason,
            result=result if self.finished and self.births else None,
        )

    def _individual(self, birth):
        if birth == 0:
            return IndividualRecord(0, None, score(0), "initial", {"program": program(0, self.seed)})
        return IndividualRecord(
            birth,
            birth - 1,
            score(birth),
            "alter_parameter",
            {"edits": [[0, 0, 1, [constant(float(birth) + self.seed * 1000)]]]},
        )
