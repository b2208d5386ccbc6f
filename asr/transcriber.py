"""The library's front door: a recording in, a ``Transcript`` out. Knows no HTTP and no command line.

transcriber = Transcriber.load("base")
print(transcriber.transcribe(Path("clip.wav")).text)
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor

from asr.audio import Waveform, load_audio
from asr.checkpoint import Checkpoint, ModelStore, load_model, read_checkpoint
from asr.decoding import Decoder, DecodeRequest
from asr.features import FRAMES_PER_SECOND, N_FRAMES, N_SAMPLES, log_mel_spectrogram
from asr.longform import LongFormSession
from asr.options import TranscribeOptions
from asr.prompt import check_supported
from asr.tokenizer import Tokenizer
from asr.transcript import LanguageDetection, Segment, Timing, Transcript

__all__ = ["DeviceName", "DtypeName", "Progress", "Transcriber"]

DeviceName = Literal["auto", "cpu", "cuda"]
DtypeName = Literal["auto", "float32", "float16", "bfloat16"]

DEFAULT_OPTIONS = TranscribeOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a transcription is, in seconds of the recording."""

    done: float
    duration: float


class Transcriber:
    """One loaded model. Not thread-safe: its timings and its encoded windows belong to one caller at a time."""

    def __init__(self, checkpoint: Checkpoint, *, name: str, device: torch.device, dtype: torch.dtype) -> None:
        self.tokenizer = Tokenizer(checkpoint.tokenizer_path, n_vocab=checkpoint.dims.n_vocab)
        model = load_model(checkpoint, device=device, dtype=dtype)
        self.decoder = Decoder(model, self.tokenizer, checkpoint.alignment_heads)
        self.model_name = name
        self.model_hash = checkpoint.source_sha256
        self.n_mels = checkpoint.dims.n_mels

    @classmethod
    def load(cls, model: str = "base", *, device: DeviceName = "auto", dtype: DtypeName = "auto") -> Self:
        """Load a model by name or path; device and dtype are decided here, once.

        ``auto``: CUDA where there is one, else the CPU; bfloat16 on CUDA (float16 where the card lacks it), float32 on
        the CPU. Raises UnknownModelError and CheckpointError.
        """
        store = ModelStore()
        checkpoint = read_checkpoint(store.resolve(model))
        target = torch.device(
            "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
        )
        return cls(checkpoint, name=model, device=target, dtype=_dtype(dtype, target))

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that the model knows."""
        return self.tokenizer.languages

    def transcribe(
        self,
        audio: Path | Waveform,
        options: TranscribeOptions = DEFAULT_OPTIONS,
        *,
        max_duration_s: float | None = None,
        on_segment: Callable[[Segment], None] = lambda _: None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> Transcript:
        """Transcribe a file or waveform of any length.

        ``on_segment`` hears each segment as soon as it is final, ``on_progress`` each finished window. Raises
        AudioError for unusable audio and InvalidOptionError for options that the model cannot serve.
        """
        started = time.perf_counter()
        check_supported(self.tokenizer, language=options.language, task=options.task)
        waveform = _waveform(audio, max_duration_s)
        decode_audio_s = time.perf_counter() - started
        encode_before, decode_before = self.decoder.encode_s, self.decoder.decode_s
        mel_started = time.perf_counter()
        mel, session = self._open_session(waveform, options)
        mel_s = time.perf_counter() - mel_started
        segments: list[Segment] = []
        for segment in self._walk(
            session, mel, lambda done: on_progress(Progress(done=done, duration=waveform.duration))
        ):
            segments.append(segment)
            on_segment(segment)
        timing = Timing(
            decode_audio=decode_audio_s,
            encode=mel_s + self.decoder.encode_s - encode_before,
            decode=self.decoder.decode_s - decode_before,
            total=time.perf_counter() - started,
        )
        return Transcript(
            task=options.task,
            language=session.language or "en",
            language_probs=session.language_probs,
            duration=waveform.duration,
            segments=tuple(segments),
            warnings=waveform.warnings,
            timing=timing,
        )

    def stream(
        self,
        audio: Path | Waveform,
        options: TranscribeOptions = DEFAULT_OPTIONS,
        *,
        max_duration_s: float | None = None,
    ) -> Iterator[Segment]:
        """The segments of ``transcribe``, each as soon as it is final. Raises as ``transcribe`` does."""
        check_supported(self.tokenizer, language=options.language, task=options.task)
        mel, session = self._open_session(_waveform(audio, max_duration_s), options)
        yield from self._walk(session, mel, lambda _: None)

    def detect_language(self, audio: Path | Waveform, *, max_duration_s: float | None = None) -> LanguageDetection:
        """The language of the first 30 s. Raises AudioError."""
        waveform = _waveform(audio, max_duration_s)
        first_window = replace(waveform, samples=waveform.samples[:N_SAMPLES])
        mel = self._log_mel(first_window, padding_samples=N_SAMPLES - len(first_window.samples))
        probabilities = self.decoder.detect_language([mel])[0]
        return LanguageDetection(
            language=max(probabilities, key=probabilities.__getitem__), language_probs=probabilities
        )

    def _open_session(self, waveform: Waveform, options: TranscribeOptions) -> tuple[Tensor, LongFormSession]:
        # 30 s of silence after the end, as the reference adds it: the last frames then see silence, not a reflection.
        mel = self._log_mel(waveform, padding_samples=N_SAMPLES)
        return mel, LongFormSession(mel.shape[-1] - N_FRAMES, options, self.tokenizer)

    def _log_mel(self, waveform: Waveform, *, padding_samples: int) -> Tensor:
        samples = torch.from_numpy(waveform.samples).to(self.decoder.model.device)
        return log_mel_spectrogram(samples, n_mels=self.n_mels, padding_samples=padding_samples)

    def _walk(self, session: LongFormSession, mel: Tensor, on_done: Callable[[float], None]) -> Iterator[Segment]:
        """The synchronous driver of a long-form session; ``mel``: (n_mels, n_frames)."""
        seek, window_mel = -1, mel
        while (window := session.next_window()) is not None:
            if window.seek != seek:
                # The same tensor for every attempt at a window: the decoder then encodes it once.
                seek, window_mel = window.seek, mel[:, window.seek : window.seek + window.n_frames]
            request = DecodeRequest(mel=window_mel, prompt=window.prompt, options=window.options)
            yield from session.accept(window, self.decoder.decode([request])[0])
            on_done(min(session.seek, mel.shape[-1] - N_FRAMES) / FRAMES_PER_SECOND)


def _waveform(audio: Path | Waveform, max_duration_s: float | None) -> Waveform:
    return audio if isinstance(audio, Waveform) else load_audio(audio, max_duration_s=max_duration_s)


def _dtype(name: DtypeName, device: torch.device) -> torch.dtype:
    if name == "auto":
        if device.type == "cpu":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[name]
