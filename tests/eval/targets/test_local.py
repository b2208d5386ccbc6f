import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from asr.errors import CorruptAudioError, UnknownModelError
from asr.options import TranscribeOptions
from asr.tasks import Task
from asr.transcript import LanguageDetection, LanguageSpan, Segment, Suppressed, Timing, Transcript, Word
from eval.errors import ClipError, TargetUnavailableError
from eval.targets import LocalTarget, PhaseTimes

WORDS = (
    Word(word=" hi", start=0.1, end=0.5, probability=0.9),
    Word(word=" there", start=1.2, end=1.6, probability=0.8),
)
SCORES = {"avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0}
TRANSCRIPT = Transcript(
    task=Task.TRANSCRIBE,
    language="en",
    duration=2.0,
    segments=tuple(
        Segment(
            id=place,
            seek=0,
            start=word.start,
            end=word.end,
            text=word.word,
            tokens=(),
            temperature=0.0,
            words=(word,),
            **SCORES,
        )
        for place, word in enumerate(WORDS)
    ),
    suppressed=(Suppressed(start=1.8, end=2.0, text=" Thank you.", reason="silence", **SCORES),),
    languages=(LanguageSpan(start=0.0, end=2.0, language="en", probability=0.9),),
    timing=Timing(decode_audio=1.0, encode=2.0, decode=3.0, total=7.0),
)


class FakeTranscriber:
    model_name, model_hash, precision = "base", "d0", "int8"

    def __init__(self, result: Transcript | LanguageDetection | Exception) -> None:
        self.result = result

    def transcribe(self, path: Path, options: TranscribeOptions) -> Transcript:
        assert options.beam_size == 5
        return self._answer(path)

    def detect_language(self, path: Path) -> LanguageDetection:
        return self._answer(path)

    def _answer(self, path: Path):
        assert path.exists()
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def test_the_local_engine_answers(clip: Path) -> None:
    target = LocalTarget(FakeTranscriber(TRANSCRIPT))
    reply = target.transcribe(clip, TranscribeOptions())
    assert (reply.text, reply.times) == ("hi there", PhaseTimes(audio=1.0, encode=2.0, decode=3.0))
    assert (reply.words, reply.languages, reply.suppressed) == (None, TRANSCRIPT.languages, TRANSCRIPT.suppressed)
    timed = target.transcribe(clip, TranscribeOptions(word_timestamps=True))
    assert timed.words == WORDS
    described = target.describe()
    assert (described["model"], described["model_hash"]) == ("base", "d0")
    assert described["versions"]["torch"]
    assert target.settings(TranscribeOptions(beam_size=3))["beam_size"] == 3


def test_the_local_engine_names_languages(clip: Path) -> None:
    target = LocalTarget(FakeTranscriber(LanguageDetection(language="de", language_probs={"de": 1.0})))
    assert target.detect_language(clip).language == "de"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CorruptAudioError("no"), "undecodable_audio"),
        (FileNotFoundError(2, "No such file"), "unreadable_file"),
        (IndexError("7"), "internal_error"),
    ],
)
def test_a_local_failure_is_the_clips_error(clip: Path, error: Exception, code: str) -> None:
    target = LocalTarget(FakeTranscriber(error))
    for ask in (lambda: target.transcribe(clip, TranscribeOptions()), lambda: target.detect_language(clip)):
        with pytest.raises(ClipError) as caught:
            ask()
        assert caught.value.code == code


def test_a_model_that_does_not_load_names_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(model: str, *, quantization: str) -> None:
        raise UnknownModelError("no model of this name")

    module = ModuleType("asr.transcriber")
    module.Transcriber = SimpleNamespace(load=load)
    monkeypatch.setitem(sys.modules, "asr.transcriber", module)
    with pytest.raises(TargetUnavailableError, match="--model huge: no model"):
        LocalTarget.load("huge")
