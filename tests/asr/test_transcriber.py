"""The front door with real weights: parity with the reference's own walk, and one way in for every input."""

import itertools
import json
from dataclasses import replace

import pytest
import torch

from asr.audio import Waveform, load_audio
from asr.errors import AudioError, AudioTooLongError, InvalidOptionError, UnsupportedLanguageError
from asr.options import TranscribeOptions
from asr.tasks import Task
from asr.transcriber import Progress, Transcriber
from asr.transcript import Segment

pytestmark = pytest.mark.weights

FAST = TranscribeOptions(beam_size=1, temperatures=(0.0,), language="en")


@pytest.fixture(scope="module")
def jfk(shared) -> Waveform:
    return load_audio(shared / "golden" / "audio" / "jfk-jfk.flac")


def test_the_walk_equals_the_reference(base, shared):
    golden = json.loads((shared / "golden" / "longform.json").read_text())
    expected = [segment for segment in golden["greedy"] if segment["start"] < 90]
    options = TranscribeOptions(beam_size=1, language=golden["language"])
    recording = shared / "golden" / golden["audio"]
    got = list(itertools.takewhile(lambda segment: segment.start < 90, base.stream(recording, options)))
    assert len(got) > 10
    for mine, theirs in zip(got, expected, strict=True):
        assert (mine.seek, mine.text, list(mine.tokens)) == (theirs["seek"], theirs["text"], theirs["tokens"])
        assert (mine.start, mine.end) == pytest.approx((theirs["start"], theirs["end"]), abs=1e-6)


def test_a_file_a_waveform_and_a_stream_say_the_same(tiny_en, shared, jfk):
    path = shared / "golden" / "audio" / "jfk-jfk.flac"
    heard: list[Segment] = []
    progress: list[Progress] = []
    transcript = tiny_en.transcribe(path, FAST, on_segment=heard.append, on_progress=progress.append)
    assert "ask not what your country can do for you" in transcript.text.lower()
    assert tuple(heard) == transcript.segments
    assert tuple(tiny_en.stream(jfk, FAST)) == transcript.segments
    assert tiny_en.transcribe(jfk, FAST).segments == transcript.segments
    assert transcript.duration == jfk.duration == 11.0
    assert progress[-1] == Progress(done=11.0, duration=11.0)
    assert (transcript.language, transcript.language_probs, transcript.task) == ("en", {}, Task.TRANSCRIBE)
    timing = transcript.timing
    assert 0 < timing.encode < timing.total
    assert 0 < timing.decode < timing.total
    assert timing.decode_audio + timing.encode + timing.decode <= timing.total


def test_warnings_pass_through(tiny_en, jfk):
    short = replace(jfk, samples=jfk.samples[:16_000], warnings=("the file was cut",))
    assert tiny_en.transcribe(short, FAST).warnings == ("the file was cut",)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (TranscribeOptions(language="de"), UnsupportedLanguageError),
        (TranscribeOptions(task=Task.TRANSLATE), InvalidOptionError),
    ],
)
def test_an_english_only_model_refuses_the_rest_before_it_opens_the_file(tiny_en, tmp_path, options, error):
    missing = tmp_path / "missing.wav"
    with pytest.raises(error, match="English-only"):
        tiny_en.transcribe(missing, options)
    with pytest.raises(error, match="English-only"):
        next(tiny_en.stream(missing, options))


def test_unusable_audio(tiny_en, tmp_path, shared):
    (tmp_path / "text.wav").write_text("not audio, but long enough to look at")
    with pytest.raises(AudioError):
        tiny_en.transcribe(tmp_path / "text.wav")
    with pytest.raises(AudioTooLongError):
        tiny_en.transcribe(shared / "golden" / "audio" / "jfk-jfk.flac", max_duration_s=5)


def test_languages(base, tiny_en):
    assert tiny_en.languages == ("en",)
    assert len(base.languages) == 99


def test_detect_language(base, tiny_en, jfk):
    detection = base.detect_language(jfk)
    assert detection.language == "en"
    assert detection.language_probs["en"] > 0.9
    assert sum(detection.language_probs.values()) == pytest.approx(1, abs=1e-4)
    assert tiny_en.detect_language(jfk).language_probs == {"en": 1.0}


def test_device_and_dtype_are_decided_at_load(tiny_en):
    assert (tiny_en.decoder.model.device.type, tiny_en.decoder.model.dtype) == ("cpu", torch.float32)
    half = Transcriber.load("tiny.en", device="cpu", dtype="bfloat16")
    assert half.decoder.model.dtype == torch.bfloat16
    assert half.model_hash == tiny_en.model_hash
    assert half.model_name == "tiny.en"
