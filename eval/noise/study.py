"""Error rate against noise. In: a corpus, a target, conditions, a folder. Out: ``NoiseStudy``, also as study.json.

Each condition is a run of its own in a folder of its own, which continues as any run does: repeated, a study makes no
inference twice, and with more conditions or clips it makes those that are new. Knows no model, plot or terminal.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from eval.corpora import Corpus
from eval.errors import CorpusError, ResultsError
from eval.hypotheses import read_run
from eval.jobs import Job
from eval.noise.conditions import Condition
from eval.noise.materials import Materials
from eval.noise.target import DistortedTarget
from eval.runner import Progress, RunPlan, run_corpus
from eval.scoring import score_run
from eval.scoring.types import ErrorGroup, Interval, NormalizerUse, TranscriptionScores
from eval.targets import Target
from eval.wer import ErrorCounts

__all__ = [
    "STUDY",
    "NoisePlan",
    "NoiseResult",
    "NoiseStudy",
    "StudyProgress",
    "draw_clips",
    "read_study",
    "run_study",
    "with_speech",
]

STUDY = "study.json"


class StudyProgress(Progress, Protocol):
    """Who wants to know how far a study is: told of each condition, then of its run."""

    def begin(self, condition: Condition) -> None:
        """Told before a condition's run starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisePlan:
    """What is done to the clips."""

    conditions: tuple[Condition, ...]
    materials: Materials
    seed: int = 0
    """Of everything random about the noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseResult:
    """One condition, scored."""

    name: str
    """The condition's: its run is in the folder of this name."""
    family: str
    """Kind of noise, ``clean``, or ``room/NAME``."""
    snr_db: float | None
    """None: there is no noise."""
    group: ErrorGroup
    """Every clip of the study, each in its own unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseStudy:
    """Error rates of one target under every condition, on the same clips."""

    config: Mapping[str, Any]
    """What was run, the distortion apart: corpus, options, target."""
    seed: int
    normalizers: tuple[NormalizerUse, ...]
    results: tuple[NoiseResult, ...]

    @property
    def clean(self) -> NoiseResult | None:
        """The level that the others are held against; None: it was not run."""
        return next((result for result in self.results if result.family == "clean"), None)

    @property
    def curves(self) -> Mapping[str, tuple[NoiseResult, ...]]:
        """Kind of noise → its results, from the highest ratio to the lowest."""
        families: dict[str, list[NoiseResult]] = {}
        for result in sorted(self.results, key=lambda result: -(result.snr_db or 0.0)):
            if result.snr_db is not None:
                families.setdefault(result.family, []).append(result)
        order = dict.fromkeys(result.family for result in self.results)
        return {family: tuple(families[family]) for family in order if family in families}

    @property
    def rooms(self) -> Mapping[str, NoiseResult]:
        """Room → its result."""
        return {
            result.family.partition("/")[2]: result
            for result in self.results
            if result.snr_db is None and result is not self.clean
        }


def run_study(plan: RunPlan, target: Target, noise: NoisePlan, folder: Path, progress: StudyProgress) -> NoiseStudy:
    """Run and score the plan's corpus under each condition; what the folder has already is not done again.

    Raises CorpusError for a job that is not transcription or a clip in which nobody speaks, and what run_corpus does.
    """
    if plan.job is not Job.TRANSCRIBE:
        raise CorpusError(f"a study of noise: got the job {plan.job}, expected transcribe, whose errors are counted")
    unspoken = [clip.id for clip in plan.utterances() if not clip.text]
    if unspoken:
        raise CorpusError(f"a study of noise: nobody speaks in {unspoken[0]!r}; expected clips with speech alone")
    scored: dict[Condition, TranscriptionScores] = {}
    for condition in noise.conditions:
        progress.begin(condition)
        distorted = DistortedTarget(target, condition, noise.materials, plan.utterances(), seed=noise.seed)
        run_corpus(plan, distorted, folder / condition.name, progress)
        scored[condition] = _transcription_scores(folder / condition.name)
    study = NoiseStudy(
        config=plan.config(target),
        seed=noise.seed,
        normalizers=tuple(dict.fromkeys(use for scores in scored.values() for use in scores.normalizers)),
        results=tuple(
            NoiseResult(name=condition.name, family=condition.family, snr_db=condition.snr_db, group=scores.overall)
            for condition, scores in scored.items()
        ),
    )
    written = json.dumps(asdict(study), ensure_ascii=False, indent=1)
    (folder / STUDY).write_text(written + "\n", encoding="utf-8")
    return study


def read_study(folder: Path) -> NoiseStudy:
    """Read what a study left. Raises ResultsError when the folder has none, or it is damaged."""
    path = folder / STUDY
    try:
        fields = json.loads(path.read_bytes())
        return NoiseStudy(
            config=fields["config"],
            seed=fields["seed"],
            normalizers=tuple(NormalizerUse(**use) for use in fields["normalizers"]),
            results=tuple(NoiseResult(**{**result, "group": _group(result["group"])}) for result in fields["results"]),
        )
    except OSError as error:
        message = f"{path}: {error.strerror or error}; expected the folder of an `auricle-eval noise`"
        raise ResultsError(message) from error
    except (ValueError, TypeError, KeyError) as error:
        message = f"{path}: {type(error).__name__}: {error}; repeat the `auricle-eval noise` command to write it anew"
        raise ResultsError(message) from error


def with_speech(corpus: Corpus) -> Corpus:
    """The clips in which somebody speaks and whose words are known. Raises CorpusError when there are none."""
    spoken = tuple(clip for clip in corpus.utterances if clip.text)
    if not spoken:
        raise CorpusError(f"{corpus.name}: got no clip with a transcript, expected one or more")
    return replace(corpus, utterances=spoken)


def draw_clips(corpus: Corpus, n_clips: int, *, seed: int) -> Corpus:
    """``n_clips`` drawn at random, in the order of the corpus; a larger draw holds every smaller one of its seed."""

    def lot(clip_id: str) -> bytes:
        return hashlib.sha256(f"{seed}\n{clip_id}".encode()).digest()

    drawn = set(sorted((clip.id for clip in corpus.utterances), key=lot)[:n_clips])
    return replace(corpus, utterances=tuple(clip for clip in corpus.utterances if clip.id in drawn))


def _transcription_scores(folder: Path) -> TranscriptionScores:
    scores = score_run(read_run(folder))
    if not isinstance(scores, TranscriptionScores):
        raise ResultsError(f"{folder}: got a run of another job, expected transcriptions; give another --out")
    return scores


def _group(fields: Mapping[str, Any]) -> ErrorGroup:
    counts = {name: ErrorCounts(**fields[name]) for name in ("counts", "words", "characters")}
    intervals = {name: _interval(fields[name]) for name in ("interval", "words_interval", "characters_interval")}
    return ErrorGroup(**{**fields, **counts, **intervals})


def _interval(fields: Mapping[str, float] | None) -> Interval | None:
    return None if fields is None else Interval(**fields)
