"""Bytes of any common audio or video file → float32 waveform at 16 kHz, mixed or by channel. Knows no model, no torch.

The bytes come from people we do not know. What they are is decided by their first bytes, never by a name; FFmpeg is
told the one demuxer that fits, reads through a Python file object, and can open nothing else, whatever a playlist or
reference inside the file says. Headers are claims: nothing is allocated by them, and what cannot be decoded is either
an error or a warning on the waveform.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Self

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from asr.assembling import MIN_DURATION_S, SAMPLE_RATE, Assembler, ChannelMode
from asr.errors import CorruptAudioError, InvalidOptionError, UnsupportedMediaError
from asr.media import READABLE, MediaReader, sniff, walk_chunks, wav_duration

__all__ = [
    "MIN_DURATION_S",
    "SAMPLE_RATE",
    "StoredAudio",
    "Waveform",
    "load_audio",
    "load_channels",
    "map_stored",
    "store_audio",
]

MIN_INPUT_RATE, MAX_INPUT_RATE = 1_000, 768_000  # Hz
MAX_CHANNELS = 64
MAX_PLANAR_CHANNELS = 8  # beyond AVFrame.data[8], PyAV walks a pointer array that has no end mark
MAX_FAILED_SHARE = 0.1  # of the packets; with more, the rest is not a transcript of the recording
TRUNCATED_SHARE = 0.9  # of the claimed duration; less is reported
GAP_S = 0.05  # between a frame's end and the next one's time; less is rounding in the container

_DEMUXERS = ("aac", "aiff", "amr", "asf", "caf", "flac", "matroska", "mov", "mp3", "ogg", "wav")
_UNTIMED = {"aac", "aiff", "amr", "caf", "mp3", "wav"}  # FFmpeg works their times out from bytes and bit rates

# Decoders of codecs that speech is really kept in. Video and picture decoders are never opened, not even to probe.
_CODECS = {
    "aac", "aac_latm", "ac3", "eac3", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "alac", "amrnb", "amrwb", "flac",
    "g722", "g723_1", "g726", "g729", "gsm", "gsm_ms", "mp2", "mp2float", "mp3", "mp3float", "opus", "libopus",
    "libopencore_amrnb", "libopencore_amrwb", "speex", "truespeech", "vorbis", "wavpack", "wmalossless", "wmapro",
    "wmav1", "wmav2", "wmavoice", "pcm_alaw", "pcm_mulaw", "pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le",
    "pcm_s8", "pcm_u8", "pcm_s16be", "pcm_s16le", "pcm_s24be", "pcm_s24le", "pcm_s32be", "pcm_s32le",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """Mono audio at SAMPLE_RATE: a whole recording, or one channel of it."""

    samples: NDArray[np.float32]
    """Shape (n_samples,); full scale is -1 to 1, but a loud recording may go beyond. Of a long file a read-only memory
    map: slices read what they need."""
    warnings: tuple[str, ...] = ()
    """What was wrong with the file but did not prevent decoding it."""

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE

    @classmethod
    def from_samples(cls, samples: NDArray[Any], sampling_rate: int) -> Self:
        """Bring samples of shape (n_samples,) or (n_samples, n_channels) to mono, float32, SAMPLE_RATE.

        Floats are taken as they are, int16 and int32 scaled to -1 … 1. Raises InvalidOptionError for another shape,
        type or rate, CorruptAudioError for NaN or Inf, AudioTooShortError below MIN_DURATION_S.
        """
        return cls(_assemble(samples, sampling_rate, "mean")[0])

    @classmethod
    def channels_from_samples(cls, samples: NDArray[Any], sampling_rate: int) -> tuple[Self, ...]:
        """``from_samples`` of each channel, in order. Raises as it does."""
        return tuple(cls(channel) for channel in _assemble(samples, sampling_rate, "each"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAudio:
    """What ``store_audio`` has written: float32 at SAMPLE_RATE, (n_samples, n_channels) row by row."""

    n_channels: int
    n_samples: int
    warnings: tuple[str, ...] = ()


def load_audio(source: str | Path | BinaryIO, *, max_duration_s: float | None = None) -> Waveform:
    """Decode a file, or a seekable binary stream from its beginning, to mono (mean of the channels) at SAMPLE_RATE.

    Reads wav, flac, ogg, opus, mp3, m4a, mp4, webm, aac, amr, aiff, caf and wma at 1 to 768 kHz; 16-bit audio that is
    at 16 kHz already comes out exactly as ``sample / 32768``. Of a video or of several audio streams, FFmpeg's choice
    of best audio stream is used. The caller's stream stays open.

    Raises EmptyAudioError (no bytes), UnsupportedMediaError (not audio), CorruptAudioError (cannot be decoded, or holds
    NaN), AudioTooShortError (below MIN_DURATION_S), AudioTooLongError (as soon as max_duration_s, in seconds, is
    exceeded), and what the operating system raises for a file that cannot be opened.
    """
    return _load(source, "mean", max_duration_s)[0]


def load_channels(source: str | Path | BinaryIO, *, max_duration_s: float | None = None) -> tuple[Waveform, ...]:
    """Decode as ``load_audio`` does, each channel apart: two of a telephone call, one of a mono file.

    All have one length and the file's warnings. Raises as ``load_audio`` does, and CorruptAudioError for a file whose
    number of channels changes.
    """
    return _load(source, "each", max_duration_s)


def store_audio(
    source: BinaryIO, file: BinaryIO, mode: ChannelMode, *, max_duration_s: float | None = None
) -> StoredAudio:
    """Decode as ``load_audio`` (mode ``mean``) or ``load_channels`` (``each``) do, into a file opened for writing.

    Memory does not grow with the recording, whatever its length. Raises as they do, and what the operating system
    raises where the file cannot be written.
    """
    with closing(Assembler(mode, max_duration_s=max_duration_s, file=file)) as assembler:
        warnings = _read(MediaReader(source), assembler)
        return StoredAudio(n_channels=assembler.n_channels, n_samples=assembler.end(), warnings=tuple(warnings))


def map_stored(path: str | Path, *, n_channels: int, warnings: tuple[str, ...] = ()) -> tuple[Waveform, ...]:
    """The channels that ``store_audio`` has written to this file, as read-only memory maps, which outlive its name."""
    samples = np.memmap(path, np.float32, "r").reshape(-1, n_channels)
    return tuple(Waveform(channel, warnings) for channel in samples.T)


def _assemble(samples: NDArray[Any], sampling_rate: int, mode: ChannelMode) -> tuple[NDArray[np.float32], ...]:
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= MAX_CHANNELS):
        expected = f"(n_samples,) or (n_samples, n_channels) with at most {MAX_CHANNELS} channels"
        raise InvalidOptionError(f"samples: got shape {samples.shape}, expected {expected}", param="samples")
    if samples.dtype not in (np.int16, np.int32, np.float16, np.float32, np.float64):
        expected = "floats, int16 or int32"
        raise InvalidOptionError(f"samples: got type {samples.dtype}, expected {expected}", param="samples")
    if not MIN_INPUT_RATE <= sampling_rate <= MAX_INPUT_RATE:
        expected = f"{MIN_INPUT_RATE} to {MAX_INPUT_RATE} Hz"
        raise InvalidOptionError(f"sampling_rate: got {sampling_rate}, expected {expected}", param="sampling_rate")
    with closing(Assembler(mode)) as assembler:
        assembler.add(samples.reshape(len(samples), -1).T, sampling_rate)
        return assembler.finish()


def _load(source: str | Path | BinaryIO, mode: ChannelMode, max_duration_s: float | None) -> tuple[Waveform, ...]:
    with closing(Assembler(mode, max_duration_s=max_duration_s)) as assembler:
        if isinstance(source, str | Path):
            path = Path(source)
            if path.is_dir():
                raise UnsupportedMediaError(f"got a directory, expected an audio file: {READABLE}")
            with path.open("rb") as file:
                warnings = _read(MediaReader(file), assembler)
        else:
            warnings = _read(MediaReader(source), assembler)
        return tuple(Waveform(samples, tuple(warnings)) for samples in assembler.finish())


def _read(reader: MediaReader, assembler: Assembler) -> list[str]:
    """Everything that can be decoded into the assembler; returns warnings."""
    demuxer, has_frame_count = sniff(reader)
    chunks = []
    if demuxer in ("wav", "aiff"):
        chunks = list(walk_chunks(reader, "big" if reader.peek(0, 4) in (b"FORM", b"RIFX") else "little"))
    warnings: list[str] = []
    with _open(reader, demuxer) as container:
        stream = _audio_stream(container, warnings)
        tally = _decode(container, stream, assembler)
        # Without a frame count, FFmpeg guesses these durations from the first packets' bit rate.
        guessed = demuxer in ("aac", "amr") or (demuxer == "mp3" and not has_frame_count)
        claimed_s = None if guessed else _claimed_duration(container, stream)
    if demuxer == "wav":
        claimed_s = wav_duration(reader, chunks)  # FFmpeg's is cut to what the file has
    tally.check(assembler.duration, claimed_s)
    duration = assembler.end() / SAMPLE_RATE
    warnings += tally.warnings()
    if claimed_s is not None and duration < TRUNCATED_SHARE * claimed_s:
        warnings.append(f"the file is truncated: it holds {duration:.1f} s of the {claimed_s:.1f} s its header claims")
    return warnings


@contextmanager
def _open(reader: MediaReader, demuxer: str) -> Iterator[InputContainer]:
    """The container; FFmpeg's own errors, which may quote the file, become ours."""
    options = {
        "format_whitelist": ",".join(_DEMUXERS),
        "protocol_whitelist": "none",  # the name of no protocol: bytes come through the reader only
        "codec_whitelist": ",".join(sorted(_CODECS)),
    }
    try:
        container = av.open(
            reader, "r", demuxer, container_options=options, metadata_errors="replace", io_open=_refuse_to_open
        )
    except MemoryError:  # also FFmpeg's: the limit's fault, not the file's
        raise
    except av.FFmpegError as error:
        raise CorruptAudioError(f"the {demuxer} header cannot be read: {error.strerror}") from None
    with container:
        yield container


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> NoReturn:  # noqa: ARG001  (PyAV's signature)
    raise UnsupportedMediaError("the file refers to another file or address, expected one that holds its audio itself")


