"""The synchronous driver: what it hands to the engine, and with real weights, what comes out of a stream."""

import itertools
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import pytest

from asr.audio import Waveform, load_audio
from asr.decoding import BeamSearch, DecodeRequest, DecodingResult, Greedy, TokenTime
from asr.engine import Engine
from asr.engine.torch_backend import TorchBackend
from asr.errors import InvalidOptionError, UnsupportedLanguageError
from asr.live import LiveTranscriber, RecentSpeech
from asr.options import TranscribeOptions
from asr.streaming import Final, SpeechStarted, SpeechStopped, StreamingEvent, StreamingOptions, UtteranceEnded
from asr.streaming.agreement import normalized
from asr.tasks import Task
from asr.ticket import Ticket
from asr.vad import SpeechDetector

SECOND = 16_000
NO_VAD = StreamingOptions(language="en", vad=False, settle_s=0)


class CountingEngine(Engine):
    """Says " tick." at each whole second of a window; remembers what it was asked, and by how much it is unsure."""

    def __init__(self, model, tokenizer) -> None:
        super().__init__(TorchBackend(model, ()), tokenizer)
        self.requests: list[DecodeRequest] = []
        self.tickets: list[Ticket] = []
        self.logprobs: dict[int, float] = {}  # by frames heard

    def submit(self, requests: Sequence[DecodeRequest], ticket: Ticket) -> list[Future[DecodingResult]]:
        [request] = requests
        assert request.options.token_times
        self.requests.append(request)
        self.tickets.append(ticket)
        answer: Future[DecodingResult] = Future()
        answer.set_result(self._say(request))
        return [answer]

    @property
    def n_frames(self) -> list[int]:
        return [request.n_frames for request in self.requests]

    @property
    def heard(self) -> list[int]:
        return [request.mel.shape[-1] for request in self.requests]

    def _say(self, request: DecodeRequest) -> DecodingResult:
        n_words = request.n_frames // 100
        tokens = self.tokenizer.encode(" tick.")
        times = [
            TokenTime(start=second + i * 0.05, end=second + (i + 1) * 0.05, probability=0.5)
            for second in range(n_words)
            for i in range(len(tokens))
        ]
        return DecodingResult(
            tokens=tuple(tokens * n_words), text="", language="en", language_probs={},
            avg_logprob=self.logprobs.get(request.mel.shape[-1], -0.1), no_speech_prob=0.0, compression_ratio=1.0,
            temperature=0.0, token_times=tuple(times),
        )  # fmt: skip


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


def test_windows_are_heard_with_little_silence_and_the_last_with_care(counting):
    live = LiveTranscriber(counting, NO_VAD)
    feed_all(live, np.zeros(5 * SECOND + 100, np.float32))
    assert counting.heard == [1_200] * 6
    assert [type(request.options.strategy) for request in counting.requests] == [Greedy] * 5 + [BeamSearch]
    live = LiveTranscriber(counting, NO_VAD)
    live.feed(np.zeros(20 * SECOND, np.float32))
    assert counting.heard[-1] == 3_000


@pytest.mark.parametrize(("in_full", "n_words"), [(-0.4, 3), (-0.9, 3)])
def test_a_doubtful_end_of_an_utterance_is_heard_again_in_full(counting, in_full, n_words):
    counting.logprobs = {1_200: -0.6, 3_000: in_full}
    live = LiveTranscriber(counting, NO_VAD)
    events = feed_all(live, np.zeros(3 * SECOND + 100, np.float32))
    assert counting.heard == [1_200] * 4 + [3_000]  # what is not final yet is not worth it
    assert words_of(events) == ["tick"] * n_words


def test_sound_may_come_in_before_it_is_decoded(counting):
    live = LiveTranscriber(counting, NO_VAD)
    for _ in range(7):
        live.push(np.zeros(SECOND, np.float32))
    assert counting.n_frames == []
    assert live.decode() is not None
    assert live.decode() is None
    assert counting.n_frames == [700]  # the windows in between are skipped
    assert live.duration == 7.0
    live.end()
    live.cancel()
    assert counting.tickets[0].cancelled


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
def test_a_stream_says_what_the_recording_says(base, jfk):
    greedy = TranscribeOptions(language="en", beam_size=1)
    offline = [normalized(word) for word in base.transcribe(jfk, greedy).text.split()]
    live = base.live(StreamingOptions(step_s=3))
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
