import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from heap_making import InThisProcess, Silent, make_heap

from asr.audio import SAMPLE_RATE, Waveform
from asr.errors import AuricleError, CorruptAudioError
from asr.options import TranscribeOptions
from asr.tasks import Task
from asr.transcriber import Transcriber
from asr.transcript import LanguageDetection, Segment, Timing, Transcript, Word
from data_pipeline import hearing
from data_pipeline.hearing import ModelListener
from data_pipeline.recipe import ModelChoice, read_recipe
from data_pipeline.running import RunPlan, run_recipe
from data_pipeline.types import Cue, SpokenLanguage


class DeafListener:
    """Hears German, and of every other recording nothing at all."""

    def __init__(self, choice: ModelChoice) -> None:
        self.name = choice.name
        self.heard_s: list[float] = []

    def hear(self, recordings: Iterable[Waveform]) -> Iterator[tuple[SpokenLanguage | None, tuple[Cue, ...] | None]]:
        for number, recording in enumerate(recordings):
            self.heard_s.append(recording.duration)
            yield (SpokenLanguage(language="de", probability=0.9), ()) if number % 2 else (None, None)


def test_the_model_hears_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    listeners: list[DeafListener] = []

    def listen(choice: ModelChoice) -> DeafListener:
        listeners.append(DeafListener(choice))
        return listeners[-1]

    monkeypatch.setattr(hearing, "ModelListener", listen)
    hearing._model.cache_clear()
    recipe = make_heap(tmp_path)
    recipe.write_text(f'{recipe.read_text()}[model]\nname = "base"\n')
    plan = RunPlan(recipe=read_recipe(recipe))
    folder = run_recipe(plan, tmp_path / "out", executor=InThisProcess(), resume=False, progress=Silent()).path
    assert [listener.name for listener in listeners] == ["base"]
    # The copy, and five talks; what is dropped before is not listened to.
    assert listeners[0].heard_s == [34.0] * 6
    heard = [
        json.loads(line) for path in sorted((folder / "heard").iterdir()) for line in path.read_text().splitlines()
    ]
    assert [line["id"] for line in heard][:2] == ["talks/copy.wav", "talks/talk1.flac"]
    manifest = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    # English text over German speech is a translation, which no hypothesis is held against.
    assert {(line["task"], line["language"]) for line in manifest if line["text"]} == {
        ("transcribe", "en"),
        ("translate", "de"),
    }


class FakeTranscriber:
    """Hears a word a second in the first ``said_s`` seconds; the sample at a part's start is how much it is German."""

    def __init__(self, said_s: float, english: float) -> None:
        self._said_s = said_s
        self._english = english
        self.asked_s: list[float] = []

    def transcribe_many(
        self, recordings: Iterable[Waveform], options: TranscribeOptions
    ) -> Iterator[Transcript | AuricleError]:
        assert options.language is None
        for recording in recordings:
            yield self._transcript(recording) if recording.samples[0] else CorruptAudioError("no audio")

    def detect_language(self, audio: Waveform) -> LanguageDetection:
        self.asked_s.append(audio.duration)
        german = float(audio.samples[0])
        return LanguageDetection(language=None, language_probs={"de": german, "en": 1 - german})

    def _transcript(self, recording: Waveform) -> Transcript:
        times = np.arange(0.0, min(self._said_s, recording.duration))
        words = tuple(Word(start=float(at), end=float(at) + 1, word=" ja", probability=1.0) for at in times)
        segment = Segment(
            id=0, seek=0, start=0.0, end=recording.duration, text=" ja", tokens=(), temperature=0.0, avg_logprob=0.0,
            compression_ratio=1.0, no_speech_prob=0.0, words=words,
        )  # fmt: skip
        return Transcript(
            task=Task.TRANSCRIBE, language="en", duration=recording.duration,
            language_probs={"de": 1 - self._english, "en": self._english},
            segments=(segment,), timing=Timing(),
        )  # fmt: skip


def recording(duration: float, *german: float) -> Waveform:
    """In as many parts of one length as ``german`` has."""
    return Waveform(np.repeat(np.array(german, np.float32), round(duration * SAMPLE_RATE / len(german))))


@pytest.mark.parametrize(
    ("audio", "said_s", "asked_s", "language", "probability"),
    [
        (recording(30.0, 0.9), 30.0, [], "en", 0.7),  # one window
        (recording(45.0, 0.9, 0.2, 0.85), 45.0, [15.0] * 3, "de", 0.65),
        (recording(60.0, 0.9, 0.2, 0.1), 60.0, [20.0] * 3, "en", 0.6),
        (recording(45.0, 0.9, 0.2, 0.1), 20.0, [15.0] * 2, "de", 0.55),  # where nothing is said, nothing is asked
        (recording(45.0, 0.9, 0.2, 0.1), 0.0, [], "en", 0.7),
        (recording(90.0, 0.9, 0.9, 0.9), 90.0, [], "en", 0.7),  # the transcript's own vote was of three or more
    ],
)
def test_the_language_is_voted_for_by_three_windows(
    monkeypatch: pytest.MonkeyPatch,
    audio: Waveform,
    said_s: float,
    asked_s: list[float],
    language: str,
    probability: float,
):
    transcriber = FakeTranscriber(said_s, english=0.7)
    monkeypatch.setattr(Transcriber, "load", lambda *_, **__: transcriber)
    heard = list(ModelListener(ModelChoice(name="base")).hear([recording(1.0, 0.0), audio]))
    assert heard[0] == (None, None)
    spoken, words = heard[1]
    assert spoken == SpokenLanguage(language=language, probability=probability)
    assert words is not None
    assert len(words) == min(said_s, audio.duration)
    assert transcriber.asked_s == pytest.approx(asked_s)


def test_two_windows_that_leave_no_doubt_are_enough(monkeypatch: pytest.MonkeyPatch):
    transcriber = FakeTranscriber(45.0, english=0.9)
    monkeypatch.setattr(Transcriber, "load", lambda *_, **__: transcriber)
    [(spoken, _)] = ModelListener(ModelChoice(name="base")).hear([recording(45.0, 0.9)])
    assert spoken == SpokenLanguage(language="en", probability=0.9)
    assert not transcriber.asked_s
