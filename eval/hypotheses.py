"""The folder of a run. In: configuration, references and, one by one, hypotheses. Out: the same, read back.

``hypotheses.jsonl`` grows by one flushed line a clip, so that a killed run loses at most the clip it was at;
``run.json`` says what was run and ``references.json`` what scoring needs, so that scoring needs this folder alone.
Knows no model and no normalizer.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asr.tasks import Task
from eval.corpus import Utterance
from eval.errors import ResultsError, RunMismatchError

__all__ = ["Hypothesis", "HypothesisStore", "Reference", "StoredRun", "read_run"]

HYPOTHESES, REFERENCES, RUN = "hypotheses.jsonl", "references.json", "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """What a target made of one clip."""

    id: str
    text: str
    """Empty when the clip failed."""
    language: str | None = None
    """As the target named it."""
    duration: float | None = None
    """Length of the audio as the target measured it, seconds."""
    seconds: float
    """Wall clock from request to text, seconds."""
    model_hash: str | None = None
    """The model that answered, where a service says so."""
    error: Mapping[str, str] | None = None
    """``code`` and ``message`` of what went wrong; None: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is known about one clip for scoring."""

    text: str
    language: str | None
    duration: float | None = None
    """Seconds, as the manifest has it."""
    dataset: str | None = None
    metric: str | None = None
    kind: str | None = None
    single_word: bool = False
    quality: str | None = None
    speaker: str | None = None

    @classmethod
    def of(cls, utterance: Utterance, task: Task) -> "Reference | None":
        """The reference of a clip for a task; None when the corpus has none."""
        text = utterance.reference(task)
        if text is None:
            return None
        return cls(
            text=text,
            language=utterance.language,
            duration=utterance.duration,
            dataset=utterance.dataset,
            metric=utterance.metric,
            kind=utterance.kind,
            single_word=utterance.single_word,
            quality=utterance.quality,
            speaker=utterance.speaker,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """Everything in the folder of a run; hypotheses may be fewer than references while the run is unfinished."""

    config: Mapping[str, Any]
    references: Mapping[str, Reference]
    hypotheses: Mapping[str, Hypothesis]


class HypothesisStore:
    """Appends hypotheses to the folder of a run; a context manager. ``finished`` has the clips already there."""

    def __init__(self, folder: Path, *, config: Mapping[str, Any], references: Mapping[str, Reference]) -> None:
        """Create the folder, or continue the one that is there.

        Raises RunMismatchError when the folder holds a run of another configuration, ResultsError when it cannot be
        a run's folder.
        """
        _prepare_folder(folder, config, references)
        path = folder / HYPOTHESES
        self.finished: dict[str, Hypothesis] = {}
        if path.exists():
            complete = _complete_lines(path)
            self.finished = _parse_hypotheses(path, complete)
            os.truncate(path, len(complete))  # a line torn by a kill goes, and its clip is done again
        self._file = path.open("a", encoding="utf-8")

    def append(self, hypothesis: Hypothesis) -> None:
        """Add one line and hand it to the operating system."""
        fields = {key: value for key, value in asdict(hypothesis).items() if value is not None}
        self._file.write(json.dumps(fields, ensure_ascii=False) + "\n")
        self._file.flush()
        self.finished[hypothesis.id] = hypothesis

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def read_run(folder: Path) -> StoredRun:
    """Read what a run left. Raises ResultsError when the folder is not a run's, or a file in it is damaged."""
    config = _read_object(folder / RUN)
    references = {}
    for clip_id, fields in _read_object(folder / REFERENCES).items():
        try:
            references[clip_id] = Reference(**fields)
        except TypeError as error:
            raise ResultsError(f"{folder / REFERENCES}, clip {clip_id!r}: {error}") from error
    path = folder / HYPOTHESES
    hypotheses = _parse_hypotheses(path, _complete_lines(path)) if path.exists() else {}
    return StoredRun(config=config, references=references, hypotheses=hypotheses)


def _prepare_folder(folder: Path, config: Mapping[str, Any], references: Mapping[str, Reference]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(f"--out {folder}: {error.strerror or error}; expected a folder to write to") from error
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
        f"  {key}: there {json.dumps(there.get(key))}, now {json.dumps(here.get(key))}"
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key)
    ]
    if differences:
        message = (
            f"{folder} holds a run of another configuration:\n" + "\n".join(differences) + "\n"
            "Give another folder to --out, or repeat the options of the earlier run to continue it."
        )
        raise RunMismatchError(message)


def _complete_lines(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def _parse_hypotheses(path: Path, data: bytes) -> dict[str, Hypothesis]:
    hypotheses = {}
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            hypothesis = Hypothesis(**json.loads(line))
        except (ValueError, TypeError) as error:
            message = f"{path}, line {number}: {error}; delete the line and run again to redo its clip"
            raise ResultsError(message) from error
        hypotheses[hypothesis.id] = hypothesis
    return hypotheses


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        message = f"{path}: {error.strerror or error}; expected the folder of an `auricle-eval run`"
        raise ResultsError(message) from error
    except ValueError as error:
        raise ResultsError(f"{path}: got no valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise ResultsError(f"{path}: got {type(value).__name__}, expected a JSON object")
    return value


def _write_object(path: Path, value: Mapping[str, Any]) -> None:
    # Written beside and renamed, so that a kill leaves the old file or the new one, never half of one.
    written = path.with_suffix(".tmp")
    written.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    written.replace(path)
