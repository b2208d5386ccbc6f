"""The folder of a run. In: configuration, references and, one by one, hypotheses. Out: the same, read back.

``hypotheses.jsonl`` grows by one flushed line a clip, so that a killed run loses at most the clip it was at;
``run.json`` says what was run and ``references.json`` what scoring needs, so that scoring needs this folder alone.
Each hypothesis carries a key, the digest of everything that decides it; one whose key is no longer that of its clip
(the audio changed, or the language that was told) stays in the file, counts for nothing and is made anew.
Knows no model and no normalizer.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from asr.transcript import LanguageSpan, Suppressed, Word
from eval.corpora import Part, Utterance
from eval.errors import ResultsError, RunMismatchError
from eval.jobs import Job
from eval.targets import PhaseTimes

__all__ = [
    "ConfigDifference",
    "Hypothesis",
    "HypothesisStore",
    "Reference",
    "StoredRun",
    "config_differences",
    "read_run",
]

HYPOTHESES, REFERENCES, RUN, LOCK = "hypotheses.jsonl", "references.json", "run.json", "run.lock"
STUDY = "study.json"  # in a folder of runs under noise
INFORMATIVE = frozenset({"corpus_sha256"})  # in run.json, and free to differ when a run is continued
LONE_SURROGATES = "backslashreplace"  # a file name or answer may have them; so written, they are JSON's own escapes
ANEW = "make the run anew in another folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """What a target made of one clip."""

    id: str
    key: str
    """Digest of what decides the hypothesis: model, options, language told, audio."""
    text: str
    """Empty when the clip failed."""
    language: str | None = None
    """As the target named it."""
    duration: float | None = None
    """Length of the audio as the target measured it, seconds."""
    seconds: float
    """Wall clock from request to text, seconds; other clips may have been under way beside it."""
    times: PhaseTimes | None = None
    """Where that time went, where the target says."""
    model_hash: str | None = None
    """The model that answered, where a service says so."""
    error: Mapping[str, str] | None = None
    """``code`` and ``message`` of what went wrong; None: nothing."""
    words: tuple[Word, ...] | None = None
    """With their times, in order; None: not asked for, or the target has none."""
    languages: tuple[LanguageSpan, ...] = ()
    """Which language is spoken when, where the target says."""
    suppressed: tuple[Suppressed, ...] = ()
    """What was decoded and left out of the text, where the target says."""

    def as_json(self) -> dict[str, Any]:
        """One line of the file: what is unknown or empty is absent, and a word is a list of its four values."""
        fields = {key: value for key, value in asdict(self).items() if value is not None and value != ()}
        if self.words is not None:
            fields["words"] = [
                (word.word, round(word.start, 3), round(word.end, 3), round(word.probability, 4)) for word in self.words
            ]
        return fields

    @classmethod
    def from_json(cls, line: bytes) -> "Hypothesis":
        """Read one line of the file. Raises ValueError, TypeError or AttributeError for anything else."""
        fields = json.loads(line)
        times, words = fields.pop("times", None), fields.pop("words", None)
        return cls(
            **fields
            | {
                "times": None if times is None else PhaseTimes(**times),
                "words": None if words is None else tuple(map(_word, words)),
                "languages": tuple(LanguageSpan(**span) for span in fields.get("languages", ())),
                "suppressed": tuple(Suppressed(**each) for each in fields.get("suppressed", ())),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is known about one clip for scoring."""

    key: str
    """Of the hypothesis that answers it."""
    audio: str
    """Where the audio was when the run began, for reports that play it."""
    text: str
    """For the job: what is said, its translation, or its language's code."""
    language: str | None
    duration: float | None = None
    """Seconds, as the manifest has it."""
    dataset: str | None = None
    metric: str | None = None
    kind: str | None = None
    single_word: bool = False
    quality: str | None = None
    speaker: str | None = None
    parts: tuple[Part, ...] = ()
    """Where in the recording which clip is spoken, in order; empty: the recording was not joined."""

    @classmethod
    def of(cls, utterance: Utterance, job: Job, *, key: str) -> "Reference | None":
        """The reference of a clip for a job; None when the corpus has none."""
        text = utterance.reference(job)
        if text is None:
            return None
        return cls(
            key=key,
            audio=str(utterance.path.resolve()),
            text=text,
            language=utterance.language,
            duration=utterance.duration,
            dataset=utterance.dataset,
            metric=utterance.metric,
            kind=utterance.kind,
            single_word=utterance.single_word,
            quality=utterance.quality,
            speaker=utterance.speaker,
            parts=utterance.parts,
        )

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Reference":
        """Read one entry of the file; parts are absent where an earlier version wrote it. Raises TypeError."""
        return cls(**{**fields, "parts": tuple(Part(**part) for part in fields.get("parts", ()))})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """Everything in the folder of a run; hypotheses may be fewer than references while the run is unfinished."""

    config: Mapping[str, Any]
    references: Mapping[str, Reference]
    hypotheses: Mapping[str, Hypothesis]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDifference:
    """One entry of two runs' configurations that is not the same; None where a run does not have it."""

    key: str
    """Dotted: ``options.beam_size``."""
    a: Any
    b: Any


