"""Every container in, one waveform out; and every file that should be refused, refused with its own error."""

import io
import random
import re
import struct
import subprocess
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import SAMPLE_RATE, Waveform, load_audio, load_channels, map_stored, store_audio
from asr.errors import (
    AudioError,
    AudioTooLongError,
    AudioTooShortError,
    CorruptAudioError,
    EmptyAudioError,
    InvalidOptionError,
    UnsupportedMediaError,
)
from asr.media import MediaReader

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
PCM = ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_mulaw", "pcm_alaw"]
LOSSLESS = [("wav", codec) for codec in PCM] + [("flac", "flac"), ("aiff", "pcm_s16be"), ("caf", "pcm_s16le")]
LOSSY = [
    ("opus", "libopus"),
    ("mp3", "libmp3lame"),
    ("ipod", "aac"),
    ("mp4", "aac"),
    ("webm", "libopus"),
    ("adts", "aac"),
]
ANY_RATE = (8000, 11025, 22050, 44100, 48000, 96000)
RATES = {"libopus": (8000, 48000), "libmp3lame": ANY_RATE[:-1], "libopencore_amrnb": (8000,)}


def sine(rate: int, duration: float, n_channels: int, frequency: float = 440.0) -> np.ndarray:
    """Half full scale, (n_channels, n_samples) float32."""
    time = np.arange(int(rate * duration)) / rate
    return np.repeat((0.5 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)[None], n_channels, axis=0)


@cache
def encode(container: str, codec: str, rate: int = 16000, n_channels: int = 1, duration: float = 2.0) -> bytes:
    """A sine, encoded by PyAV's own encoders."""
    buffer = io.BytesIO()
    layout = LAYOUTS[n_channels]
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        packed = sine(rate, duration, n_channels).T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        context = stream.codec_context
        cut = av.AudioResampler(context.format, layout, rate, context.frame_size or 1024)
        for piece in cut.resample(frame) + cut.resample(None):
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def wav(
    data: bytes, *, rate: int = 16000, n_channels: int = 1, bits: int = 16, claimed_bytes: int | None = None
) -> bytes:
    """A WAV header, as wrong as a test needs it, before data; 32 and 64 bits are floats."""
    n_bytes = len(data) if claimed_bytes is None else claimed_bytes
    kind = 1 if bits == 16 else 3
    block = n_channels * bits // 8
    fields = (b"fmt ", 16, kind, n_channels, rate, rate * block % 2**32, block, bits, b"data", n_bytes)
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", min(n_bytes + 36, 2**32 - 1), b"WAVE", *fields) + data


def load(data: bytes, max_duration_s: float | None = None) -> Waveform:
    return load_audio(io.BytesIO(data), max_duration_s=max_duration_s)


def check_sine(waveform: Waveform, *, padding_s: float, n_channels: int) -> None:
    assert waveform.samples.dtype == np.float32
    assert waveform.samples.ndim == 1
    assert waveform.warnings == ()
    assert 2.0 * 0.98 <= waveform.duration <= 2.0 * 1.02 + padding_s
    inner = waveform.samples[4000:-4000]
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner))))
    assert spectrum.argmax() * SAMPLE_RATE / len(inner) == pytest.approx(440, abs=2)
    low = 0.4 if n_channels >= 6 else 0.47  # lossy codecs take 440 Hz out of the low-frequency channel of 5.1 and 7.1
    assert low <= np.sqrt(2 * np.mean(inner**2)) <= 0.53


@pytest.mark.parametrize("n_channels", [1, 2, 6])
@pytest.mark.parametrize(("container", "codec"), LOSSLESS)
def test_reads_lossless_files(container: str, codec: str, n_channels: int):
    for rate in ANY_RATE:
        waveform = load(encode(container, codec, rate, n_channels))
        check_sine(waveform, padding_s=0, n_channels=1)
        assert len(waveform.samples) == pytest.approx(2 * SAMPLE_RATE, abs=2)


