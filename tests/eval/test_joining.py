from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import SAMPLE_RATE, load_audio
from eval.corpora import Utterance
from eval.errors import CorpusError, ResultsError
from eval.joining import (
    MAX_GAIN_DB,
    ROOM_TONE_DB,
    Noise,
    Pause,
    Speech,
    draw_order,
    joinable,
    pink_noise,
    plan_layout,
    read_lengths,
    write_joined,
)
from eval.noise.materials import Recording
from eval.noise.mixing import power


def clip_of(number: int, language: str = "en", path: Path = Path("none.wav")) -> Utterance:
    return Utterance(id=f"c{number}", path=path, text=f"words of {number}", language=language, duration=None)


@pytest.fixture
def clips(tmp_path: Path) -> list[Utterance]:
    """Three clips of square waves, the third hardly audible; what is in one does not decay at its ends."""
    made = []
    for number, amplitude in enumerate((0.5, 0.05, 0.001)):
        path = tmp_path / f"{number}.wav"
        wave = amplitude * np.sign(np.sin(np.arange(8_000 + 1_001 * number) / 5 + 0.1))
        soundfile.write(path, wave, SAMPLE_RATE, subtype="FLOAT")
        made.append(clip_of(number, path=path))
    return made


@pytest.fixture
def noise() -> Recording:
    samples = (0.1 * np.sin(np.arange(3 * SAMPLE_RATE))).astype(np.float32)
    return Recording(name="hum", samples=samples, sha256="0")


def test_parts_are_exact_to_the_sample(clips, tmp_path) -> None:
    pieces = (
        Pause(n_samples=1_001),
        Speech(clip=clips[1], n_samples=9_001),
        Pause(n_samples=777),
        Speech(clip=clips[0], n_samples=8_000),
        Pause(n_samples=100),
    )
    joined = write_joined(pieces, (), tmp_path / "joined.flac", seed=0)
    written = load_audio(tmp_path / "joined.flac").samples
    assert joined.n_samples == len(written) == 1_001 + 9_001 + 777 + 8_000 + 100
    speaks = np.abs(written) > 0.02
    for part, (first, end) in zip(joined.parts, ((1_001, 10_002), (10_779, 18_779)), strict=True):
        assert (part.start, part.end) == (first / SAMPLE_RATE, end / SAMPLE_RATE)
        assert speaks[first:end].all()
        assert not speaks[first - 5 : first].any()
        assert not speaks[end : end + 5].any()
    assert joined.text == "words of 1 words of 0"
    assert joined.language == "en"


def test_a_gain_is_gentle_and_silence_is_a_room(clips, tmp_path) -> None:
    for clip in clips:
        before = load_audio(clip.path).samples
        pieces = (Speech(clip=clip, n_samples=len(before)), Pause(n_samples=SAMPLE_RATE))
        write_joined(pieces, (), tmp_path / "one.flac", seed=0)
        after = load_audio(tmp_path / "one.flac").samples
        gain_db = 10 * np.log10(power(after[: len(before)]) / power(before))
        assert abs(gain_db) < MAX_GAIN_DB + 0.2  # 16 bits round the faint clip
        tone_db = 10 * np.log10(power(after[len(before) :]))
        assert tone_db == pytest.approx(ROOM_TONE_DB, abs=0.5)


def test_the_same_seed_makes_the_same_bytes(clips, noise, tmp_path) -> None:
    def make(name: str, seed: int) -> tuple[bytes, tuple]:
        speech = read_lengths(draw_order(clips, seed=seed, language_runs=None), 60 * SAMPLE_RATE)
        pieces = plan_layout(speech, 60 * SAMPLE_RATE, noise_lengths=[len(noise.samples)], seed=seed)
        joined = write_joined(pieces, [noise], tmp_path / name, seed=seed)
        return (tmp_path / name).read_bytes(), joined.parts

    assert make("a.flac", 1) == make("b.flac", 1)
    assert make("a.flac", 1) != make("c.flac", 2)


