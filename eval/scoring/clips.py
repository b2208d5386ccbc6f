"""What every measure asks of clips: which are answered, how long, whose voice. In: ``StoredRun``. Knows no text."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

from eval.errors import ResultsError
from eval.hypotheses import Hypothesis, Reference, StoredRun
from eval.scoring.types import RealTime

__all__ = ["NO_DATASET", "NO_LANGUAGE", "answered_clips", "cluster_of", "duration_of", "grouped", "real_time"]

NO_LANGUAGE = "none"  # the row of clips in which nobody speaks
NO_DATASET = "none"

Clip = TypeVar("Clip")


def answered_clips(run: StoredRun) -> list[tuple[str, Reference, Hypothesis]]:
    """Clips with a hypothesis, in the order of the corpus. Raises ResultsError when there are none."""
    clips = [
        (clip_id, reference, run.hypotheses[clip_id])
        for clip_id, reference in run.references.items()
        if clip_id in run.hypotheses
    ]
    if not clips:
        raise ResultsError("got no hypotheses to score; repeat the `auricle-eval run` command to make them")
    return clips


def cluster_of(clip_id: str, reference: Reference) -> Hashable:
    """What the bootstrap draws: the speaker, whose name means something in its dataset only; else the clip."""
    if reference.speaker is None:
        return clip_id
    return reference.dataset, reference.speaker


def duration_of(reference: Reference, hypothesis: Hypothesis) -> float | None:
    """Seconds, as the target measured it, else as the corpus says."""
    return reference.duration if hypothesis.duration is None else hypothesis.duration


def grouped(clips: Iterable[Clip], key: Callable[[Clip], str]) -> dict[str, list[Clip]]:
    """Clips by name of their group, names sorted."""
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(key(clip), []).append(clip)
    return {name: groups[name] for name in sorted(groups)}


def real_time(run: StoredRun) -> RealTime:
    """The run's speed, over clips that did not fail and whose length is known."""
    timed = list(_timed(run))
    audio_s = sum(duration for duration, _ in timed)
    wall_s = sum(hypothesis.seconds for _, hypothesis in timed)
    phases = [hypothesis.times for _, hypothesis in timed if hypothesis.times is not None]
    phases_s: Mapping[str, float] = {}
    if phases:
        phases_s = {name: sum(getattr(times, name) for times in phases) for name in ("audio", "encode", "decode")}
    return RealTime(audio_s=audio_s, wall_s=wall_s, x_real_time=audio_s / wall_s if wall_s else None, phases_s=phases_s)


def _timed(run: StoredRun) -> Iterator[tuple[float, Hypothesis]]:
    for clip_id, hypothesis in run.hypotheses.items():
        duration = duration_of(run.references[clip_id], hypothesis)
        if hypothesis.error is None and duration is not None:
            yield duration, hypothesis