@pytest.mark.parametrize("n_channels", [1, 2, 6])
@pytest.mark.parametrize(("container", "codec"), LOSSY)
def test_reads_lossy_files(container: str, codec: str, n_channels: int):
    if codec == "libmp3lame" and n_channels == 6:
        pytest.skip("MP3 has two channels")
    for rate in RATES.get(codec, ANY_RATE):
        # ADTS cannot say how much padding the encoder put before and after: up to three frames of 1024 samples.
        padding_s = 3 * 1024 / rate if container == "adts" else max(0.06, 1024 / rate)
        check_sine(load(encode(container, codec, rate, n_channels)), padding_s=padding_s, n_channels=n_channels)


def test_reads_ogg_vorbis():
    buffer = io.BytesIO()
    soundfile.write(buffer, sine(44100, 2, 2).T, 44100, format="OGG", subtype="VORBIS")
    check_sine(load(buffer.getvalue()), padding_s=0.06, n_channels=2)


def test_reads_amr():
    waveform = load(encode("amr", "libopencore_amrnb", 8000))
    assert waveform.duration == pytest.approx(2, abs=0.06)
    assert np.abs(waveform.samples).max() > 0.3


def test_reads_eight_channels_packed_and_planar():
    check_sine(load(encode("matroska", "pcm_s16le", 48000, 8)), padding_s=0, n_channels=1)
    check_sine(load(encode("ogg", "libopus", 48000, 8)), padding_s=0.06, n_channels=8)


def test_16_bit_at_16_khz_is_exact(tmp_path: Path):
    pcm = np.random.default_rng(0).integers(-32768, 32768, 50_001, dtype=np.int16)
    for name in ("a.flac", "a.wav"):
        path = tmp_path / name
        soundfile.write(path, pcm, SAMPLE_RATE, subtype="PCM_16")
        expected, _ = soundfile.read(path, dtype="float32")
        np.testing.assert_array_equal(load_audio(path).samples, expected)


def test_channels_are_averaged():
    pcm = np.array([[1000, 3000], [-2000, 0]] * 4000, dtype="<i2")
    np.testing.assert_array_equal(
        load(wav(pcm.tobytes(), n_channels=2)).samples, np.array([2000, -1000] * 4000, np.float32) / 32768
    )


@pytest.mark.parametrize("rate", [16000, 8000, 44100])
def test_channels_apart(rate: int):
    left, right = sine(rate, 2, 1, 440)[0], sine(rate, 2, 1, 660)[0]
    pcm = (np.stack([left, right], axis=1) * 32767).astype("<i2")
    channels = load_channels(io.BytesIO(wav(pcm.tobytes(), rate=rate, n_channels=2)))
    assert len(channels) == 2
    for channel, alone in zip(channels, pcm.T, strict=True):
        expected = load(wav(np.ascontiguousarray(alone).tobytes(), rate=rate)).samples
        np.testing.assert_allclose(channel.samples, expected, atol=1e-6)


@pytest.mark.parametrize(("container", "codec"), [("flac", "flac"), ("opus", "libopus"), ("wav", "pcm_mulaw")])
def test_channels_apart_of_every_kind_of_file(container: str, codec: str):
    rate = 48000 if codec == "libopus" else 8000
    for n_channels in (1, 2, 6):
        channels = load_channels(io.BytesIO(encode(container, codec, rate, n_channels)))
        assert len(channels) == n_channels
        assert len({len(channel.samples) for channel in channels}) == 1
        check_sine(channels[0], padding_s=0.06, n_channels=n_channels)


def test_of_a_mono_file_the_channel_is_the_mix(tmp_path: Path):
    data = encode("mp3", "libmp3lame", 44100)
    (channel,) = load_channels(io.BytesIO(data))
    np.testing.assert_array_equal(channel.samples, load(data).samples)


