from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asr.audio import SAMPLE_RATE
from eval.errors import CorpusError, EvaluationError
from eval.noise.materials import VOICES, Voices, read_recordings


def frequencies(samples: np.ndarray) -> set[int]:
    """Of the tones in a sum of clips: multiples of 100 Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    return {round(frequency / 100) * 100 for frequency in hertz[spectrum > 0.3 * spectrum.max()]}


def test_babble_never_has_the_clips_own_speaker(corpus) -> None:
    voices = Voices.of(corpus.utterances)
    for number, clip in enumerate(corpus.utterances[:18]):
        for seed in range(3):
            others = voices.others(clip, 4_000, np.random.default_rng(seed))
            heard = [frequencies(samples) for samples in others]
            assert all(len(tones) == 1 for tones in heard), "a voice is one person"
            distinct = set.union(*heard)
            assert len(distinct) == len(others) == VOICES
            assert 200 + 100 * (number // 2) not in distinct


def test_a_voice_speaks_on_with_another_clip(corpus) -> None:
    voices = Voices.of(corpus.utterances)
    long = voices.others(corpus.utterances[0], 2 * SAMPLE_RATE, np.random.default_rng(0))
    assert all(len(samples) > 0.6 * SAMPLE_RATE for samples in long), "both clips of the speaker, not one looped"


def test_draws_depend_on_the_generator_alone(corpus) -> None:
    voices, backwards = Voices.of(corpus.utterances), Voices.of(reversed(corpus.utterances))
    assert voices.sha256 == backwards.sha256
    clip = corpus.utterances[5]
    first, again, other = (
        np.concatenate(voices.others(clip, 4_000, np.random.default_rng(seed)))
        for voices, seed in ((voices, 1), (backwards, 1), (voices, 2))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:4_000], other[:4_000])


def test_the_digest_is_of_ids_voices_and_audio(corpus, wav, make_tone) -> None:
    before = Voices.of(corpus.utterances).sha256
    assert Voices.of(corpus.utterances).sha256 == before
    renamed = (replace(corpus.utterances[0], speaker="s99"), *corpus.utterances[1:])
    assert Voices.of(renamed).sha256 != before
    wav(corpus.utterances[3].path, make_tone(1_000))
    assert Voices.of(corpus.utterances).sha256 != before


def test_too_few_speakers_are_refused(corpus) -> None:
    with pytest.raises(CorpusError, match=r"got clips of 6 speakers, expected 7 or more"):
        Voices.of(corpus.utterances[:12])
    assert len(Voices.of(corpus.utterances[:14]).clips) == 7


def test_without_speakers_each_clip_is_a_voice(corpus) -> None:
    anonymous = [replace(clip, speaker=None) for clip in corpus.utterances]
    voices = Voices.of(anonymous)
    assert len(voices.clips) == 18
    assert len(voices.others(anonymous[0], 4_000, np.random.default_rng(0))) == VOICES
    some = [*corpus.utterances[:14], *anonymous[14:]]
    assert len(Voices.of(some).clips) == 7, "with enough speakers named, the others are left out"


def test_clips_that_cannot_be_read_are_passed_over(corpus) -> None:
    seven = corpus.utterances[:16]
    seven[2].path.write_bytes(b"not audio")
    seven[3].path.unlink()
    voices = Voices.of(seven)
    for seed in range(5):
        others = voices.others(seven[0], 4_000, np.random.default_rng(seed))
        assert 300 not in set.union(*(frequencies(samples) for samples in others))
    seven[4].path.unlink()
    seven[5].path.unlink()
    with pytest.raises(CorpusError, match="got 5 voices that can be decoded, expected 6"):
        voices.others(seven[0], 4_000, np.random.default_rng(0))


def test_recordings_are_a_file_or_a_folder(tmp_path: Path, wav, make_tone) -> None:
    wav(tmp_path / "pub" / "b.wav", make_tone(100))
    wav(tmp_path / "pub" / "a.wav", make_tone(200))
    (tmp_path / "pub" / "README").write_text("where it was recorded")
    (tmp_path / "pub" / "more").mkdir()
    assert [recording.name for recording in read_recordings(tmp_path / "pub", option="--noise-dir")] == ["a", "b"]
    (alone,) = read_recordings(tmp_path / "pub" / "a.wav", option="--noise-dir")
    assert np.allclose(alone.samples, make_tone(200), atol=1e-4)
    assert len(alone.sha256) == 64


def test_recordings_that_are_no_use_are_named(tmp_path: Path, wav) -> None:
    wav(tmp_path / "silent" / "nothing.wav", np.zeros(8_000))
    (tmp_path / "empty").mkdir()
    for path, message in (("silent", r"nothing\.wav: got digital silence"), ("empty", "no audio"), ("none", "No such")):
        with pytest.raises(EvaluationError, match=f"--noise-dir.*{message}"):
            read_recordings(tmp_path / path, option="--noise-dir")
