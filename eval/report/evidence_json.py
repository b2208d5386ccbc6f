"""What scoring finds beyond counts of errors, for programs. In: its types. Out: JSON-ready objects. Rounds nothing."""

from dataclasses import asdict
from typing import Any

from eval.scoring.evidence import (
    Drift,
    LanguageTimeline,
    LostText,
    PlacedGroup,
    RecordingTimeline,
    TimeErrors,
    WordConfidence,
    WordPlacement,
    WordTimeGroup,
    WordTimes,
)

__all__ = [
    "confidence_as_json",
    "lost_text_as_json",
    "placement_as_json",
    "timeline_as_json",
    "word_times_as_json",
]


def word_times_as_json(times: WordTimes) -> dict[str, Any]:
    """Differences are B less A, in seconds; ``within`` goes by tolerance in seconds."""
    return {
        "overall": _time_group(times.overall),
        "languages": {name: _time_group(group) for name, group in times.languages.items()},
        "drift": _drift(times.drift),
    }


def placement_as_json(placement: WordPlacement) -> dict[str, Any]:
    """``inside`` goes by tolerance in seconds."""
    return {
        "overall": _placed(placement.overall),
        "clips": {name: _placed(group) for name, group in placement.clips.items()},
        "drift": _drift(placement.drift),
        "stray": [{**asdict(word), "off_by": word.off_by} for word in placement.stray],
    }


def confidence_as_json(confidence: WordConfidence) -> dict[str, Any]:
    """The reliability diagram's bins, and its summaries."""
    return {
        "overall": asdict(confidence.overall),
        "languages": {name: asdict(group) for name, group in confidence.languages.items()},
        "bins": [{**asdict(each), "accuracy": each.accuracy} for each in confidence.bins],
    }


def lost_text_as_json(lost: LostText) -> dict[str, Any]:
    """Every long clip, with its runs of lost text."""
    return {
        "min_units": lost.min_units,
        "n_runs": lost.n_runs,
        "longest": lost.longest,
        "clips": [{**asdict(clip), "runs": [asdict(run) for run in clip.runs]} for clip in lost.clips],
    }


def timeline_as_json(timeline: LanguageTimeline) -> dict[str, Any]:
    """``confusion``: language spoken → language found → seconds."""
    return {
        "share_right": timeline.share_right,
        **_labelled(timeline),
        "clips": [
            {
                "id": clip.id,
                **_labelled(clip),
                "truth": [asdict(span) for span in clip.truth],
                "found": [asdict(span) for span in clip.found],
            }
            for clip in timeline.clips
        ],
    }


def _time_group(group: WordTimeGroup) -> dict[str, Any]:
    return {
        "n_clips": group.n_clips,
        "n_matched": group.n_matched,
        "n_words_a": group.n_words_a,
        "n_words_b": group.n_words_b,
        "n_unclear_a": group.n_unclear_a,
        "n_unclear_b": group.n_unclear_b,
        "starts": _errors(group.starts),
        "ends": _errors(group.ends),
    }


def _errors(errors: TimeErrors | None) -> dict[str, Any] | None:
    if errors is None:
        return None
    return {
        "median": errors.median,
        "mean": errors.mean,
        "p95": errors.p95,
        "bias": errors.bias,
        "within": {f"{tolerance:g}": share for tolerance, share in errors.within.items()},
        "percentiles": list(errors.percentiles),
    }


def _drift(drift: Drift | None) -> dict[str, Any] | None:
    if drift is None:
        return None
    interval = [drift.interval.low, drift.interval.high]
    return {"ms_per_hour": drift.ms_per_hour, "interval": interval, "n_points": drift.n_points}


def _placed(group: PlacedGroup) -> dict[str, Any]:
    return {
        "n_clips": group.n_clips,
        "n_words": group.n_words,
        "n_matched": group.n_matched,
        "inside": {f"{tolerance:g}": count for tolerance, count in group.inside.items()},
    }


def _labelled(timeline: LanguageTimeline | RecordingTimeline) -> dict[str, Any]:
    return {
        "seconds": timeline.seconds,
        "seconds_right": timeline.seconds_right,
        "n_parts": timeline.n_parts,
        "n_parts_right": timeline.n_parts_right,
        "n_switches": timeline.n_switches,
        "n_switches_found": timeline.n_switches_found,
        "confusion": {spoken: dict(row) for spoken, row in timeline.confusion.items()},
    }