def test_channels_are_validated_and_warned_of_as_the_mix_is():
    flac = encode("flac", "flac", 16000, 2, duration=10.0)
    channels = load_channels(io.BytesIO(flac[: len(flac) // 2]))
    assert [channel.warnings for channel in channels] == [load(flac[: len(flac) // 2]).warnings] * 2
    with pytest.raises(AudioTooLongError):
        load_channels(io.BytesIO(flac), max_duration_s=1.0)
    samples = np.zeros((32000, 2), "<f8")
    samples[24000, 1] = np.nan
    with pytest.raises(CorruptAudioError, match=r"1\.500 s"):
        load_channels(io.BytesIO(wav(samples.tobytes(), bits=64, n_channels=2)))


def test_channels_that_come_and_go_cannot_be_kept_apart():
    joined = encode("adts", "aac", 44100, 1) + encode("adts", "aac", 44100, 2)
    assert load(joined).duration == pytest.approx(4, abs=0.3)
    with pytest.raises(CorruptAudioError, match=r"got 2 channels at .* read the mean"):
        load_channels(io.BytesIO(joined))


def test_a_misleading_name_changes_nothing(tmp_path: Path):
    path = tmp_path / "really.mp3"
    path.write_bytes(encode("flac", "flac"))
    assert load_audio(path).duration == load_audio(str(path)).duration == 2.0


def test_id3_before_flac():
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)
    assert load(tag + encode("flac", "flac")).duration == 2.0
    assert load(tag + encode("mp3", "libmp3lame")).duration == pytest.approx(2, abs=0.06)


PLAYLISTS = {
    "ffconcat": "ffconcat version 1.0\nfile good.wav\n",
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ngood.wav\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    "mpd": "<?xml version='1.0'?><MPD><Period><BaseURL>good.wav</BaseURL></Period></MPD>",
    "txt": "hello there\n" * 100,
    "srt": "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_text_and_playlists_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    (tmp_path / "good.wav").write_bytes(encode("wav", "pcm_s16le"))
    path = tmp_path / f"upload.{name}"
    path.write_text(PLAYLISTS[name])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsupportedMediaError):
        load_audio(path)


@pytest.mark.parametrize(
    "head",
    [b"\x89PNG\r\n\x1a\n", b"%PDF-1.7\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"PK\x03\x04", b"\xff\xfeh\x00e\x00", b"0"],
)
def test_other_files_are_refused(head: bytes):
    with pytest.raises(UnsupportedMediaError, match="expected wav, flac"):
        load(head + bytes(1000))


def test_a_file_without_audio_is_refused():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        output.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        output.mux(stream.encode(None))
    with pytest.raises(UnsupportedMediaError, match="without an audio stream"):
        load(buffer.getvalue())


def test_no_bytes_no_file_and_a_directory(tmp_path: Path):
    with pytest.raises(EmptyAudioError, match="0 bytes"):
        load(b"")
    with pytest.raises(FileNotFoundError):
        load_audio(tmp_path / "missing.wav")
    with pytest.raises(UnsupportedMediaError, match="directory"):
        load_audio(tmp_path)


@pytest.mark.parametrize(
    "head", [b"RIFF\0\0\0\0WAVE", b"\0\0\0\x18ftypisom" + bytes(12), b"OggS", b"ID3\4\0\0\x7f\x7f\x7f\x7f"]
)
def test_a_bare_header_is_corrupt(head: bytes):
    with pytest.raises(CorruptAudioError):
        load(head)


def test_errors_do_not_name_the_file(tmp_path: Path):
    path = tmp_path / "secret-name.wav"
    path.write_bytes(b"RIFF\0\0\0\0WAVE")
    with pytest.raises(CorruptAudioError) as caught:
        load_audio(path)
    assert "secret" not in str(caught.value)


def test_impossible_headers_are_corrupt():
    pcm = bytes(64_000)
    for rate, n_channels in [(1, 1), (999, 1), (10_000_000, 1), (16000, 192), (16000, 0), (0, 1)]:
        with pytest.raises(CorruptAudioError):
            load(wav(pcm, rate=rate, n_channels=n_channels))


@pytest.mark.parametrize("claimed", [2_000_000, 0x7FFFFFF0, 0xFFFFFFFF])
def test_a_header_chunk_beyond_the_file_is_not_allocated(claimed: int):
    data = bytearray(wav(bytes(64_000)))
    data[16:20] = struct.pack("<I", claimed)
    with pytest.raises(CorruptAudioError, match=f"a chunk of {claimed} bytes at byte 12"):
        load(bytes(data))


def test_a_million_chunks_are_not_walked():
    with pytest.raises(CorruptAudioError, match="more than 1000 chunks"):
        load(b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 1_000_000)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_samples_that_are_no_numbers_are_corrupt(value: float):
    samples = np.zeros(32000)
    samples[24000] = value
    with pytest.raises(CorruptAudioError, match=r"1\.500 s"):
        load(wav(samples.tobytes(), bits=64))


def test_too_short_and_too_long():
    with pytest.raises(AudioTooShortError, match=r"got 0\.050 s .* at least 0\.1 s"):
        load(wav(bytes(1600)))
    with pytest.raises(AudioTooShortError):
        load(wav(b""))
    flac = encode("flac", "flac", duration=5.0)
    assert load(flac, max_duration_s=5.0).duration == 5.0
    with pytest.raises(AudioTooLongError, match=r"more than 1 s .* at most 1 s"):
        load(flac, max_duration_s=1.0)


def test_too_long_stops_early():
    class Counting(io.BytesIO):
        n_read = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.n_read += len(data)
            return data

    source = Counting(wav(bytes(32_000 * 600)))
    with pytest.raises(AudioTooLongError):
        load_audio(source, max_duration_s=2.0)
    assert source.n_read < 1_000_000


@pytest.mark.parametrize("claimed_bytes", [2**32 - 1, 2**31 - 1, 0x7FFFF000, 2**32 - 16])
def test_a_wav_written_to_a_pipe(claimed_bytes: int):
    waveform = load(wav(bytes(64_000), claimed_bytes=claimed_bytes))
    assert waveform.duration == 2.0
    assert waveform.warnings == ()


@pytest.mark.parametrize(
    ("container", "codec"), [("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("webm", "libopus"), ("flac", "flac")]
)
def test_a_truncated_file_is_reported(container: str, codec: str):
    data = encode(container, codec, duration=10.0)
    waveform = load(data[: len(data) // 2])
    assert 4 < waveform.duration < 6
    assert "of the 10.0 s its header claims" in waveform.warnings[-1]


def test_a_truncated_m4a_is_corrupt():
    data = encode("ipod", "aac", duration=10.0)
    with pytest.raises(CorruptAudioError):
        load(data[: len(data) // 2])


def test_damaged_packets_are_reported():
    data = bytearray(encode("adts", "aac", 44100, duration=10.0))
    with av.open(io.BytesIO(bytes(data))) as container:
        starts = [packet.pos for packet in container.demux() if packet.size]
    for packet in (216, 300, 350):
        data[starts[packet] + 7 : starts[packet] + 40] = b"\xff" * 33  # behind the 7 bytes of the frame's header
    waveform = load(bytes(data))
    assert waveform.duration > 9.5
    assert re.fullmatch(r"\d of 43\d packets could not be decoded, the first near [45]\.\d s", waveform.warnings[0])


def test_frames_that_a_parser_skips_are_reported():
    data = bytearray(encode("flac", "flac", duration=10.0))
    data[len(data) // 2 : len(data) // 2 + 20] = bytes(20)
    waveform = load(bytes(data))
    assert waveform.duration < 10
    assert "audio is missing" in waveform.warnings[0] or "could not be decoded" in waveform.warnings[0]


def test_mostly_noise_is_corrupt():
    data = bytearray(encode("adts", "aac", 44100, duration=10.0))
    start = len(data) // 10
    data[start:] = random.Random(0).randbytes(len(data) - start)  # noqa: S311
    with pytest.raises(CorruptAudioError, match="could not be decoded"):
        load(bytes(data))


def test_several_audio_streams_are_reported():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        streams = [output.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in range(2)]
        for stream in streams:
            frame = av.AudioFrame.from_ndarray(np.full((1, 16000), 1000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    waveform = load(buffer.getvalue())
    assert waveform.duration == 1.0
    assert waveform.warnings == ("the file holds 2 audio streams; only number 1 was used",)


def test_a_rate_change_in_mid_stream():
    joined = load(encode("adts", "aac", 44100) + encode("adts", "aac", 22050))
    assert joined.duration == pytest.approx(4, abs=0.3)


def test_the_callers_stream_stays_open_and_is_read_from_its_beginning():
    source = io.BytesIO(encode("wav", "pcm_s16le"))
    source.seek(100)
    assert load_audio(source).duration == 2.0
    assert not source.closed


def test_ffmpeg_says_nothing_on_stderr():
    code = "import io, sys; from asr.audio import load_audio; load_audio(io.BytesIO(sys.stdin.buffer.read()))"
    data = encode("mp3", "libmp3lame", 44100, duration=3.0)
    damaged = data[:9000] + b"\x55" * 50 + data[9050:]
    done = subprocess.run([sys.executable, "-c", code], input=damaged, capture_output=True, check=True)
    assert done.stderr == b""


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from([("wav", "pcm_s16le"), ("flac", "flac"), ("opus", "libopus"), *LOSSY]),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=30),
    kept=st.floats(0.01, 1),
    in_header=st.booleans(),
)
def test_any_damage_ends_in_a_waveform_or_an_audio_error(kind, edits, kept: float, in_header: bool):
    data = bytearray(encode(*kind, rate=48000 if kind[1] == "libopus" else 16000))
    reach = min(len(data), 400) if in_header else len(data)
    for where, value in edits:
        data[int(where * reach)] = value
    try:
        waveform = load(bytes(data[: max(1, int(kept * len(data)))]), max_duration_s=60)
    except AudioError:
        return
    assert np.isfinite(waveform.samples).all()


@settings(max_examples=50, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"fLaC", b"OggS", b"\x1a\x45\xdf\xa3", b"\xff\xfb", b"\xff\xf1", b"#!AMR\n"]),
)
def test_random_bytes_end_in_an_audio_error(data: bytes, head: bytes):
    with pytest.raises(AudioError):
        load(head + data)


def test_from_samples():
    stereo = sine(44100, 2, 2).T
    check_sine(Waveform.from_samples(stereo, 44100), padding_s=0, n_channels=1)
    pcm = np.arange(-8000, 8000, dtype=np.int16)
    np.testing.assert_array_equal(Waveform.from_samples(pcm, SAMPLE_RATE).samples, pcm.astype(np.float32) / 32768)


def test_channels_from_samples():
    pcm = np.random.default_rng(0).integers(-32768, 32768, (8000, 2), dtype=np.int16)
    channels = Waveform.channels_from_samples(pcm, SAMPLE_RATE)
    np.testing.assert_array_equal(np.stack([channel.samples for channel in channels], axis=1), pcm / np.float32(32768))


@pytest.mark.parametrize(
    ("samples", "rate", "param"),
    [
        (np.zeros((2, 3, 4)), 16000, "samples"),
        (np.zeros((2, 16000)), 16000, "samples"),
        (np.zeros(16000, np.uint8), 16000, "samples"),
        (np.zeros(16000), 0, "sampling_rate"),
    ],
)
def test_from_samples_refuses(samples: np.ndarray, rate: int, param: str):
    with pytest.raises(InvalidOptionError) as caught:
        Waveform.from_samples(samples, rate)
    assert caught.value.param == param
    with pytest.raises(AudioTooShortError):
        Waveform.from_samples(np.zeros(10), 16000)


@pytest.mark.parametrize("mode", ["mean", "each"])
@pytest.mark.parametrize("rate", [SAMPLE_RATE, 44100])
def test_a_stored_recording_is_the_loaded_one(tmp_path, mode, rate):
    flac = encode("flac", "flac", rate, 2)
    cut = flac[: len(flac) * 3 // 4]  # truncated, for the warning
    expected = load_channels(io.BytesIO(cut)) if mode == "each" else (load_audio(io.BytesIO(cut)),)
    with (tmp_path / "samples").open("wb") as file:
        stored = store_audio(io.BytesIO(cut), file, mode)
    assert (stored.n_channels, stored.n_samples) == (len(expected), len(expected[0].samples))
    assert stored.warnings == expected[0].warnings != ()
    assert (tmp_path / "samples").stat().st_size == 4 * stored.n_channels * stored.n_samples
    found = map_stored(tmp_path / "samples", n_channels=stored.n_channels, warnings=stored.warnings)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.samples, theirs.samples)
        assert not ours.samples.flags.writeable


def test_storing_raises_as_loading_does(tmp_path):
    with (tmp_path / "samples").open("wb") as file, pytest.raises(AudioTooLongError):
        store_audio(io.BytesIO(encode("flac", "flac")), file, "mean", max_duration_s=1.0)


def test_a_seek_before_the_beginning_is_for_ffmpeg_to_report(tmp_path):
    (tmp_path / "file").write_bytes(b"RIFF")
    with (tmp_path / "file").open("rb") as file:
        reader = MediaReader(file)
        assert reader.seek(-1) == -1
        assert reader.seek(2) == reader.tell() == 2
        assert reader.seek(-1, io.SEEK_END) == 3
