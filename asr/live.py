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
import torch
from numpy.typing import NDArray

from asr.decoding import DecodeRequest, DecodingOptions, DecodingResult
from asr.engine import Engine
from asr.errors import InvalidOptionError
from asr.features import HOP_LENGTH, N_FFT, N_FRAMES, SAMPLE_RATE, log_mel_spectrogram, pad_or_trim
from asr.prompt import check_supported
from asr.streaming import Hypothesis, StreamingEvent, StreamingOptions, StreamingSession, StreamingWindow
from asr.streaming.turns import FRAME_SAMPLES
from asr.tasks import Task
from asr.transcript import Segment, Word
from asr.vad import SpeechDetector
from asr.words import words_of_segments

__all__ = ["LiveTranscriber", "RecentSpeech", "SpeechListener"]

N_RECENT_FRAMES = 128  # 4 s: what a detector has to hear before it answers as if it had heard all
DEFAULT_DECODING = DecodingOptions()  # greedy


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
    """One stream on one engine. Not thread-safe.

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
        self._listener = listener if options.vad else None
        self._decoding = replace(decoding, token_times=True)
        self._samples = np.zeros(0, np.float32)
        self._first = 0  # position of the first of them in the stream

    def feed(self, samples: NDArray[np.float32]) -> list[StreamingEvent]:
        """The next samples, any number of them: (n_samples,) mono at 16 kHz."""
        speech = self._listener.hear(samples) if self._listener is not None else ()
        self._samples = np.concatenate([self._samples, samples])
        return self.session.push(len(samples), speech) + self._decode_due()

    def finish(self) -> list[StreamingEvent]:
        """The stream has ended: decode what is left."""
        return self.session.finish() + self._decode_due()

    def _decode_due(self) -> list[StreamingEvent]:
        events: list[StreamingEvent] = []
        while (window := self.session.next_window()) is not None:
            events += self.session.accept(window, self._hear(window))
        n_dropped = self.session.drop_before - self._first
        self._samples = self._samples[n_dropped:]
        self._first += n_dropped
        return events

    def _hear(self, window: StreamingWindow) -> Hypothesis:
        samples = self._samples[window.start - self._first : window.end - self._first]
        result = self._decode(samples, window)
        self.n_decoded += 1
        return Hypothesis(
            words=tuple(_words(result, window, self._engine)),
            language=result.language,
            language_probs=result.language_probs,
            avg_logprob=result.avg_logprob,
            no_speech_prob=result.no_speech_prob,
            compression_ratio=result.compression_ratio,
        )

    def _decode(self, samples: NDArray[np.float32], window: StreamingWindow) -> DecodingResult:
        # Silence after the end, so that the last frames do not see a reflection.
        mel = log_mel_spectrogram(
            torch.from_numpy(samples).to(self._engine.device), n_mels=self._engine.dims.n_mels, padding_samples=N_FFT
        )
        heard = mel[:, : -(-len(samples) // HOP_LENGTH)]
        request = DecodeRequest(
            mel=pad_or_trim(heard, N_FRAMES),
            n_frames=heard.shape[-1],
            prompt=window.prompt,
            options=self._decoding,
        )
        return self._engine.decode([request])[0]


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
