"""The library's front door: a recording in, a ``Transcript`` out. Knows no HTTP and no command line.

transcriber = Transcriber.load("base")
print(transcriber.transcribe("clip.wav").text)
"""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

from asr.audio import Waveform, load_audio, load_channels
from asr.checkpoint import Checkpoint, ModelStore, read_checkpoint
from asr.checkpoint.training_record import hears_bare_windows
from asr.decoding import DecodeRequest
from asr.engine import Engine, cancelled_on_error
from asr.engine.loading import DeviceName, DtypeName, load_engine
from asr.engine_counts import EngineCounts
from asr.errors import AuricleError, InvalidOptionError
from asr.features import FRAMES_PER_SECOND, N_FRAMES, LogMel
from asr.language_vote import restrict
from asr.live import LiveTranscriber, RecentSpeech
from asr.longform import LanguageWindow, LongFormSession, Window
from asr.memo import Answer, WindowAnswers, WindowMemo
from asr.options import AudioContext, Channels, Plan, Quantization, TranscribeOptions
from asr.prompt import check_supported
from asr.recording import Recording, joined
from asr.streaming import StreamingOptions
from asr.ticket import Lane, Ticket
from asr.tokenizer import Tokenizer
from asr.transcript import LanguageDetection, Progress, Segment, Timing, Transcript
from asr.vad import SpeechDetector
from asr.voice_activity import SpeechDetection

__all__ = ["Audio", "DeviceName", "DtypeName", "Progress", "Transcriber"]

Audio = str | Path | Waveform | Sequence[Waveform]
"""A recording: a file, its mono waveform, or the waveforms of its channels."""

DEFAULT_OPTIONS = TranscribeOptions()
DEFAULT_STREAMING = StreamingOptions()
MAX_WINDOWS = 8  # decoded together; on two cores more are no faster (docs/results.md)


