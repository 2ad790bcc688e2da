"""What a study shows: success rates with their intervals, scores, ratios between arms; as table, as CSV, as JSON."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.algorithm import Algorithm
from engine.explain import explain
from engine.study import Arm, Run, Study, fits

_RESAMPLES = 10_000


def wilson(successes: int, count: int, confidence: float) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion."""
    if count == 0:
        return 0.0, 1.0
    z = statistics.NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def bootstrap_mean(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a mean; the same values give the same interval."""
    if len(values) < 2:
        return (float(values[0]),) * 2 if values else (math.nan, math.nan)
    means = _resampled(len(values)) @ np.asarray(values) / len(values)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _resampled(count: int) -> np.ndarray:
    """Return (_RESAMPLES, count): how often each of `count` values is drawn in each resample."""
    generator = np.random.Generator(np.random.PCG64(1))
    return generator.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES).astype(np.float64)


def summary(study: Study, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the study's outcome as plain values: one object for each arm."""
    by_arm = {arm.name: [run for run in runs if run.arm == arm.name] for arm in study.arms}
    rows = [_row(study, arm, by_arm[arm.name]) for arm in study.arms]
    for row, arm in zip(rows, study.arms, strict=True):
        if arm.against is not None:
            row["against"] = arm.against
            row["ratio"] = _ratio(by_arm[arm.name], by_arm[arm.against], study.confidence)
            other = next(one for one in rows if one["arm"] == arm.against)
            for name, count in row["motifs"].items():
                count["p"] = fisher(count["runs"], row["runs"], other["motifs"][name]["runs"], other["runs"])
    return {
        "name": study.name, "title": study.title, "repeats": study.repeats, "seed": study.seed,
        "seconds": study.seconds, "individuals": study.individuals, "confidence": study.confidence,
        "runs": len(runs), "runs_to_come": len(study.arms) * study.repeats - len(runs), "arms": rows,
    }  # fmt: skip


def _row(study: Study, arm: Arm, runs: Sequence[Run]) -> dict[str, Any]:
    solved = sum(run.solved for run in runs)
    programs, seconds = sum(run.individuals for run in runs), sum(run.seconds for run in runs)
    selected = [run.select_fitness for run in runs]
    final = [run.final_fitness for run in runs if run.final_fitness is not None]
    times = sorted(run.seconds for run in runs if run.solved)
    row: dict[str, Any] = {
        "arm": arm.name, "runs": len(runs), "solved": solved,
        "solved_interval": wilson(solved, len(runs), study.confidence),
        "has_goal": arm.spec.stop.sufficient_fitness not in (None, 1.0),  # 1: nothing can exceed it
        "seconds_to_solve": statistics.median(times) if times else None,
        "programs": programs, "seconds": seconds, "programs_a_second": programs / seconds if seconds else None,
        "solutions_a_million_programs": 1e6 * solved / programs if programs else None,
        "select": float(np.mean(selected)) if selected else None,
        "select_interval": bootstrap_mean(selected, study.confidence) if selected else None,
        "final": float(np.mean(final)) if final else None,
        "beats": {}, "beats_final": {}, "motifs": {},
    }  # fmt: skip
    for name in study.baselines:
        held = [(run.select_fitness, run.baselines[name]) for run in runs] if fits(name, arm) else None
        row["beats"][name] = None if held is None else _beaten(held, study.confidence)
        pairs = [
            (run.final_fitness, run.final_baselines[name])
            for run in runs
            if run.final_fitness is not None and name in run.final_baselines
        ]
        row["beats_final"][name] = _beaten(pairs, study.confidence) if pairs else None
    if study.motifs:
        found = [explain(Algorithm.from_json(run.program)).motifs for run in runs]
        for name in study.motifs:
            row["motifs"][name] = {"runs": sum(name in motifs for motifs in found)}
    return row


def _beaten(pairs: Sequence[tuple[float, float]], confidence: float) -> dict[str, Any]:
    """Return how often the first of two scores is the higher, with its interval, and the mean of the second."""
    better = sum(own > other for own, other in pairs)
    return {
        "runs": better, "of": len(pairs), "interval": wilson(better, len(pairs), confidence),
        "mean_score": float(np.mean([other for _, other in pairs])) if pairs else None,
    }  # fmt: skip


def fisher(found: int, count: int, other_found: int, other_count: int) -> float:
    """Return the p-value of Fisher's exact test (two-sided) that two shares are the same."""
    from scipy.stats import fisher_exact

    return float(fisher_exact([[found, count - found], [other_found, other_count - other_found]]).pvalue)


def _ratio(runs: Sequence[Run], others: Sequence[Run], confidence: float) -> dict[str, Any] | None:
    """Return the ratio of two arms' solutions per program tried, with its bootstrap interval.

    Where the other arm found nothing, only a lower bound: as if it had found as many as the one-sided limit of a Poisson
    count of 0 allows.
    """
    if not runs or not others:
        return None
    tried, found = sum(run.individuals for run in runs), sum(run.solved for run in runs)
    other_tried, other_found = sum(run.individuals for run in others), sum(run.solved for run in others)
    if found == 0:
        return None
    if other_found == 0:
        most = -math.log(1 - confidence)
        return {"at_least": (found / tried) / (most / other_tried)}
    ratio = (found / tried) / (other_found / other_tried)

    def rates(some: Sequence[Run]) -> np.ndarray:
        drawn = _resampled(len(some))
        return (drawn @ [float(run.solved) for run in some]) / (drawn @ [float(run.individuals) for run in some])

    with np.errstate(divide="ignore", invalid="ignore"):
        # The second arm's resamples in another order: the two are independent.
        ratios = rates(runs) / rates(others)[::-1]
    ratios = ratios[~np.isnan(ratios)]
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2], method="inverted_cdf")
    return {"ratio": ratio, "interval": [float(low), float(high) if math.isfinite(high) else None]}


