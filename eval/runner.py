"""A corpus through a target. In: corpus, target, options, folder. Out: hypotheses in the folder, and ``RunSummary``.

Knows no HTTP, no normalizer and no terminal: progress is told to whoever asks.
"""

import hashlib
import json
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Protocol

from asr.errors import AuricleError
from asr.options import TranscribeOptions
from eval.corpora import Corpus, Utterance
from eval.errors import ClipError, CorpusError
from eval.hypotheses import INFORMATIVE, Hypothesis, HypothesisStore, Reference
from eval.jobs import Job
from eval.targets import PhaseTimes, Reply, Target

__all__ = ["LanguageMode", "Progress", "RunPlan", "RunSummary", "audio_digest", "run_corpus"]

NEEDED = {Job.TRANSCRIBE: "text", Job.TRANSLATE: "translation_en", Job.DETECT_LANGUAGE: "language"}  # of a clip


class Progress(Protocol):
    """Who wants to know how far a run is."""

    def read(self, n_read: int, n_clips: int) -> None:
        """Told of each clip whose audio was read, before the start; its digest says whether it has to be done anew."""

    def start(self, pending: Sequence[Utterance], n_clips: int) -> None:
        """Told once, before the first of the pending clips; ``n_clips`` counts those of an earlier run too."""

    def advance(self, utterance: Utterance) -> None:
        """Told after each clip."""


class LanguageMode(StrEnum):
    """What the decoder is told about the language."""

    MANIFEST = "manifest"  # the clip's own language
    AUTO = "auto"  # nothing: it detects


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run did."""

    hypotheses: Mapping[str, Hypothesis]
    """All in the folder, by clip."""
    n_resumed: int
    """Of them, those that an earlier run had made."""
    n_without_reference: int
    """Clips of the corpus that were left out because their text is null."""

    @property
    def failures(self) -> tuple[Hypothesis, ...]:
        """The hypotheses that are errors."""
        return tuple(hypothesis for hypothesis in self.hypotheses.values() if hypothesis.error is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Everything a run needs to know before its first clip. Raises CorpusError when the job has nothing to do."""

    corpus: Corpus
    options: TranscribeOptions
    """For every clip; task and language are set by the job, clip by clip."""
    job: Job = Job.TRANSCRIBE
    language_mode: LanguageMode = LanguageMode.MANIFEST

    def __post_init__(self) -> None:
        if not self.utterances():
            got = f"{len(self.corpus.utterances)} clips without {NEEDED[self.job]}"
            message = f"{self.corpus.name}: got {got}, expected some with it for --task {self.job}"
            raise CorpusError(f"{message}; give another corpus, or another task")

    def utterances(self) -> tuple[Utterance, ...]:
        """The clips that have a reference for the job."""
        return tuple(clip for clip in self.corpus.utterances if clip.reference(self.job) is not None)

    def language_told(self, utterance: Utterance) -> str | None:
        """The language that the target is told for a clip; None: it detects."""
        return utterance.language if self.language_mode is LanguageMode.MANIFEST else None

    def config(self, target: Target) -> dict[str, object]:
        """What decides the hypotheses. Raises TargetUnavailableError."""
        asked = {} if self.job is Job.DETECT_LANGUAGE else target.settings(self.options)
        return {
            "corpus": self.corpus.name,
            "corpus_sha256": self.corpus.sha256,
            "job": self.job.value,
            "language": self.language_mode.value,
            "options": {name: value for name, value in asked.items() if name not in {"language", "task"}},
            **target.describe(),
        }


def run_corpus(plan: RunPlan, target: Target, folder: Path, progress: Progress) -> RunSummary:
    """Transcribe every clip that the folder does not have yet; a clip's failure is its result, and the run goes on.

    Raises RunMismatchError and ResultsError about the folder, TargetUnavailableError when nothing can be transcribed.
    """
    config = plan.config(target)
    utterances = plan.utterances()
    references = _references(plan, config, progress)
    with HypothesisStore(folder, config=config, references=references) as store:
        n_resumed = len(store.finished)
        pending = [utterance for utterance in utterances if utterance.id not in store.finished]
        progress.start(pending, len(utterances))
        with closing(_hypotheses(pending, references, plan, target)) as hypotheses:
            for utterance, hypothesis in zip(pending, hypotheses, strict=True):
                store.append(hypothesis)
                progress.advance(utterance)
    return RunSummary(
        hypotheses=store.finished,
        n_resumed=n_resumed,
        n_without_reference=len(plan.corpus.utterances) - len(utterances),
    )


def audio_digest(path: Path) -> str:
    """The sha256 of a file; "" for one that cannot be read, on which the target fails and says why."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _references(plan: RunPlan, config: Mapping[str, object], progress: Progress) -> dict[str, Reference]:
    decisive = {name: value for name, value in config.items() if name not in INFORMATIVE}
    identity = json.dumps(decisive, sort_keys=True, ensure_ascii=False)
    references = {}
    clips = plan.utterances()
    for n_read, clip in enumerate(clips, start=1):
        told = plan.language_told(clip) or ""
        digest = hashlib.sha256(f"{identity}\n{told}\n{audio_digest(clip.path)}".encode())
        progress.read(n_read, len(clips))
        reference = Reference.of(clip, plan.job, key=digest.hexdigest()[:32])
        if reference is not None:
            references[clip.id] = reference
    return references


def _hypotheses(
    pending: Sequence[Utterance], references: Mapping[str, Reference], plan: RunPlan, target: Target
) -> Generator[Hypothesis, None, None]:
    """In the order of the clips, as many of them under way as the target likes."""

    def ask(utterance: Utterance) -> Hypothesis:
        return _hypothesis(utterance, references[utterance.id].key, plan, target)

    upcoming = iter(pending)
    with ThreadPoolExecutor(target.n_parallel, thread_name_prefix="clip") as threads:
        running = deque(threads.submit(ask, each) for each in islice(upcoming, target.n_parallel))
        try:
            while running:
                yield running.popleft().result()
                running += [threads.submit(ask, each) for each in islice(upcoming, 1)]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _hypothesis(utterance: Utterance, key: str, plan: RunPlan, target: Target) -> Hypothesis:
    started = time.perf_counter()
    try:
        reply = _ask(utterance, plan, target)
    except AuricleError as error:  # a language that no model has does not even make options
        failure = ClipError(error.code, str(error))
    except ClipError as error:
        failure = error
    else:
        return Hypothesis(
            id=utterance.id,
            key=key,
            text=reply.text,
            language=reply.language,
            duration=reply.duration,
            seconds=round(time.perf_counter() - started, 4),
            times=_rounded(reply.times),
            model_hash=reply.model_hash,
            words=reply.words,
            languages=reply.languages,
            suppressed=reply.suppressed,
        )
    return Hypothesis(
        id=utterance.id,
        key=key,
        text="",
        seconds=round(time.perf_counter() - started, 4),
        error={"code": failure.code, "message": failure.message},
    )


def _ask(utterance: Utterance, plan: RunPlan, target: Target) -> Reply:
    if plan.job is Job.DETECT_LANGUAGE:
        return target.detect_language(utterance.path)
    options = replace(plan.options, task=plan.job.task, language=plan.language_told(utterance))
    return target.transcribe(utterance.path, options)


def _rounded(times: PhaseTimes | None) -> PhaseTimes | None:
    if times is None:
        return None
    return PhaseTimes(audio=round(times.audio, 4), encode=round(times.encode, 4), decode=round(times.decode, 4))