class HypothesisStore:
    """Appends hypotheses to the folder of a run; a context manager. ``finished`` has the clips already there."""

    def __init__(self, folder: Path, *, config: Mapping[str, Any], references: Mapping[str, Reference]) -> None:
        """Create the folder, or continue the one that is there; one store has a folder at a time.

        Raises RunMismatchError when the folder holds a run of another configuration, ResultsError when it cannot be
        a run's folder or another process is writing to it.
        """
        self._lock = _lock_folder(folder)
        try:
            _prepare_folder(folder, config, references)
            path = folder / HYPOTHESES
            self.finished: dict[str, Hypothesis] = {}
            if path.exists():
                complete = _complete_lines(path)
                self.finished = _current(_parse_hypotheses(path, complete), references)
                os.truncate(path, len(complete))  # a line torn by a kill goes, and its clip is done again
            self._file = path.open("a", encoding="utf-8", errors=LONE_SURROGATES)
        except BaseException:
            self._lock.release()
            raise

    def append(self, hypothesis: Hypothesis) -> None:
        """Add one line and hand it to the operating system. Raises ResultsError when it cannot be written."""
        try:
            self._file.write(json.dumps(hypothesis.as_json(), ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            message = f"{self._file.name}: {error.strerror or error}; make room, and repeat the command to continue"
            raise ResultsError(message) from error
        self.finished[hypothesis.id] = hypothesis

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError:  # what is left in its buffer is the line that `append` has failed on
            if exc is None:
                raise
        finally:
            self._lock.release()


def config_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[ConfigDifference]:
    """What differs between the configurations of two runs, by key."""
    flat_a, flat_b = dict(_flattened(a)), dict(_flattened(b))
    for key in sorted(flat_a.keys() | flat_b.keys()):
        if flat_a.get(key) != flat_b.get(key):
            yield ConfigDifference(key=key, a=flat_a.get(key), b=flat_b.get(key))


def read_run(folder: Path) -> StoredRun:
    """Read what a run left. Raises ResultsError when the folder is not a run's, or a file in it is damaged."""
    if (folder / STUDY).exists() and not (folder / RUN).exists():
        message = f"{folder}: got a noise study, expected the folder of an `auricle-eval run`"
        raise ResultsError(
            f"{message}; use auricle-eval report, or score one of its folders such as {folder / 'clean'}"
        )
    config = _read_object(folder / RUN)
    references = {}
    for clip_id, fields in _read_object(folder / REFERENCES).items():
        try:
            references[clip_id] = Reference.from_json(fields)
        except TypeError as error:
            raise ResultsError(
                f"{folder / REFERENCES}, clip {clip_id!r}: {error}; if another version wrote it, {ANEW}"
            ) from error
    path = folder / HYPOTHESES
    hypotheses = _parse_hypotheses(path, _complete_lines(path)) if path.exists() else {}
    return StoredRun(config=config, references=references, hypotheses=_current(hypotheses, references))


def _lock_folder(folder: Path) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ResultsError(
            f"--out {folder}: another run is writing there; wait for it, or give another folder"
        ) from error
    except OSError as error:
        raise ResultsError(f"--out {folder}: {error.strerror or error}; expected a folder to write to") from error
    return lock


def _prepare_folder(folder: Path, config: Mapping[str, Any], references: Mapping[str, Reference]) -> None:
    others = sorted(path.name for path in folder.glob("*.jsonl") if path.name != HYPOTHESES)
    if others:
        message = f"--out {folder}: got a folder with {', '.join(others)}, expected an empty one or an earlier run's"
        raise ResultsError(message)
    if (folder / RUN).exists():
        _check_same_configuration(folder, config)
    elif (folder / HYPOTHESES).exists():
        raise ResultsError(f"--out {folder}: {HYPOTHESES} is there without {RUN}; give another folder to --out")
    _write_object(folder / REFERENCES, {clip_id: asdict(reference) for clip_id, reference in references.items()})
    _write_object(folder / RUN, config)


def _check_same_configuration(folder: Path, config: Mapping[str, Any]) -> None:
    there = _read_object(folder / RUN)
    here = json.loads(json.dumps(config))  # as it reads after being written: tuples become lists
    differences = [
        f"  {entry.key}: there {json.dumps(entry.a)}, now {json.dumps(entry.b)}"
        for entry in config_differences(there, here)
        if entry.key not in INFORMATIVE
    ]
    if differences:
        message = (
            f"{folder} holds a run of another configuration:\n" + "\n".join(differences) + "\n"
            "Give another folder to --out, or repeat the options of the earlier run to continue it."
        )
        raise RunMismatchError(message)


def _flattened(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _word(values: tuple[str, float, float, float]) -> Word:
    word, start, end, probability = values
    return Word(word=word, start=start, end=end, probability=probability)


def _complete_lines(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def _parse_hypotheses(path: Path, data: bytes) -> dict[str, Hypothesis]:
    hypotheses = {}
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            hypothesis = Hypothesis.from_json(line)
        except (ValueError, TypeError, AttributeError) as error:
            message = f"{path}, line {number}: {error}; delete the line and run again to redo its clip"
            raise ResultsError(f"{message}; if another version wrote it, {ANEW}") from error
        hypotheses[hypothesis.id] = hypothesis
    return hypotheses


def _current(hypotheses: Mapping[str, Hypothesis], references: Mapping[str, Reference]) -> dict[str, Hypothesis]:
    return {
        clip_id: hypothesis
        for clip_id, hypothesis in hypotheses.items()
        if clip_id in references and references[clip_id].key == hypothesis.key
    }


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        message = f"{path}: {error.strerror or error}; expected the folder of an `auricle-eval run`"
        raise ResultsError(message) from error
    except ValueError as error:
        raise ResultsError(f"{path}: got no valid JSON ({error}); {ANEW}") from error
    if not isinstance(value, dict):
        message = f"{path}: got {type(value).__name__}, expected a JSON object; {ANEW}"
        raise ResultsError(message)
    return value


def _write_object(path: Path, value: Mapping[str, Any]) -> None:
    # Written beside and renamed, so that a kill leaves the old file or the new one, never half of one.
    written = path.with_suffix(".tmp")
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    written.write_text(text, encoding="utf-8", errors=LONE_SURROGATES)
    written.replace(path)