def _audio_stream(container: InputContainer, warnings: list[str]) -> av.AudioStream:
    streams = container.streams.audio
    if not streams:
        raise UnsupportedMediaError("got a file without an audio stream, expected at least one")
    best = container.streams.best("audio")
    stream = best if isinstance(best, av.AudioStream) else streams[0]
    codec = stream.codec_context
    if codec is None or codec.name not in _CODECS:
        raise UnsupportedMediaError(f"got audio coded as {codec.name if codec else 'unknown'}, which is not read")
    if len(streams) > 1:
        used = streams.index(stream) + 1
        warnings.append(f"the file holds {len(streams)} audio streams; only number {used} was used")
    _check_shape(codec.sample_rate, codec.channels, MAX_CHANNELS, 0.0)
    codec.thread_count = 1  # audio decoders have one thread's worth of work
    if codec.name == "flac":
        codec.options = {"err_detect": "crccheck+explode"}  # else damaged frames come out as noise, silently
    return stream


def _check_shape(rate: int, n_channels: int, max_channels: int, where_s: float) -> None:
    if not MIN_INPUT_RATE <= rate <= MAX_INPUT_RATE:
        expected = f"{MIN_INPUT_RATE} to {MAX_INPUT_RATE} Hz"
        raise CorruptAudioError(f"got a sampling rate of {rate} Hz at {where_s:.1f} s, expected {expected}")
    if not 1 <= n_channels <= max_channels:
        raise CorruptAudioError(f"got {n_channels} channels at {where_s:.1f} s, expected 1 to {max_channels}")


