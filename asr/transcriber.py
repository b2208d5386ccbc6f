"""The library's front door: a recording in, a ``Transcript`` out. Knows no HTTP and no command line.

transcriber = Transcriber.load("base")
print(transcriber.transcribe("clip.wav").text)
"""

import heapq
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from asr.audio import Waveform, load_audio, load_channels
from asr.audio_context import short_context
from asr.checkpoint import Checkpoint, ModelStore, read_checkpoint
from asr.decoding import DecodeRequest
from asr.engine import Engine, Lane, Ticket, cancelled_on_error
from asr.engine.loading import DeviceName, DtypeName, load_engine
from asr.errors import AuricleError, InvalidOptionError
from asr.features import FRAMES_PER_SECOND, N_FRAMES, LogMel, pad_or_trim
from asr.language_vote import restrict
from asr.longform import LanguageWindow, LongFormSession, Window
from asr.options import AudioContext, Channels, Plan, Quantization, TranscribeOptions
from asr.prompt import check_supported
from asr.tokenizer import Tokenizer
from asr.transcript import LanguageDetection, Segment, Timing, Transcript
from asr.vad import SpeechDetector

__all__ = ["DeviceName", "DtypeName", "Progress", "Transcriber"]

DEFAULT_OPTIONS = TranscribeOptions()
MAX_WINDOWS = 8  # decoded together; on two cores more are no faster (docs/results.md)
MAX_INTERACTIVE_S = 60.0  # a longer recording is bulk work, which others are not to wait for
MIN_SHARED_FRAMES = 2000  # a longer window with zeros after it is heard as it is decoded, in one encoding
REMEMBERED_WINDOWS = 2 * MAX_WINDOWS  # those under way, and those listened to for their language


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a transcription is, in seconds of the recording."""

    done: float
    duration: float


@dataclass(slots=True)
class _Recording:
    """One channel under way."""

    waveform: Waveform
    mel: LogMel
    session: LongFormSession
    options: TranscribeOptions
    channel: int | None
    ticket: Ticket
    _windows: OrderedDict[tuple[int, int, int], Tensor] = field(default_factory=OrderedDict)

    def window(self, seek: int, n_frames: int, padded_to: int) -> Tensor:
        """The same tensor for every question about a window: the decoder then encodes it once.

        Padded to 3,000 frames with zeros, as the reference does; to fewer with silence, which names languages better.
        """
        key = (seek, n_frames, padded_to)
        if key not in self._windows:
            self._windows[key] = (
                self.mel.followed_by_silence(seek, n_frames, padded_to)
                if padded_to < N_FRAMES
                else pad_or_trim(self.mel.window(seek, n_frames), N_FRAMES)
            )
        self._windows.move_to_end(key)
        while len(self._windows) > REMEMBERED_WINDOWS:
            self._windows.popitem(last=False)
        return self._windows[key]

    def to_name_language(self, window: LanguageWindow) -> Tensor:
        """As decoding hears the window, in the same encoding, unless zeros would be much of it."""
        is_exact = self.options.context is AudioContext.EXACT
        padded_to = N_FRAMES if is_exact else short_context(window.n_frames)
        if padded_to == N_FRAMES and window.n_frames < MIN_SHARED_FRAMES:
            return self.mel.followed_by_silence(window.seek, window.n_frames)
        return self.window(window.seek, window.n_frames, padded_to)


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

    def transcribe(
        self,
        audio: str | Path | Waveform,
        options: TranscribeOptions = DEFAULT_OPTIONS,
        *,
        max_duration_s: float | None = None,
        on_segment: Callable[[Segment], None] = lambda _: None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> Transcript:
        """Transcribe a file or waveform of any length.

        ``on_segment`` hears each segment as soon as it is final, ``on_progress`` each finished batch of windows. Raises
        AudioError for unusable audio and InvalidOptionError for options that the model cannot serve.
        """
        started = time.perf_counter()
        self._check(options)
        channels = _channels(audio, options, max_duration_s)
        decode_audio_s = time.perf_counter() - started
        prepared = time.perf_counter()
        recordings = self._open(channels, options)
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
        return _transcript(recordings, segments, options, timing)

    def transcribe_many(
        self,
        recordings: Iterable[str | Path | Waveform],
        options: TranscribeOptions = DEFAULT_OPTIONS,
        *,
        max_duration_s: float | None = None,
    ) -> Iterator[Transcript | AuricleError]:
        """Transcripts in the order of the recordings, of which several share the engine at a time.

        One that cannot be transcribed gives its error in its place. Raises InvalidOptionError for options that the
        model cannot serve.
        """
        self._check(options)

        def transcribe(recording: str | Path | Waveform) -> Transcript | AuricleError:
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
        audio: str | Path | Waveform,
        options: TranscribeOptions = DEFAULT_OPTIONS,
        *,
        max_duration_s: float | None = None,
    ) -> Iterator[Segment]:
        """The segments of ``transcribe``, each as soon as it is final. Raises as ``transcribe`` does."""
        self._check(options)
        recordings = self._open(_channels(audio, options, max_duration_s), options)
        for id_, segment in enumerate(self._segments(recordings, lambda _: None)):
            yield replace(segment, id=id_)

    def detect_language(
        self,
        audio: str | Path | Waveform,
        *,
        languages: Sequence[str] = (),
        language_threshold: float = 0.0,
        context: AudioContext = AudioContext.AUTO,
        max_duration_s: float | None = None,
    ) -> LanguageDetection:
        """The language of most of a recording, by a vote over windows along it.

        ``languages`` are those to choose among, all when empty; below ``language_threshold`` the answer names none.
        Raises AudioError, and InvalidOptionError for a language that the model does not know.
        """
        options = TranscribeOptions(languages=tuple(languages), language_threshold=language_threshold, context=context)
        self._check(options)
        recording = self._open((_waveform(audio, max_duration_s),), options)[0]
        probabilities = self._vote(recording)
        best = max(probabilities, key=probabilities.__getitem__)
        is_sure = probabilities[best] >= language_threshold
        return LanguageDetection(language=best if is_sure else None, language_probs=probabilities)

    def _check(self, options: TranscribeOptions) -> None:
        check_supported(self.tokenizer, language=options.language, task=options.task)
        for language in options.languages:
            check_supported(self.tokenizer, language=language, task=options.task)
        too_large = [token for token in options.suppress_tokens if token >= self.engine.dims.n_vocab]
        if too_large:
            message = f"suppress_tokens: got {too_large[0]}, this model has {self.engine.dims.n_vocab} tokens"
            raise InvalidOptionError(message, param="suppress_tokens")

    def _open(self, channels: Sequence[Waveform], options: TranscribeOptions) -> list[_Recording]:
        duration_s = channels[0].duration if channels else 0.0
        ticket = Ticket(lane=Lane.INTERACTIVE if duration_s <= MAX_INTERACTIVE_S else Lane.BULK)
        return [self._recording(waveform, options, channel, ticket) for channel, waveform in enumerate(channels)]

    def _recording(self, waveform: Waveform, options: TranscribeOptions, channel: int, ticket: Ticket) -> _Recording:
        mel = LogMel(waveform.samples, n_mels=self.n_mels, device=self.engine.device)
        wants_activity = options.vad or options.plan is not Plan.SEQUENTIAL
        activity = self._speech_detector.probabilities(waveform.samples) if wants_activity else None
        return _Recording(
            waveform=waveform,
            mel=mel,
            session=LongFormSession(mel.n_frames, options, self.tokenizer, activity),
            options=options,
            channel=channel if options.channels is Channels.SPLIT else None,
            ticket=ticket,
        )

    def _vote(self, recording: _Recording) -> dict[str, float]:
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

    def _segments(self, recordings: Sequence[_Recording], on_done: Callable[[float], None]) -> Iterator[Segment]:
        """Segments of all channels, in order of time."""
        done = [0.0] * len(recordings)

        def told(place: int, done_s: float) -> None:
            done[place] = done_s
            on_done(min(done))

        walks = [self._walk(each, partial(told, place)) for place, each in enumerate(recordings)]
        yield from heapq.merge(*walks, key=lambda segment: segment.start)

    def _walk(self, recording: _Recording, on_done: Callable[[float], None]) -> Iterator[Segment]:
        """Walk a long-form session, its windows on the engine as soon as it names them."""
        session = recording.session
        waiting: dict[Future[Any], Window | LanguageWindow] = {}
        with cancelled_on_error(recording.ticket):
            while waiting := waiting | self._submit(recording, session.next_windows(MAX_WINDOWS - len(waiting))):
                for answer in wait(waiting, return_when=FIRST_COMPLETED).done:
                    window = waiting.pop(answer)
                    if isinstance(window, LanguageWindow):
                        session.accept_language(window, answer.result())
                    else:
                        session.accept(window, answer.result())
                yield from self._final(recording)
                on_done(session.done_frames / FRAMES_PER_SECOND)
        yield from self._final(recording)
        on_done(recording.waveform.duration)

    def _submit(
        self, recording: _Recording, windows: Sequence[Window | LanguageWindow]
    ) -> dict[Future[Any], Window | LanguageWindow]:
        to_hear = [window for window in windows if isinstance(window, LanguageWindow)]
        to_read = [window for window in windows if isinstance(window, Window)]
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
            *self.engine.submit_languages(mels, recording.ticket),
            *self.engine.submit(requests, recording.ticket),
        ]
        return dict(zip(answers, [*to_hear, *to_read], strict=True))

    def _final(self, recording: _Recording) -> Iterator[Segment]:
        for segment in recording.session.pop_segments():
            yield replace(segment, channel=recording.channel)


def _transcript(
    recordings: Sequence[_Recording], segments: Sequence[Segment], options: TranscribeOptions, timing: Timing
) -> Transcript:
    # Of several channels, the one in which most is said names the language of all.
    n_said = [sum(segment.channel == recording.channel for segment in segments) for recording in recordings]
    main = recordings[n_said.index(max(n_said))].session
    warnings = [*recordings[0].waveform.warnings, *main.warnings]
    language_probs = main.language_probs
    if language_probs and max(language_probs.values()) < options.language_threshold:
        best = f"{main.language} {language_probs[main.language or 'en']:.2f}"
        warnings.append(f"the language is uncertain ({best}); name it with the option language")
    suppressed = [
        replace(each, channel=recording.channel) for recording in recordings for each in recording.session.suppressed
    ]
    spans = [
        replace(span, channel=recording.channel) for recording in recordings for span in recording.session.languages
    ]
    return Transcript(
        task=options.task,
        language=main.language or options.language or "en",
        language_probs=language_probs,
        duration=recordings[0].waveform.duration,
        segments=tuple(segments),
        suppressed=tuple(sorted(suppressed, key=lambda each: each.start)),
        languages=tuple(sorted(spans, key=lambda span: span.start)),
        warnings=tuple(warnings),
        timing=timing,
    )


def _channels(
    audio: str | Path | Waveform, options: TranscribeOptions, max_duration_s: float | None
) -> Sequence[Waveform]:
    if options.channels is Channels.MIX:
        return [_waveform(audio, max_duration_s)]
    if isinstance(audio, Waveform):
        message = "channels: got 'split' with a waveform, which is mono; give a file"
        raise InvalidOptionError(message, param="channels")
    return load_channels(audio, max_duration_s=max_duration_s)


def _waveform(audio: str | Path | Waveform, max_duration_s: float | None) -> Waveform:
    return audio if isinstance(audio, Waveform) else load_audio(audio, max_duration_s=max_duration_s)
