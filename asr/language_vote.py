"""Which language is spoken when. In: each window's probabilities. Out: a vote, and spans. Pure arithmetic.

Whisper names the language of a window from its first step (Whisper 2.3); a recording is more than its first 30 s.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asr.transcript import LanguageSpan

__all__ = ["Ballot", "choose", "restrict", "smooth", "to_spans", "vote"]

PRIOR_FLOOR = 0.05  # what a language that the vote did not find keeps, so that a clear window is still believed
RELIABLE_S = 2.0  # a shorter stretch says less
SWITCH_LOGPROB = math.log(0.02)  # how likely the next piece of a recording is in another language


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """What one stretch of the recording says; seconds."""

    start: float
    end: float
    probabilities: Mapping[str, float]


def restrict(probabilities: Mapping[str, float], allowed: Sequence[str]) -> dict[str, float]:
    """The probabilities of the allowed languages alone, summing to 1; all of them when none are named."""
    if not allowed:
        return dict(probabilities)
    kept = {language: probabilities.get(language, 0.0) for language in allowed}
    total = sum(kept.values())
    return {language: value / total if total else 1 / len(kept) for language, value in kept.items()}


def vote(ballots: Sequence[Ballot]) -> dict[str, float]:
    """The mean of the probabilities, weighted by length; empty without ballots."""
    total = sum(ballot.end - ballot.start for ballot in ballots)
    languages = {language for ballot in ballots for language in ballot.probabilities}
    return {
        language: sum(each.probabilities.get(language, 0.0) * (each.end - each.start) for each in ballots) / total
        for language in sorted(languages)
    }


def choose(window: Mapping[str, float], recording: Mapping[str, float]) -> str:
    """The language of one window, given what the whole recording says: an unclear window follows the recording."""
    return max(window, key=lambda language: window[language] * (recording.get(language, 0.0) + PRIOR_FLOOR))


def smooth(ballots: Sequence[Ballot]) -> list[str]:
    """The most likely sequence of languages when switches are rare (Viterbi); one for each ballot."""
    if not ballots:
        return []
    languages = sorted({language for ballot in ballots for language in ballot.probabilities})
    first = ballots[0]
    scores = {language: _weight(first) * _log(first.probabilities.get(language, 0.0)) for language in languages}
    came_from: list[dict[str, str]] = []
    for ballot in ballots[1:]:
        best = max(scores, key=scores.__getitem__)
        origins, following = {}, {}
        for language in languages:
            stays = scores[language] >= scores[best] + SWITCH_LOGPROB
            origins[language] = language if stays else best
            reached = scores[language] if stays else scores[best] + SWITCH_LOGPROB
            following[language] = reached + _weight(ballot) * _log(ballot.probabilities.get(language, 0.0))
        came_from.append(origins)
        scores = following
    path = [max(scores, key=scores.__getitem__)]
    for origins in reversed(came_from):
        path.append(origins[path[-1]])
    return path[::-1]


def to_spans(ballots: Sequence[Ballot], languages: Sequence[str]) -> tuple[LanguageSpan, ...]:
    """Neighbours of one language become one span; its probability is their mean, weighted by length."""
    spans: list[LanguageSpan] = []
    for ballot, language in zip(ballots, languages, strict=True):
        probability, length = ballot.probabilities.get(language, 0.0), ballot.end - ballot.start
        start = ballot.start
        if spans and spans[-1].language == language:
            last = spans.pop()
            before = last.end - last.start
            probability = (probability * length + last.probability * before) / (length + before)
            start = last.start
        spans.append(LanguageSpan(start=start, end=ballot.end, language=language, probability=probability))
    return tuple(spans)


def _weight(ballot: Ballot) -> float:
    return min((ballot.end - ballot.start) / RELIABLE_S, 1.0)


def _log(probability: float) -> float:
    return math.log(max(probability, 1e-4))  # one window may be wholly wrong