@dataclass(slots=True)
class _Tally:
    """What became of the packets."""

    n_packets: int = 0
    n_failed: int = 0
    first_failed_s: float = 0.0
    stopped_s: float | None = None
    """Where the container could not be read on, if it could not."""
    missing_s: float = 0.0
    first_missing_s: float = 0.0
    _next_s: float | None = None

    def fail(self, where_s: float) -> None:
        """Count a packet that could not be decoded."""
        if not self.n_failed:
            self.first_failed_s = where_s
        self.n_failed += 1
        self._next_s = None  # the gap that follows is this packet

    def follow(self, frame: av.AudioFrame) -> None:
        """Compare a frame's time with the end of the one before: parsers skip damaged data without a word."""
        start_s = self._next_s if frame.time is None else frame.time
        if start_s is None:
            return
        if self._next_s is not None and start_s > self._next_s + GAP_S:
            self.first_missing_s = self.first_missing_s if self.missing_s else self._next_s
            self.missing_s += start_s - self._next_s
        self._next_s = start_s + frame.samples / max(frame.sample_rate, 1)

    def check(self, decoded_s: float, claimed_s: float | None) -> None:
        """Raise CorruptAudioError when nothing, or too little, could be decoded."""
        if decoded_s == 0 and (self.n_packets or self.stopped_s is not None or claimed_s):
            raise CorruptAudioError(f"got {self.n_packets} packets and no decodable audio, expected some")
        if self.n_failed > MAX_FAILED_SHARE * self.n_packets:
            raise CorruptAudioError(f"{self._failures()}; expected at most {MAX_FAILED_SHARE:.0%} of them to fail")

    def warnings(self) -> list[str]:
        """What the user should know of an otherwise good file."""
        found = [self._failures()] if self.n_failed else []
        if self.missing_s:
            found.append(f"{self.missing_s:.1f} s of audio is missing, the first near {self.first_missing_s:.1f} s")
        if self.stopped_s is not None:
            found.append(f"the file is damaged near {self.stopped_s:.1f} s; what follows could not be read")
        return found

    def _failures(self) -> str:
        failed = f"{self.n_failed} of {self.n_packets} packets"
        return f"{failed} could not be decoded, the first near {self.first_failed_s:.1f} s"


