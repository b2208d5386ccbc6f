"""What every measure asks of clips: which are answered, how long, whose voice. In: ``StoredRun``. Knows no text."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from eval.errors import ResultsError
from eval.hypotheses import Hypothesis, Reference, StoredRun
from eval.scoring.types import RealTime

__all__ = [
    "NO_DATASET",
    "NO_LANGUAGE",
    "SEVERAL",
    "Draw",
    "answered_clips",
    "cluster_of",
    "duration_of",
    "grouped",
    "language_of",
    "real_time",
    "what_to_draw",
]

NO_LANGUAGE = "none"  # the row of clips in which nobody speaks
SEVERAL = "several"  # the row of recordings joined of clips in several languages
NO_DATASET = "none"
MIN_CLUSTERS = 5  # fewer cannot show how much speakers differ: the intervals of 2 to 4 came out next to nothing

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
    """Whose voice a clip is: the speaker, whose name means something in its dataset only; else the clip."""
    if reference.speaker is None:
        return clip_id
    return reference.dataset, reference.speaker


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What the bootstrap of some clips draws."""

    clusters: Sequence[Hashable]
    """The cluster of each clip."""
    n_clusters: int
    """Speakers, and clips whose speaker is not known."""
    few_voices: bool
    """Whether those are fewer than MIN_CLUSTERS, so that clips are drawn, which speak for these voices alone."""


def what_to_draw(clips: Iterable[tuple[str, Reference]]) -> Draw:
    """Speakers where there are enough of them; else clips, which says nothing about other voices."""
    members = list(clips)
    speakers = [cluster_of(clip_id, reference) for clip_id, reference in members]
    ids = [clip_id for clip_id, _ in members]
    n_clusters = len(set(speakers))
    few_voices = n_clusters < MIN_CLUSTERS and len(ids) > 1  # a single clip has no interval to warn of
    return Draw(clusters=ids if few_voices else speakers, n_clusters=n_clusters, few_voices=few_voices)


def language_of(reference: Reference) -> str:
    """The name of a clip's row among languages."""
    if reference.language is None and any(part.language for part in reference.parts):
        return SEVERAL
    return reference.language or NO_LANGUAGE


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
