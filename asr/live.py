"""A stream transcribed on one machine, as it comes. In: samples at 16 kHz. Out: streaming events.

The synchronous driver of a ``StreamingSession``: keeps the audio that windows still need, and decodes them. Knows no
network and no clock: who feeds it decides how fast time goes.

live = LiveTranscriber(transcriber.engine, StreamingOptions(), listener=RecentSpeech(SpeechDetector()))
for chunk in chunks:
    for event in live.feed(chunk):
        ...
for event in live.finish():
    ...
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.audio_context import short_context
from asr.decoding import BeamSearch, DecodeRequest, DecodingOptions, DecodingResult
from asr.engine import Engine
from asr.errors import InvalidOptionError
from asr.features import HOP_LENGTH, N_FRAMES, SAMPLE_RATE, LogMel
from asr.options import TranscribeOptions
from asr.prompt import check_supported
from asr.quality import failures
from asr.streaming import Hypothesis, StreamingEvent, StreamingOptions, StreamingSession, StreamingWindow
from asr.streaming.turns import FRAME_SAMPLES
from asr.tasks import Task
from asr.ticket import Ticket
from asr.transcript import Segment, Word
from asr.vad import SpeechDetector
from asr.walk import DOUBTFUL_LOGPROB
from asr.words import words_of_segments

__all__ = ["LiveTranscriber", "RecentSpeech", "SpeechListener"]

N_RECENT_FRAMES = 128  # 4 s: what a detector has to hear before it answers as if it had heard all
DEFAULT_DECODING = DecodingOptions()  # greedy
OFFLINE = TranscribeOptions()  # its guards, and its search for what is final
FINAL_STRATEGY = BeamSearch(beam_size=OFFLINE.beam_size)


class SpeechListener(Protocol):
    """Tells speech from everything else, as it comes."""

    def hear(self, samples: NDArray[np.float32]) -> Sequence[float]:
        """The next samples; returns the probability of speech of each frame (512 samples) that they complete."""


class RecentSpeech:
    """A detector of whole recordings that listens to the last seconds of one stream."""

    def __init__(self, detector: SpeechDetector) -> None:
        self._detector = detector
        self._recent = np.zeros(0, np.float32)
        self._n_heard = 0  # frames of the recent samples whose probability was told

    def hear(self, samples: NDArray[np.float32]) -> Sequence[float]:
        """See SpeechListener."""
        self._recent = np.concatenate([self._recent, samples])
        n_frames = len(self._recent) // FRAME_SAMPLES
        if n_frames == self._n_heard:
            return []
        activity = self._detector.probabilities(self._recent[: n_frames * FRAME_SAMPLES])
        new: list[float] = activity.probabilities[self._n_heard :].tolist()
        n_dropped = max(n_frames - N_RECENT_FRAMES, 0)
        self._recent = self._recent[n_dropped * FRAME_SAMPLES :]
        self._n_heard = n_frames - n_dropped
        return new


class LiveTranscriber:
    """One stream on one engine. Not thread-safe, save ``cancel``.

    Whoever waits for nobody calls ``feed``, then ``finish``. Where decoding may fall behind the sound, ``push`` all
    there is, then ``decode``: windows are then skipped, sound is not.
    Raises UnsupportedLanguageError and InvalidOptionError for what the model cannot serve, and InvalidOptionError for
    voice activity without a listener.
    """

    def __init__(
        self,
        engine: Engine,
        options: StreamingOptions,
        *,
        listener: SpeechListener | None = None,
        decoding: DecodingOptions = DEFAULT_DECODING,
    ) -> None:
        check_supported(engine.tokenizer, language=options.language, task=options.task)
        if options.vad and listener is None:
            raise InvalidOptionError("vad: got no listener to tell speech, expected one, or vad=False", param="vad")
        self.session = StreamingSession(options, engine.tokenizer)
        self.n_decoded = 0
        """Windows so far."""
        self._engine = engine
        self._ticket = Ticket()
        self._listener = listener if options.vad else None
        self._decoding = replace(decoding, token_times=True)
        self._samples = np.zeros(0, np.float32)
        self._first = 0  # position of the first of them in the stream

    @property
    def language(self) -> str | None:
        """Named or detected; None while nobody has spoken."""
        return self.session.language

    @property
    def duration(self) -> float:
        """Seconds so far."""
        return self.session.received / SAMPLE_RATE

    @property
    def encode_s(self) -> float:
        """Spent in the encoder."""
        return self._ticket.encode_s

    @property
    def decode_s(self) -> float:
        """Spent in the decoder."""
        return self._ticket.decode_s

    def feed(self, samples: NDArray[np.float32]) -> list[StreamingEvent]:
        """The next samples, any number of them: (n_samples,) mono at 16 kHz; decodes what is due."""
        return self.push(samples) + self._decode_due()

    def finish(self) -> list[StreamingEvent]:
        """The stream has ended: decode what is left."""
        return self.end() + self._decode_due()

    def push(self, samples: NDArray[np.float32]) -> list[StreamingEvent]:
        """As ``feed``, but decodes nothing."""
        speech = self._listener.hear(samples) if self._listener is not None else ()
        self._samples = np.concatenate([self._samples, samples])
        return self.session.push(len(samples), speech)

    def end(self) -> list[StreamingEvent]:
        """As ``finish``, but decodes nothing."""
        return self.session.finish()

    def decode(self) -> list[StreamingEvent] | None:
        """Decode the window that is due; None: none is. Raises CancelledError."""
        window = self.session.next_window()
        events = None if window is None else self.session.accept(window, self._hear(window))
        n_dropped = self.session.drop_before - self._first
        self._samples = self._samples[n_dropped:]
        self._first += n_dropped
        return events

    def cancel(self) -> None:
        """Nobody waits any more; a window under way, in another thread, ends in CancelledError."""
        self._ticket.cancelled = True

    def _decode_due(self) -> list[StreamingEvent]:
        events: list[StreamingEvent] = []
        while (decoded := self.decode()) is not None:
            events += decoded
        return events

    def _hear(self, window: StreamingWindow) -> Hypothesis:
        result = self._decode(window)
        self.n_decoded += 1
        return Hypothesis(
            words=tuple(_words(result, window, self._engine)),
            language=result.language,
            language_probs=result.language_probs,
            avg_logprob=result.avg_logprob,
            no_speech_prob=result.no_speech_prob,
            compression_ratio=result.compression_ratio,
        )

    def _decode(self, window: StreamingWindow) -> DecodingResult:
        """With little silence after it; what ends an utterance with care, and where it is doubtful in full too."""
        samples = self._samples[window.start - self._first : window.end - self._first]
        n_frames = -(-len(samples) // HOP_LENGTH)
        padded_to = short_context(n_frames)
        mel = LogMel(samples, n_mels=self._engine.dims.n_mels, device=self._engine.device, block_frames=padded_to)
        options = replace(self._decoding, strategy=FINAL_STRATEGY) if window.ends_utterance else self._decoding

        def hear(n_heard: int) -> DecodingResult:
            request = DecodeRequest(
                mel=mel.window(0, n_heard), n_frames=n_frames, prompt=window.prompt, options=options
            )
            return self._engine.submit([request], self._ticket)[0].result()

        result = hear(padded_to)
        if not window.ends_utterance or padded_to == N_FRAMES or not _is_doubtful(result, window):
            return result
        return max(result, hear(N_FRAMES), key=lambda each: (not _failures(each, window), each.avg_logprob))


def _is_doubtful(result: DecodingResult, window: StreamingWindow) -> bool:
    return result.avg_logprob < DOUBTFUL_LOGPROB or bool(_failures(result, window))


def _failures(result: DecodingResult, window: StreamingWindow) -> tuple[str, ...]:
    return failures(result, OFFLINE, (window.end - window.start) / SAMPLE_RATE)


def _words(result: DecodingResult, window: StreamingWindow, engine: Engine) -> Iterator[Word]:
    """All words of a window, whatever segments the model sees in it, inside the window."""
    text = engine.tokenizer.decode(result.tokens)
    if not text.strip():
        return
    start, end = window.offset, window.end / SAMPLE_RATE
    segment = Segment(
        id=0,
        seek=0,
        start=start,
        end=end,
        text=text,
        tokens=result.tokens,
        temperature=result.temperature,
        avg_logprob=result.avg_logprob,
        compression_ratio=result.compression_ratio,
        no_speech_prob=result.no_speech_prob,
    )
    language = "en" if window.prompt.task is Task.TRANSLATE else result.language
    [words] = words_of_segments([segment], result, engine.tokenizer, language=language, offset=start, end=end)
    for word in words:
        first = max(word.start, start)  # word times are rounded
        yield replace(word, start=first, end=min(max(word.end, first), end))