def _decode(container: InputContainer, stream: av.AudioStream, assembler: Assembler) -> _Tally:
    tally = _Tally()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except MemoryError:
            raise
        except av.FFmpegError:
            tally.stopped_s = assembler.duration
            packet = None
        if packet is None:
            return tally
        tally.n_packets += packet.size > 0  # the last packet is empty and flushes the decoder
        try:
            frames = stream.decode(packet)
        except MemoryError:
            raise
        except av.FFmpegError:
            tally.fail(assembler.duration)
            continue
        for frame in frames:
            if container.format.name not in _UNTIMED:
                tally.follow(frame)
            assembler.add(_channels_of(frame, assembler.duration), frame.sample_rate)


def _channels_of(frame: av.AudioFrame, where_s: float) -> NDArray[Any]:
    """A copy of the frame's samples in their own type, shape (n_channels, n_samples)."""
    n_channels = frame.layout.nb_channels
    max_channels = MAX_PLANAR_CHANNELS if frame.format.is_planar else MAX_CHANNELS
    _check_shape(frame.sample_rate, n_channels, max_channels, where_s)
    if not frame.format.is_planar:
        return frame.to_ndarray().reshape(-1, n_channels).T
    dtype = {"u8p": np.uint8, "s16p": np.int16, "s32p": np.int32, "fltp": np.float32, "dblp": np.float64}
    # Not to_ndarray: with eight channels it takes the word behind AVFrame.data for a ninth plane.
    planes = frame.planes[:n_channels]
    return np.stack([np.frombuffer(memoryview(plane), dtype[frame.format.name], frame.samples) for plane in planes])


def _claimed_duration(container: InputContainer, stream: av.AudioStream) -> float | None:
    """Seconds of this stream by the header; None when it does not say. Of several, the container's is the longest's."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    only = len(container.streams) == 1
    return container.duration / av.time_base if only and container.duration is not None else None
