from pathlib import Path

import numpy as np
import pytest

from asr.audio import load_audio
from asr.options import TranscribeOptions
from eval.errors import ClipError
from eval.noise.conditions import Babble, Clean, Condition, Recorded, Reverberant, White
from eval.noise.materials import Materials, Voices, read_recordings
from eval.noise.mixing import power
from eval.noise.target import DistortedTarget
from eval.targets import Reply

OPTIONS = TranscribeOptions(language="en")
CONDITIONS = (
    Clean(),
    White(snr_db=5.0),
    Babble(snr_db=0.0),
    Recorded(family="pub", snr_db=-5.0),
    Reverberant(room="hall"),
)


@pytest.fixture
def materials(corpus, tmp_path: Path, wav) -> Materials:
    rng = np.random.default_rng(0)
    wav(tmp_path / "pub" / "one.wav", rng.uniform(-0.2, 0.2, 3_000))
    wav(tmp_path / "pub" / "two.wav", rng.uniform(-0.2, 0.2, 30_000))
    wav(tmp_path / "rooms" / "hall.wav", np.r_[0.9, 0.3 * rng.uniform(-1, 1, 4_000) * np.exp(-np.arange(4_000) / 900)])
    return Materials(
        recorded={"pub": read_recordings(tmp_path / "pub", option="--noise-dir")},
        rooms={"hall": read_recordings(tmp_path / "rooms", option="--reverb-dir")[0]},
        voices=Voices.of(corpus.utterances),
    )


@pytest.fixture
def listening(fake_target):
    """Keeps the samples of every file that it is given."""

    class Listening(fake_target):
        def __init__(self) -> None:
            super().__init__()
            self.heard: dict[str, np.ndarray] = {}
            self.paths: list[Path] = []

        def transcribe(self, path: Path, options: TranscribeOptions) -> Reply:
            self.heard[path.stem] = load_audio(path).samples.copy()
            self.paths.append(path)
            return super().transcribe(path, options)

    return Listening


def hear(listening, condition: Condition, materials: Materials, clips, *, seed: int = 0) -> dict[str, np.ndarray]:
    inner = listening()
    target = DistortedTarget(inner, condition, materials, clips, seed=seed)
    for clip in clips:
        assert target.transcribe(clip.path, OPTIONS).text == clip.path.stem
    assert not any(path.exists() for path in inner.paths), "nothing is left behind"
    return inner.heard


@pytest.mark.parametrize("condition", [c for c in CONDITIONS if c.snr_db is not None], ids=lambda c: c.name)
def test_the_target_hears_speech_with_that_much_noise(condition, materials, corpus, listening) -> None:
    clips = corpus.utterances[:4]
    for clip_id, mix in hear(listening, condition, materials, clips).items():
        speech = load_audio(corpus.utterances[0].path.with_stem(clip_id)).samples.astype(np.float64)
        assert len(mix) == len(speech)
        level = np.dot(mix, speech) / np.dot(speech, speech)  # the noise is nearly uncorrelated with the tone
        noise = mix - level * speech
        snr_db = 10 * np.log10(level**2 * power(speech) / power(noise))
        assert snr_db == pytest.approx(condition.snr_db, abs=0.7)


def test_a_clean_clip_arrives_as_it_is(materials, corpus, listening) -> None:
    clip = corpus.utterances[0]
    assert np.array_equal(hear(listening, Clean(), materials, [clip])["clip-0"], load_audio(clip.path).samples)


def test_a_room_is_heard(materials, corpus, listening) -> None:
    clip = corpus.utterances[0]
    wet, dry = hear(listening, Reverberant(room="hall"), materials, [clip])["clip-0"], load_audio(clip.path).samples
    assert power(wet) == pytest.approx(power(dry), rel=1e-5)
    assert not np.allclose(wet, dry, atol=0.01)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: c.name)
def test_noise_depends_on_seed_and_clip_alone(condition, materials, corpus, listening) -> None:
    clips = corpus.utterances[:6]
    forwards = hear(listening, condition, materials, clips)
    backwards = hear(listening, condition, materials, clips[:2:-1])
    for clip_id, samples in backwards.items():
        assert np.array_equal(samples, forwards[clip_id])
    if condition.snr_db is not None:
        reseeded = hear(listening, condition, materials, clips[:1], seed=1)
        assert not np.array_equal(reseeded["clip-0"], forwards["clip-0"])


def test_along_a_curve_the_noise_is_the_same(materials, corpus, listening) -> None:
    clip = corpus.utterances[0]
    speech = load_audio(clip.path).samples
    louder, softer = (
        hear(listening, White(snr_db=snr_db), materials, [clip])["clip-0"] - speech for snr_db in (20.0, 40.0)
    )
    assert np.allclose(louder, 10 * softer, atol=1e-5)


def test_the_description_tells_conditions_materials_and_seeds_apart(materials, corpus, fake_target) -> None:
    def describe(condition: Condition, *, seed: int = 0, materials: Materials = materials) -> dict:
        return dict(DistortedTarget(fake_target(), condition, materials, corpus.utterances, seed=seed).describe())

    distortions = [describe(condition)["distortion"] for condition in CONDITIONS]
    assert all(distortions.count(distortion) == 1 for distortion in distortions)
    assert describe(White(snr_db=0.0)) != describe(White(snr_db=0.0), seed=1)
    fewer = Materials(recorded={"pub": materials.recorded["pub"][:1]}, voices=Voices.of(corpus.utterances[:16]))
    for condition in (Recorded(family="pub", snr_db=0.0), Babble(snr_db=0.0)):
        assert describe(condition) != describe(condition, materials=fewer)
    assert describe(Clean())["model"] == "fake"


def test_options_and_languages_pass_through(materials, corpus, fake_target) -> None:
    inner = fake_target({"clip-0": "de"})
    target = DistortedTarget(inner, White(snr_db=0.0), materials, corpus.utterances, seed=0)
    assert target.settings(OPTIONS) == inner.settings(OPTIONS)
    assert target.detect_language(corpus.utterances[0].path).language == "de"
    target.transcribe(corpus.utterances[0].path, OPTIONS)
    assert inner.asked == [("clip-0", OPTIONS)]


def test_what_cannot_be_distorted_is_that_clips_error(materials, corpus, fake_target, wav) -> None:
    target = DistortedTarget(fake_target(), White(snr_db=0.0), materials, corpus.utterances, seed=0)
    silent, broken, missing = (clip.path for clip in corpus.utterances[:3])
    wav(silent, np.zeros(8_000))
    broken.write_bytes(b"not audio")
    missing.unlink()
    for path, code in ((silent, "silent_audio"), (broken, "unsupported_media"), (missing, "unreadable_file")):
        with pytest.raises(ClipError) as caught:
            target.transcribe(path, OPTIONS)
        assert caught.value.code == code
