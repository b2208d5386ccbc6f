from pathlib import Path

import numpy as np
import soundfile

from asr.audio import SAMPLE_RATE
from data_pipeline.audio import AudioLimits, AudioReader, samples_sha256
from data_pipeline.types import AudioPlace, Blob, Drop

LIMITS = AudioLimits(max_duration_s=60.0)


def read(path: Path, **place: float) -> np.ndarray | Drop:
    return AudioReader(LIMITS).read(AudioPlace(blob=Blob(path=path), **place))


def tone(path: Path, seconds: float) -> Path:
    samples = (3000 * np.sin(np.arange(round(seconds * SAMPLE_RATE)) / 5)).astype(np.int16)
    soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
    return path


def test_a_stretch_is_cut_out(tmp_path: Path):
    path = tone(tmp_path / "a.wav", 3.0)
    whole, part = read(path), read(path, start=1.0, duration=0.5)
    assert isinstance(whole, np.ndarray)
    assert np.array_equal(part, whole[16_000:24_000])


def test_a_member_of_a_tar_is_read_in_place(tmp_path: Path):
    data = tone(tmp_path / "a.wav", 1.0).read_bytes()
    (tmp_path / "x.tar").write_bytes(b"before" + data + b"after")
    place = AudioPlace(blob=Blob(path=tmp_path / "x.tar", offset=6, size=len(data)))
    assert np.array_equal(AudioReader(LIMITS).read(place), read(tmp_path / "a.wav"))


def test_another_container_is_the_same_recording(tmp_path: Path):
    first, second = read(tone(tmp_path / "a.wav", 1.0)), read(tone(tmp_path / "a.flac", 1.0))
    assert samples_sha256(first) == samples_sha256(second)
    assert samples_sha256(first) != samples_sha256(read(tone(tmp_path / "b.wav", 1.1)))


def test_what_cannot_be_used_has_a_reason(tmp_path: Path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "playlist.wav").write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    cut = tone(tmp_path / "cut.wav", 4.0).read_bytes()
    (tmp_path / "cut.wav").write_bytes(cut[: len(cut) // 2])
    tone(tmp_path / "short.wav", 0.01)
    tone(tmp_path / "long.wav", 61.0)
    tone(tmp_path / "good.wav", 1.0)
    found = {
        name: outcome.reason if isinstance(outcome := read(tmp_path / f"{name}.wav"), Drop) else None
        for name in ("empty", "text", "playlist", "cut", "short", "long", "absent", "good")
    }
    assert found == {
        "empty": "empty_file",
        "text": "unsupported_media",
        "playlist": "unsupported_media",
        "cut": "damaged_audio",
        "short": "audio_too_short",
        "long": "audio_too_long",
        "absent": "unreadable_audio",
        "good": None,
    }
    beyond = read(tmp_path / "good.wav", start=0.5, duration=1.0)
    assert beyond == Drop(reason="outside_the_recording", value=1.5, limit=1.0)


def test_29_hours_of_silence_are_not_decoded_to_their_end(tmp_path: Path):
    path = tmp_path / "silence.flac"
    with soundfile.SoundFile(path, "w", 1000, 1, subtype="PCM_16") as file:
        block = np.zeros(1000 * 600, np.int16)
        for _ in range(29 * 6):
            file.write(block)
    assert path.stat().st_size < 1 << 20
    outcome = read(path)
    assert isinstance(outcome, Drop)
    assert (outcome.reason, outcome.limit) == ("audio_too_long", 60.0)
