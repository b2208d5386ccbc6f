"""What was measured, as numbers for a report. In: ``Turn``s and ``Overload``s. Out: one JSON object.

Rates are medians of the rounds, latencies quantiles over the answers of all rounds. Every row says beside its speed
how many words were asked for and how many came back wrong: a request without an answer has lost all of its words.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from statistics import median
from typing import Any

import numpy as np

from eval.ceilings import cpu_name
from eval.engines import OURS
from eval.load.study import LoadResults
from eval.load.types import LoadPlan, Outcome, Overload, Turn
from eval.normalizers import NormalizerName, normalizer_for
from eval.rounds import MAX_LOST, ratio_of_rounds
from eval.wer import ErrorCounts, count_word_errors

__all__ = ["load_as_json"]

PERCENTILES = (50, 95, 99)

Json = dict[str, Any]


def load_as_json(plan: LoadPlan, results: LoadResults) -> Json:
    """What was asked of whom on what machine; a row for each server, number of clients and background."""
    groups: dict[tuple[str, int, bool], list[Turn]] = {}
    for turn in results.turns:
        groups.setdefault((turn.server, turn.clients, turn.with_background), []).append(turn)
    return {
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "load_average": os.getloadavg()[0]},
        "rounds": plan.rounds,
        "clients": list(plan.clients),
        "clips": {
            "n": len(plan.clips),
            "shortest_s": min(clip.duration for clip in plan.clips),
            "mean_s": float(np.mean([clip.duration for clip in plan.clips])),
            "longest_s": max(clip.duration for clip in plan.clips),
        },
        "long": None if plan.long is None else {"id": plan.long.id, "duration_s": plan.long.duration},
        "background": None if plan.background is None else plan.background.name,
        "servers": {spec.name: {"url": spec.url, "fields": dict(spec.fields)} for spec in plan.servers},
        "rows": [_row(key, groups) for key in groups],
        "overload": _overload(results.overloads) if results.overloads else None,
    }


def _row(key: tuple[str, int, bool], groups: Mapping[tuple[str, int, bool], Sequence[Turn]]) -> Json:
    server, clients, with_background = key
    turns = groups[key]
    outcomes = [outcome for turn in turns for outcome in turn.outcomes]
    per_second = [_n_answered(turn.outcomes) / turn.elapsed_s for turn in turns]
    audio = [sum(each.clip.duration for each in turn.outcomes if each.code is None) / turn.elapsed_s for turn in turns]
    ours = [_n_answered(turn.outcomes) / turn.elapsed_s for turn in groups.get((OURS, clients, with_background), ())]
    alone = [_p95(turn) for turn in groups.get((server, clients, False), ())]
    p95 = [_p95(turn) for turn in turns]
    peaks = [turn.peak_mb for turn in turns if turn.peak_mb is not None]
    words = _words(outcomes)
    return {
        "server": server,
        "clients": clients,
        "with_background": with_background,
        "background_lasted": all(turn.background_lasted for turn in turns),
        "n": len(outcomes),
        "n_answered": _n_answered(outcomes),
        "refused": sum(outcome.is_refused for outcome in outcomes) / len(outcomes),
        "errors": _errors(outcomes),
        "per_second": median(per_second),
        "audio_per_second": median(audio),
        "ours_over_per_second": None if server == OURS else _ratio(ours, per_second),
        "latency_s": _quantiles(_short(outcomes)),
        "latency_long_s": _quantiles(
            outcome.seconds for outcome in outcomes if outcome.clip.is_long and _is_ok(outcome)
        ),
        "first_text_s": _quantiles(_first_texts(outcomes, are_long=False)),
        "first_text_long_s": _quantiles(_first_texts(outcomes, are_long=True)),
        "p95_over_alone": _ratio(p95, alone) if with_background else None,
        "words": words,
        "counts": words["lost_or_invented"] <= MAX_LOST,
        "clients_cpu": median(turn.clients_cpu_s / turn.elapsed_s for turn in turns),  # cores
        "peak_mb": max(peaks) if peaks else None,
        "rounds": {"per_second": per_second, "p95_s": p95},
    }


def _overload(overloads: Sequence[Overload]) -> Json:
    outcomes = [outcome for overload in overloads for outcome in overload.outcomes]
    goodput = [_n_answered(overload.outcomes) / overload.elapsed_s for overload in overloads]
    peak = [overload.peak_rate for overload in overloads]
    return {
        "asked_per_second": median(overload.rate for overload in overloads),
        "n": len(outcomes),
        "refused": sum(outcome.is_refused for outcome in outcomes) / len(outcomes),
        "errors": _errors(outcomes),
        "refusal_s": _quantiles(outcome.seconds for outcome in outcomes if outcome.is_refused),
        "accepted_s": _quantiles(_short(outcomes)),
        "goodput_per_second": median(goodput),
        "peak_per_second": median(peak),
        "goodput_over_peak": _ratio(goodput, peak),
        "words": _words(outcome for outcome in outcomes if not outcome.is_refused),
    }


def _is_ok(outcome: Outcome) -> bool:
    return outcome.code is None


def _n_answered(outcomes: Iterable[Outcome]) -> int:
    return sum(map(_is_ok, outcomes))


def _short(outcomes: Iterable[Outcome]) -> list[float]:
    return [outcome.seconds for outcome in outcomes if _is_ok(outcome) and not outcome.clip.is_long]


def _first_texts(outcomes: Iterable[Outcome], *, are_long: bool) -> list[float]:
    return [
        outcome.first_text_s
        for outcome in outcomes
        if outcome.first_text_s is not None and _is_ok(outcome) and outcome.clip.is_long is are_long
    ]


def _errors(outcomes: Iterable[Outcome]) -> Json:
    """How many requests failed, by status and code."""
    return dict(Counter(f"{each.status or 'no status'} {each.code}" for each in outcomes if not _is_ok(each)))


def _quantiles(seconds: Iterable[float]) -> Json | None:
    values = list(seconds)
    if not values:
        return None
    p50, p95, p99 = (float(value) for value in np.percentile(values, PERCENTILES))
    return {"n": len(values), "p50": p50, "p95": p95, "p99": p99}


def _p95(turn: Turn) -> float | None:
    """Of the short clips; None: none was answered."""
    quantiles = _quantiles(_short(turn.outcomes))
    return None if quantiles is None else float(quantiles["p95"])


def _ratio(above: Sequence[float | None], below: Sequence[float | None]) -> Json | None:
    """None where a round lacks one of them."""
    paired = [(a, b) for a, b in zip(above, below, strict=False) if a is not None and b]
    if not paired or not len(paired) == len(above) == len(below):
        return None
    return dict(ratio_of_rounds([a for a, _ in paired], [b for _, b in paired]))


def _words(outcomes: Iterable[Outcome]) -> Json:
    counts = ErrorCounts()
    for outcome in outcomes:
        counts += _count(outcome.clip.text, outcome.text or "", outcome.clip.language)
    n_ref = max(counts.n_ref, 1)
    return {
        "n_ref": counts.n_ref,
        "n_said": counts.n_ref - counts.deletions + counts.insertions,
        "rate": counts.rate,
        "lost_or_invented": max(counts.deletions, counts.insertions) / n_ref,
    }


@cache
def _count(reference: str, hypothesis: str, language: str | None) -> ErrorCounts:
    normalizer = normalizer_for(NormalizerName.WHISPER, language)
    return count_word_errors(normalizer.normalize(reference, language), normalizer.normalize(hypothesis, language))
