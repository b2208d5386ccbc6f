"""The synchronous driver: what it hands to the engine, and with real weights, what comes out of a stream."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from asr.audio import Waveform, load_audio
from asr.decoding import DecodeRequest, DecodingResult, TokenTime
from asr.engine import Engine
from asr.engine.torch_backend import TorchBackend
from asr.errors import InvalidOptionError, UnsupportedLanguageError
from asr.live import LiveTranscriber, RecentSpeech
from asr.options import TranscribeOptions
from asr.streaming import Final, SpeechStarted, SpeechStopped, StreamingEvent, StreamingOptions, UtteranceEnded
from asr.streaming.agreement import normalized
from asr.tasks import Task
from asr.vad import SpeechDetector

SECOND = 16_000
NO_VAD = StreamingOptions(language="en", vad=False)


class CountingEngine(Engine):
    """Says " tick" at each whole second of a window; remembers how many frames each window had."""

    def __init__(self, model, tokenizer) -> None:
        super().__init__(TorchBackend(model, ()), tokenizer)
        self.n_frames: list[int] = []

    def decode(self, requests: Sequence[DecodeRequest]) -> list[DecodingResult]:
        [request] = requests
        assert request.options.token_times
        self.n_frames.append(request.n_frames)
        n_words = request.n_frames // 100
        tokens = self.tokenizer.encode(" tick")
        times = [
            TokenTime(start=second + i * 0.05, end=second + (i + 1) * 0.05, probability=0.5)
            for second in range(n_words)
            for i in range(len(tokens))
        ]
        return [
            DecodingResult(
                tokens=tuple(tokens * n_words), text="", language="en", language_probs={}, avg_logprob=-0.1,
                no_speech_prob=0.0, compression_ratio=1.0, temperature=0.0, token_times=tuple(times),
            )
        ]  # fmt: skip


def words_of(events: Sequence[StreamingEvent]) -> list[str]:
    return [normalized(word.word) for event in events if isinstance(event, Final) for word in event.words]


def feed_all(live: LiveTranscriber, samples: np.ndarray, n_chunk: int = 1_600) -> list[StreamingEvent]:
    events = [event for i in range(0, len(samples), n_chunk) for event in live.feed(samples[i : i + n_chunk])]
    return events + live.finish()


@pytest.fixture
def counting(tiny_model, tokenizer) -> CountingEngine:
    return CountingEngine(tiny_model, tokenizer)


def test_windows_grow_by_a_step(counting):
    live = LiveTranscriber(counting, NO_VAD)
    events = feed_all(live, np.zeros(5 * SECOND + 100, np.float32))
    assert counting.n_frames == [100, 200, 300, 400, 500, 501]
    assert live.n_decoded == 6
    assert words_of(events) == ["tick"] * 5
    assert [event.start for event in events if isinstance(event, Final)] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_audio_that_no_window_needs_is_dropped(counting):
    live = LiveTranscriber(counting, NO_VAD)
    for _ in range(120):
        live.feed(np.zeros(SECOND, np.float32))
        assert len(live._samples) <= 30 * SECOND
    assert words_of(live.finish()) == ["tick"]
    assert max(counting.n_frames) <= 2_800


def test_voice_activity_needs_a_listener(tiny_engine):
    with pytest.raises(InvalidOptionError, match="vad"):
        LiveTranscriber(tiny_engine, StreamingOptions())


def test_recent_speech_is_what_the_whole_recording_would_be():
    random = np.random.default_rng(0)
    samples = (random.standard_normal(20 * SECOND) * np.abs(np.sin(np.arange(20 * SECOND) / 9_000))).astype(np.float32)
    listener = RecentSpeech(SpeechDetector())
    heard = [p for i in range(0, len(samples), 1_601) for p in listener.hear(samples[i : i + 1_601])]
    expected = SpeechDetector().probabilities(samples).probabilities
    assert len(heard) == len(expected)
    assert np.abs(np.array(heard) - expected).max() < 0.1


# --- with real weights ---


@pytest.fixture(scope="module")
def jfk(shared) -> Waveform:
    return load_audio(shared / "golden" / "audio" / "jfk-jfk.flac")


@pytest.mark.weights
def test_a_stream_says_what_the_recording_says(tiny_en, jfk):
    greedy = TranscribeOptions(language="en", beam_size=1)
    offline = [normalized(word) for word in tiny_en.transcribe(jfk, greedy).text.split()]
    live = LiveTranscriber(tiny_en.engine, StreamingOptions(), listener=RecentSpeech(SpeechDetector()))
    events = feed_all(live, jfk.samples)
    assert words_of(events) == offline
    assert live.session.language == "en"
    turns = [type(event) for event in events if isinstance(event, SpeechStarted | SpeechStopped | UtteranceEnded)]
    assert turns == [SpeechStarted, SpeechStopped, UtteranceEnded] * (len(turns) // 3)
    finals = [event for event in events if isinstance(event, Final)]
    assert all(first.end <= second.start for first, second in itertools.pairwise(finals))
    assert finals[-1].end <= jfk.duration


@pytest.mark.weights
def test_an_english_only_model_refuses_the_rest(tiny_en):
    with pytest.raises(UnsupportedLanguageError):
        LiveTranscriber(tiny_en.engine, StreamingOptions(language="de", vad=False))
    with pytest.raises(InvalidOptionError, match="English-only"):
        LiveTranscriber(tiny_en.engine, StreamingOptions(task=Task.TRANSLATE, vad=False))