@given(st.lists(st.integers(2_000, 200_000), min_size=3, max_size=60), st.integers(0, 99))
def test_a_layout_keeps_order_length_and_speech_apart(lengths: list[int], seed: int) -> None:
    speech = [Speech(clip=clip_of(number), n_samples=length) for number, length in enumerate(lengths)]
    n_samples = 40 * SAMPLE_RATE
    pieces = plan_layout(speech, n_samples, noise_lengths=[100_000], seed=seed)
    said = [int(piece.clip.id[1:]) for piece in pieces if isinstance(piece, Speech)]
    assert said == sorted(said)
    assert isinstance(pieces[0], Pause)
    assert isinstance(pieces[-1], Pause)
    assert all(isinstance(a, Pause) != isinstance(b, Pause) for a, b in pairwise(pieces))
    total = 0
    for piece in pieces:
        if isinstance(piece, Speech):
            assert total + piece.n_samples <= 1.02 * n_samples
        if isinstance(piece, Pause):
            assert 0.3 * SAMPLE_RATE - 1 <= piece.n_samples <= 15 * SAMPLE_RATE
        if isinstance(piece, Noise):
            assert 5 * SAMPLE_RATE <= piece.n_samples <= 20 * SAMPLE_RATE
        total += piece.n_samples


def test_noise_comes_every_minute_or_two() -> None:
    speech = [Speech(clip=clip_of(number), n_samples=4 * SAMPLE_RATE) for number in range(1_000)]
    pieces = plan_layout(speech, 3_600 * SAMPLE_RATE, noise_lengths=[SAMPLE_RATE, 30 * SAMPLE_RATE], seed=0)
    stretches = [piece for piece in pieces if isinstance(piece, Noise)]
    assert 3_600 / 150 <= len(stretches) <= 3_600 / 50
    assert {piece.n_samples for piece in stretches if piece.index == 0} == {5 * SAMPLE_RATE}
    assert not any(isinstance(piece, Noise) for piece in plan_layout(speech, 10**6, noise_lengths=[], seed=0))


def test_each_clip_comes_once_before_any_comes_again() -> None:
    clips = [clip_of(number) for number in range(7)]
    order = [clip.id for clip in islice(draw_order(clips, seed=3, language_runs=None), 14)]
    assert sorted(order[:7]) == sorted(order[7:]) == [clip.id for clip in clips]
    assert order[:7] != order[7:]


@given(st.integers(1, 4), st.integers(0, 99))
def test_languages_change_after_a_run(n: int, seed: int) -> None:
    clips = [clip_of(number, language) for number, language in enumerate(("en", "de", "ja") * 30)]
    languages = [clip.language for clip in islice(draw_order(clips, seed=seed, language_runs=n), 60)]
    lengths, length = [], 1
    for a, b in pairwise(languages):
        if a == b:
            length += 1
        else:
            lengths.append(length)
            length = 1
    assert max(lengths) <= n
    assert set(languages) == {"en", "de", "ja"}


def test_a_recording_in_several_languages_has_none_of_its_own(clips, tmp_path) -> None:
    german = replace(clips[1], language="de")
    pieces = (Speech(clip=clips[0], n_samples=8_000), Speech(clip=german, n_samples=9_001))
    joined = write_joined(pieces, (), tmp_path / "both.flac", seed=0)
    assert joined.language is None
    assert [part.language for part in joined.parts] == ["en", "de"]
    assert joined.most_repeated == 1


def test_only_clear_speech_is_joined() -> None:
    kept = clip_of(1)
    unspaced = replace(kept, text="你好吗", language="zh")
    others = [
        replace(kept, text=None),
        replace(kept, text=""),
        replace(kept, text="seven"),
        replace(kept, single_word=True),
        replace(kept, quality="doubtful"),
    ]
    assert joinable([*others, kept, unspaced]) == (kept, unspaced)
    with pytest.raises(CorpusError, match="got 5 clips and none to join"):
        joinable(others)


def test_what_cannot_be_joined_says_why(clips, tmp_path) -> None:
    with pytest.raises(CorpusError, match="expected two languages"):
        next(draw_order(clips, seed=0, language_runs=2))
    with pytest.raises(CorpusError, match=r"none\.wav: .* leave it out with --only"):
        read_lengths(draw_order([clip_of(1)], seed=0, language_runs=None), 10)
    with pytest.raises(CorpusError, match="no clip fits"):
        plan_layout([Speech(clip=clips[0], n_samples=10**7)], 10**6, noise_lengths=[], seed=0)
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="expected to write a FLAC file there"):
        write_joined([Pause(n_samples=10)], (), tmp_path / "file" / "a.flac", seed=0)


def test_pink_noise_falls_by_3_db_an_octave() -> None:
    spectrum = np.abs(np.fft.rfft(pink_noise(1 << 18, np.random.default_rng(0)))) ** 2
    bands = [spectrum[low : 2 * low].mean() for low in (1 << 12, 1 << 13, 1 << 14, 1 << 15)]
    assert [10 * np.log10(a / b) for a, b in pairwise(bands)] == pytest.approx([3.0] * 3, abs=0.5)
