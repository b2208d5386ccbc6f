"""Another engine in a process of its own. In: one audio file. Out: ``Reply``, from a line of JSON.

The process is started once and loads once; it is told the path of the samples (mono float32 at 16 kHz), so that every
engine hears what ours hears. Knows the lines of ``engines.py serve`` and no engine, no corpus and no reference.
"""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from asr.audio import Waveform, load_audio
from asr.errors import AuricleError
from asr.options import TranscribeOptions
from asr.transcript import Word
from eval.errors import ClipError, TargetUnavailableError
from eval.targets.types import Reply, package_version

__all__ = ["PeerTarget"]

SAID = frozenset({"task", "language", "word_timestamps", "seed"})  # the rest must be at its default; the seed is fixed
NEXT_STEP = "correct --peer and --model; the same command then continues where it stopped"
MAX_SHOWN = 800  # characters of what the process wrote when it ended


class PeerTarget:
    """One peer with one model as a ``Target``; its name says how it decodes."""

    n_parallel = 1

    def __init__(self, peer: str, command: Sequence[str], *, model: str, model_hash: str | None) -> None:
        """``command``: what starts it. Raises TargetUnavailableError when it does not run, or does not load."""
        self._peer = peer
        self._model, self._model_hash = model, model_hash
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (as long as the process, whose stderr it is)
        try:
            self._process = subprocess.Popen(  # noqa: S603  (the command is the user's own)
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, encoding="utf-8"
            )
        except OSError as error:
            message = f"--peer {peer}: {command[0]} cannot be run: {error.strerror or error}; {NEXT_STEP}"
            raise TargetUnavailableError(message) from error
        self._asked, self._answers = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        self._versions = dict(self._line()["versions"])

    def describe(self) -> Mapping[str, Any]:
        """The peer, its packages' versions, and the model whose weights it was given."""
        return {
            "target": self._peer,
            "model": self._model,
            "model_hash": self._model_hash,
            "versions": {"auricle": package_version("auricle"), **self._versions},
        }

    def settings(self, options: TranscribeOptions) -> Mapping[str, Any]:
        """Whether words are wanted; a peer's own defaults decide the rest, and options of ours are refused."""
        defaults = asdict(TranscribeOptions())
        refused = [name for name, value in asdict(options).items() if name not in SAID and value != defaults[name]]
        if refused:
            message = f"--peer {self._peer}: it decodes as its name says, got {', '.join(refused)}; leave them out"
            raise TargetUnavailableError(message)
        return {"word_timestamps": options.word_timestamps}

    def transcribe(self, path: Path, options: TranscribeOptions) -> Reply:
        """Hand the samples over and wait, however long it takes."""
        self.settings(options)
        samples = _samples(path)
        with tempfile.NamedTemporaryFile(suffix=".npy") as file:
            np.save(file, samples.samples)
            file.flush()
            answer = self._ask(
                {
                    "samples": file.name,
                    "language": options.language,
                    "task": options.task.value,
                    "words": options.word_timestamps,
                }
            )
        if "error" in answer:
            raise ClipError("peer_failed", str(answer["error"]))
        words = tuple(Word(word=word, start=start, end=end, probability=p) for word, start, end, p in answer["words"])
        return Reply(
            text=answer["text"],
            language=answer["language"],
            duration=samples.duration,
            words=words if options.word_timestamps else None,
        )

    def detect_language(self, path: Path) -> Reply:
        """Raises TargetUnavailableError: peers are asked for text."""
        raise TargetUnavailableError(f"--peer {self._peer}: it is asked for text, got {path.name} to detect")

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._asked.write(json.dumps(request) + "\n")
            self._asked.flush()
        except OSError:
            raise self._ended() from None
        return self._line()

    def _line(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> TargetUnavailableError:
        status = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()[-MAX_SHOWN:]
        return TargetUnavailableError(f"--peer {self._peer} ended with status {status}: {said}; {NEXT_STEP}")


def _samples(path: Path) -> Waveform:
    try:
        return load_audio(path)
    except AuricleError as error:
        raise ClipError(error.code, str(error)) from error
    except OSError as error:
        raise ClipError("unreadable_file", f"{path.name}: {error.strerror or error}") from error