class Transcriber:
    """One loaded model. Threads may share it: their windows are decoded side by side."""

    def __init__(self, checkpoint: Checkpoint, engine: Engine, *, name: str) -> None:
        self.tokenizer = engine.tokenizer
        self.engine = engine
        self._speech_detector = SpeechDetector()
        self.model_name = name
        self.model_hash = checkpoint.source_sha256
        self.n_mels = checkpoint.dims.n_mels
        self.precision = engine.precision
        self._folder = checkpoint.tokenizer_path.parent

    @classmethod
    def load(
        cls,
        model: str = "base",
        *,
        device: DeviceName = "auto",
        dtype: DtypeName = "auto",
        quantization: Quantization = Quantization.AUTO,
    ) -> Self:
        """Load a model by name or path; where and how it computes is decided here, once.

        ``auto``: CUDA where there is one, else the CPU; bfloat16 on CUDA (float16 where the card lacks it); on the CPU
        int8 weights and activations where the processor has AVX-512 VNNI, unless a ``dtype`` is named, else float32.
        Raises UnknownModelError and CheckpointError, and InvalidOptionError where ``int8`` is named and cannot be had.
        """
        checkpoint = read_checkpoint(ModelStore().resolve(model))
        tokenizer = Tokenizer(checkpoint.tokenizer_path, n_vocab=checkpoint.dims.n_vocab)
        engine = load_engine(checkpoint, tokenizer, device=device, dtype=dtype, quantization=Quantization(quantization))
        return cls(checkpoint, engine, name=model)

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that the model knows."""
        return self.tokenizer.languages

    @property
    def stalled_s(self) -> float:
        """How long the engine has been at one step, in seconds; 0 between two."""
        return self.engine.stalled_s

    @property
    def counts(self) -> EngineCounts:
        """What the engine has done so far."""
        return self.engine.counts

    def transcribe(  # noqa: PLR0913 (what a caller may bring, each by its name)
        self,
        audio: Audio,
        options: TranscribeOptions = DEFAULT_OPTIONS,
        *,
        max_duration_s: float | None = None,
        ticket: Ticket | None = None,
        on_segment: Callable[[Segment], None] = lambda _: None,
        on_progress: Callable[[Progress], None] = lambda _: None,
        memo: WindowMemo | None = None,
    ) -> Transcript:
        """Transcribe a file or waveforms of any length; of several waveforms each is a channel of ``channels=split``.

        ``on_segment`` hears each segment as soon as it is final, ``on_progress`` each finished batch of windows; a
        ``ticket`` says how urgent it is, and may be cancelled from another thread. With the ``memo`` of an earlier
        transcription of the same recording, what it has decoded is not decoded again. Raises AudioError for unusable
        audio, InvalidOptionError for options that the model cannot serve, and CancelledError.
        """
        started = time.perf_counter()
        self._check(options)
        channels = _channels(audio, options, max_duration_s)
        decode_audio_s = time.perf_counter() - started
        prepared = time.perf_counter()
        recordings = self._open(channels, options, ticket, memo)
        prepare_s = time.perf_counter() - prepared
        duration = channels[0].duration
        segments: list[Segment] = []
        for segment in self._segments(recordings, lambda done: on_progress(Progress(done=done, duration=duration))):
            segments.append(replace(segment, id=len(segments)))
            on_segment(segments[-1])
        timing = Timing(
            decode_audio=decode_audio_s,
            encode=prepare_s + recordings[0].ticket.encode_s,
            decode=recordings[0].ticket.decode_s,
            total=time.perf_counter() - started,
        )
        return joined(recordings, segments, options, timing)

    def transcribe_many(
        self,
        recordings: Iterable[Audio],
        options: TranscribeOptions = DEFAULT_OPTIONS,
        *,
        max_duration_s: float | None = None,
    ) -> Iterator[Transcript | AuricleError]:
        """Transcripts in the order of the recordings, of which several share the engine at a time.

        One that cannot be transcribed gives its error in its place. Raises InvalidOptionError for options that the
        model cannot serve.
        """
        self._check(options)

        def transcribe(recording: Audio) -> Transcript | AuricleError:
            try:
                return self.transcribe(recording, options, max_duration_s=max_duration_s)
            except AuricleError as error:
                return error

        with ThreadPoolExecutor(MAX_WINDOWS, thread_name_prefix="recording") as threads:
            upcoming = iter(recordings)
            running = deque(threads.submit(transcribe, each) for each in islice(upcoming, MAX_WINDOWS))
            while running:
                yield running.popleft().result()
                running += [threads.submit(transcribe, each) for each in islice(upcoming, 1)]

    def stream(
        self,
        audio: Audio,
        options: TranscribeOptions = DEFAULT_OPTIONS,
        *,
        max_duration_s: float | None = None,
    ) -> Iterator[Segment]:
        """The segments of ``transcribe``, each as soon as it is final. Raises as ``transcribe`` does."""
        self._check(options)
        recordings = self._open(_channels(audio, options, max_duration_s), options, None)
        for id_, segment in enumerate(self._segments(recordings, lambda _: None)):
            yield replace(segment, id=id_)

    def live(self, options: StreamingOptions = DEFAULT_STREAMING) -> LiveTranscriber:
        """A stream that is transcribed as it comes. Raises InvalidOptionError for what the model cannot serve."""
        return LiveTranscriber(self.engine, options, listener=RecentSpeech(self._speech_detector))

    def detect_language(
        self,
        audio: str | Path | Waveform,
        *,
        languages: Sequence[str] = (),
        language_threshold: float = 0.0,
        context: AudioContext = AudioContext.AUTO,
        max_duration_s: float | None = None,
        ticket: Ticket | None = None,
    ) -> LanguageDetection:
        """The language of most of a recording, by a vote over windows along it.

        ``languages`` are those to choose among, all when empty; below ``language_threshold`` the answer names none; the
        ticket is as in ``transcribe``. Raises AudioError, InvalidOptionError for a language that the model does not
        know, and CancelledError.
        """
        options = TranscribeOptions(languages=tuple(languages), language_threshold=language_threshold, context=context)
        self._check(options)
        recording = self._open((_waveform(audio, max_duration_s),), options, ticket)[0]
        probabilities = self._vote(recording)
        best = max(probabilities, key=probabilities.__getitem__)
        is_sure = probabilities[best] >= language_threshold
        return LanguageDetection(language=best if is_sure else None, language_probs=probabilities)

    def detect_speech(
        self, audio: Waveform, *, threshold: float = DEFAULT_OPTIONS.vad_threshold, ticket: Ticket | None = None
    ) -> SpeechDetection:
        """Where somebody speaks, by the voice activity detection that transcription uses. Raises CancelledError."""
        activity = self._speech_detector.probabilities(audio.samples, on_block=(ticket or Ticket()).check)
        return SpeechDetection(duration=activity.duration, speech=activity.speech(threshold))

    def _check(self, options: TranscribeOptions) -> None:
        check_supported(self.tokenizer, language=options.language, task=options.task)
        for language in options.languages:
            check_supported(self.tokenizer, language=language, task=options.task)
        too_large = [token for token in options.suppress_tokens if token >= self.engine.dims.n_vocab]
        if too_large:
            message = f"suppress_tokens: got {too_large[0]}, this model has {self.engine.dims.n_vocab} tokens"
            raise InvalidOptionError(message, param="suppress_tokens")
        if options.context is AudioContext.FIT and not self._hears_bare_windows:
            message = (
                "context: got 'fit', but this model was never trained to hear windows bare; expected auto or exact"
            )
            raise InvalidOptionError(message, param="context")

    @cached_property
    def _hears_bare_windows(self) -> bool:
        return hears_bare_windows(self._folder)

    def _open(
        self,
        channels: Sequence[Waveform],
        options: TranscribeOptions,
        ticket: Ticket | None,
        memo: WindowMemo | None = None,
    ) -> list[Recording]:
        shared = ticket or Ticket(lane=Lane.of(channels[0].duration))
        model = f"{self.model_hash} {self.precision}"
        return [
            self._recording(waveform, options, shared, channel, WindowAnswers(memo, model=model, channel=channel))
            for channel, waveform in enumerate(channels)
        ]

    def _recording(
        self, waveform: Waveform, options: TranscribeOptions, ticket: Ticket, channel: int, answers: WindowAnswers
    ) -> Recording:
        # Seconds for hours of sound: whoever has left meanwhile is noticed.
        mel = LogMel(waveform.samples, n_mels=self.n_mels, device=self.engine.device, on_block=ticket.check)
        wants_activity = options.vad or options.plan is not Plan.SEQUENTIAL
        detector = self._speech_detector
        activity = detector.probabilities(waveform.samples, on_block=ticket.check) if wants_activity else None
        return Recording(
            waveform=waveform,
            mel=mel,
            session=LongFormSession(mel.n_frames, options, self.tokenizer, activity),
            options=options,
            channel=channel if options.channels is Channels.SPLIT else None,
            ticket=ticket,
            answers=answers,
        )

    def _vote(self, recording: Recording) -> dict[str, float]:
        session = recording.session
        while session.language is None:
            windows = session.next_windows(MAX_WINDOWS)
            if not windows:
                break
            to_hear = [window for window in windows if isinstance(window, LanguageWindow)]
            for answer, window in self._submit(recording, to_hear).items():
                if isinstance(window, LanguageWindow):
                    session.accept_language(window, answer.result())
        if session.language_probs or not self.tokenizer.is_multilingual:
            return session.language_probs or {"en": 1.0}
        # Nobody speaks: what the model makes of the beginning is all there is to say.
        start = recording.mel.followed_by_silence(0, min(N_FRAMES, recording.mel.n_frames))
        return restrict(self.engine.detect_language([start])[0], recording.options.languages)

    def _segments(self, recordings: Sequence[Recording], on_done: Callable[[float], None]) -> Iterator[Segment]:
        """Segments of all channels, in order of time."""
        done = [0.0] * len(recordings)

        def told(place: int, done_s: float) -> None:
            done[place] = done_s
            on_done(min(done))

        walks = [self._walk(each, partial(told, place)) for place, each in enumerate(recordings)]
        yield from heapq.merge(*walks, key=lambda segment: segment.start)

    def _walk(self, recording: Recording, on_done: Callable[[float], None]) -> Iterator[Segment]:
        """Walk a long-form session, its windows on the engine as soon as it names them."""
        session = recording.session
        waiting: dict[Future[Any], Window | LanguageWindow] = {}
        with cancelled_on_error(recording.ticket):
            while waiting := waiting | self._submit(recording, session.next_windows(MAX_WINDOWS - len(waiting))):
                for answer in wait(waiting, return_when=FIRST_COMPLETED).done:
                    window = waiting.pop(answer)
                    recording.answers.keep(window, answer.result())
                    if isinstance(window, LanguageWindow):
                        session.accept_language(window, answer.result())
                    else:
                        session.accept(window, answer.result())
                yield from self._final(recording)
                on_done(session.done_frames / FRAMES_PER_SECOND)
        yield from self._final(recording)
        on_done(recording.waveform.duration)

    def _submit(
        self, recording: Recording, windows: Sequence[Window | LanguageWindow]
    ) -> dict[Future[Any], Window | LanguageWindow]:
        known = {window: answer for window in windows if (answer := recording.answers.recall(window)) is not None}
        to_hear = [window for window in windows if isinstance(window, LanguageWindow) and window not in known]
        to_read = [window for window in windows if isinstance(window, Window) and window not in known]
        requests = [
            DecodeRequest(
                mel=recording.window(window.seek, window.n_frames, window.padded_to),
                n_frames=window.n_frames,
                prompt=window.prompt,
                options=window.options,
            )
            for window in to_read
        ]
        mels = [recording.to_name_language(window) for window in to_hear]
        answers: list[Future[Any]] = [
            *map(_answered, known.values()),
            *self.engine.submit_languages(mels, recording.ticket),
            *self.engine.submit(requests, recording.ticket),
        ]
        return dict(zip(answers, [*known, *to_hear, *to_read], strict=True))

    def _final(self, recording: Recording) -> Iterator[Segment]:
        for segment in recording.session.pop_segments():
            yield replace(segment, channel=recording.channel)


def _answered(answer: Answer) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(answer)
    return future


def _channels(audio: Audio, options: TranscribeOptions, max_duration_s: float | None) -> Sequence[Waveform]:
    is_mix = options.channels is Channels.MIX
    if isinstance(audio, str | Path):
        if is_mix:
            return [load_audio(audio, max_duration_s=max_duration_s)]
        return load_channels(audio, max_duration_s=max_duration_s)
    if isinstance(audio, Waveform):
        if is_mix:
            return [audio]
        message = "channels: got 'split' with a waveform, which is mono; give a file, or the waveforms of its channels"
        raise InvalidOptionError(message, param="channels")
    if is_mix and len(audio) != 1:
        message = f"channels: got 'mix' with {len(audio)} waveforms, expected one; 'split' takes several"
        raise InvalidOptionError(message, param="channels")
    if len({len(waveform.samples) for waveform in audio}) != 1:
        lengths = ", ".join(f"{waveform.duration:.3f} s" for waveform in audio)
        message = f"channels: got waveforms of {lengths or 'no channel'}, expected channels of one length"
        raise InvalidOptionError(message, param="channels")
    return audio


def _waveform(audio: str | Path | Waveform, max_duration_s: float | None) -> Waveform:
    return audio if isinstance(audio, Waveform) else load_audio(audio, max_duration_s=max_duration_s)
