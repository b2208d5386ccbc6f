import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from asr.options import TranscribeOptions
from eval.corpora import Utterance
from eval.errors import ClipError
from eval.targets import Reply

CLIPS: tuple[dict[str, Any], ...] = (
    {"id": "en-1", "text": "The cat sat.", "language": "en", "duration": 2, "dataset": "stories"},
    {"id": "de-1", "text": "Guten Tag", "language": "de", "duration": 1, "dataset": "stories"},
    {"id": "silence", "text": "", "language": None, "duration": 3, "dataset": "noise", "kind": "noise"},
    {"id": "unknown", "text": None, "language": "ja", "duration": 1},
    {"id": "zh-1", "text": "你好吗", "language": "zh", "duration": 1, "dataset": "stories"},
)


class FakeTarget:
    """Answers from a table by file name; without an entry, with the name itself."""

    n_parallel = 1

    def __init__(self, answers: Mapping[str, str | BaseException] | None = None, model: str = "fake") -> None:
        self.answers = answers or {}
        self.model = model
        self.asked: list[tuple[str, TranscribeOptions]] = []
        self.detected: list[str] = []

    def describe(self) -> dict[str, Any]:
        return {"target": "local", "model": self.model, "model_hash": "0" * 64, "versions": {"auricle": "0"}}

    def settings(self, options: TranscribeOptions) -> dict[str, Any]:
        return asdict(options)

    def transcribe(self, path: Path, options: TranscribeOptions) -> Reply:
        self.asked.append((path.stem, options))
        return Reply(text=self._answer(path), language=options.language or "en", duration=1.0)

    def detect_language(self, path: Path) -> Reply:
        """The answer is the language's code."""
        self.detected.append(path.stem)
        return Reply(text="", language=self._answer(path))

    def _answer(self, path: Path) -> str:
        answer = self.answers.get(path.stem, path.stem)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class CountingProgress:
    def __init__(self) -> None:
        self.n_pending = self.n_clips = self.n_advanced = 0
        self.read_clips: list[tuple[int, int]] = []

    def read(self, n_read: int, n_clips: int) -> None:
        self.read_clips.append((n_read, n_clips))

    def start(self, pending: Sequence[Utterance], n_clips: int) -> None:
        self.n_pending, self.n_clips = len(pending), n_clips

    def advance(self, utterance: Utterance) -> None:
        assert utterance.id
        self.n_advanced += 1


@pytest.fixture
def write_manifest(tmp_path: Path):
    def write(*clips: dict[str, Any]) -> Path:
        folder = tmp_path / "corpus"
        folder.mkdir(exist_ok=True)
        path = folder / "manifest.jsonl"
        lines = [json.dumps({"path": f"{clip['id']}.wav", **clip}, ensure_ascii=False) for clip in clips or CLIPS]
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def fake_target() -> type[FakeTarget]:
    return FakeTarget


@pytest.fixture
def progress() -> CountingProgress:
    return CountingProgress()


@pytest.fixture
def clip_error() -> ClipError:
    return ClipError("undecodable_audio", "clip.wav: not audio")
