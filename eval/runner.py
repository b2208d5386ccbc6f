"""A corpus through a target. In: corpus, target, options, folder. Out: hypotheses in the folder, and ``RunSummary``.

Knows no HTTP, no normalizer and no terminal: progress is told to whoever asks.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from asr.errors import AuricleError
from asr.options import TranscribeOptions
from eval.corpus import Corpus, Utterance
from eval.errors import ClipError
from eval.hypotheses import Hypothesis, HypothesisStore, Reference
from eval.targets import Target

__all__ = ["LanguageMode", "Progress", "RunPlan", "RunSummary", "run_corpus"]


class Progress(Protocol):
    """Who wants to know how far a run is."""

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
    """Everything a run needs to know before its first clip."""

    corpus: Corpus
    options: TranscribeOptions
    """For every clip; the language is set clip by clip."""
    language_mode: LanguageMode = LanguageMode.MANIFEST

    def utterances(self) -> tuple[Utterance, ...]:
        """The clips that have a reference for the task."""
        return tuple(clip for clip in self.corpus.utterances if clip.reference(self.options.task) is not None)

    def references(self) -> dict[str, Reference]:
        """The references of those clips, by clip."""
        references = {clip.id: Reference.of(clip, self.options.task) for clip in self.corpus.utterances}
        return {clip_id: reference for clip_id, reference in references.items() if reference is not None}

    def config(self) -> dict[str, object]:
        """What decides the hypotheses, the target apart."""
        options = asdict(self.options)
        del options["language"]
        return {
            "manifest": self.corpus.name,
            "manifest_sha256": self.corpus.sha256,
            "language": self.language_mode.value,
            "options": options,
        }


def run_corpus(plan: RunPlan, target: Target, folder: Path, progress: Progress) -> RunSummary:
    """Transcribe every clip that the folder does not have yet; a clip's failure is its result, and the run goes on.

    Raises RunMismatchError and ResultsError about the folder, TargetUnavailableError when nothing can be transcribed.
    """
    config = {**plan.config(), **target.describe()}
    utterances = plan.utterances()
    with HypothesisStore(folder, config=config, references=plan.references()) as store:
        n_resumed = len(store.finished)
        pending = [utterance for utterance in utterances if utterance.id not in store.finished]
        progress.start(pending, len(utterances))
        for utterance in pending:
            store.append(_hypothesis(utterance, plan, target))
            progress.advance(utterance)
    return RunSummary(
        hypotheses=store.finished,
        n_resumed=n_resumed,
        n_without_reference=len(plan.corpus.utterances) - len(utterances),
    )


def _hypothesis(utterance: Utterance, plan: RunPlan, target: Target) -> Hypothesis:
    started = time.perf_counter()
    try:
        language = utterance.language if plan.language_mode is LanguageMode.MANIFEST else None
        reply = target.transcribe(utterance.path, replace(plan.options, language=language))
    except AuricleError as error:  # a language that no model has does not even make options
        failure = ClipError(error.code, str(error))
    except ClipError as error:
        failure = error
    else:
        return Hypothesis(
            id=utterance.id,
            text=reply.text,
            language=reply.language,
            duration=reply.duration,
            seconds=round(time.perf_counter() - started, 4),
            model_hash=reply.model_hash,
        )
    return Hypothesis(
        id=utterance.id,
        text="",
        seconds=round(time.perf_counter() - started, 4),
        error={"code": failure.code, "message": failure.message},
    )