def table(outcome: dict[str, Any]) -> str:
    """Return the outcome as a table in Markdown."""
    percent = f"{100 * outcome['confidence']:g}%"
    first = outcome["arms"][0]
    has_goal = any(row["has_goal"] for row in outcome["arms"])
    heads = ["arm", "runs"]
    if has_goal:
        heads += [f"solved ({percent} interval)", "median seconds to solve", "solutions a million programs"]
    heads += ["ratio"] * any("ratio" in row and has_goal for row in outcome["arms"])
    heads += [f"T_select, mean ({percent} interval)", *(f"beats {name}" for name in first["beats"])]
    final = [name for name in first["beats"] if any(row["beats_final"][name] for row in outcome["arms"])]
    heads += ["T_test, mean", *(f"beats {name} on T_test" for name in final)]
    heads += [*first["motifs"], "programs", "programs a second"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row in outcome["arms"]:
        cells = [row["arm"], str(row["runs"])]
        if has_goal:
            cells.append(_share(row["solved"], row["runs"], row["solved_interval"]) if row["has_goal"] else "–")
            cells += [_number(row["seconds_to_solve"], ".1f"), _number(row["solutions_a_million_programs"], ".3g")]
        if "ratio" in heads:
            cells.append(_ratio_text(row))
        interval = row["select_interval"]
        cells.append("–" if interval is None else f"{row['select']:.4f} ({interval[0]:.4f}–{interval[1]:.4f})")
        cells += [_beaten_text(one) for one in row["beats"].values()]
        cells.append(_number(row["final"], ".4f"))
        cells += [_beaten_text(row["beats_final"][name]) for name in final]
        cells += [_motif_text(one, row) for one in row["motifs"].values()]
        cells += [f"{row['programs']:,}", _number(row["programs_a_second"], ",.0f")]
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _beaten_text(beaten: dict[str, Any] | None) -> str:
    if beaten is None:
        return "–"
    return _share(beaten["runs"], beaten["of"], beaten["interval"]) + _mean(beaten["mean_score"])


def _motif_text(count: dict[str, Any], row: dict[str, Any]) -> str:
    text = f"{count['runs']}/{row['runs']}"
    return text + (f" (p = {count['p']:.2g} against {row['against']})" if "p" in count else "")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _share(count: int, of: int, interval: Sequence[float]) -> str:
    return f"{count}/{of} ({interval[0]:.2f}–{interval[1]:.2f})"


def _mean(score: float | None) -> str:
    return "" if score is None else f" at {score:.4f}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _ratio_text(row: dict[str, Any]) -> str:
    ratio = row.get("ratio")
    if ratio is None:
        return "–"
    if "at_least" in ratio:
        return f"more than {ratio['at_least']:.3g} × {row['against']}"
    low, high = ratio["interval"]
    high = "∞" if high is None else f"{high:.3g}"
    return f"{ratio['ratio']:.3g} ({low:.3g}–{high}) × {row['against']}"


def curves(runs: Sequence[Run]) -> str:
    """Return the curves as CSV: the best T_select score so far against seconds and programs, a row for each step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", "repeat", "seed", "seconds", "individuals", "best_select"])
    for run in runs:
        for seconds, individuals, score in run.curve:
            writer.writerow([run.arm, run.repeat, run.seed, seconds, int(individuals), repr(score)])
        if run.curve:
            writer.writerow(
                [run.arm, run.repeat, run.seed, round(run.seconds, 4), run.individuals, repr(run.curve[-1][2])]
            )
    return text.getvalue()
