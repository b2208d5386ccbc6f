import json
import wave
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.options import TranscribeOptions
from asr.transcript import LanguageSpan, Suppressed, Word
from eval.corpora import Part
from eval.hypotheses import Hypothesis, HypothesisStore, Reference
from eval.noise.study import NoiseResult, NoiseStudy
from eval.normalizers import NormalizerName
from eval.report.assemble import Scored, read_scored
from eval.report.html import render_html
from eval.scoring import ErrorGroup, Interval
from eval.targets import PhaseTimes
from eval.wer import ErrorCounts

HOSTILE = '<script>alert("heard")</script>'

# id, language, dataset, reference, hypothesis
SPOKEN = (
    ("ls-1", "en", "librispeech_test-clean", "he could wait no longer", "he could wait no more"),
    ("ls-2", "en", "librispeech_test-clean", "and then he left", "and then he left"),
    ("cv-de", "de", "common_voice_6.1", "guten tag zusammen", "guten tag beisammen"),
    ("cv-ar", "ar", "common_voice_6.1", "مرحبا بكم في بيتنا", "مرحبا في بيتي"),
    ("cv-zh", "zh", "common_voice_6.1", "你好吗", "你好妈"),
    ("cv-bad", "en", "common_voice_6.1", "x & y are < z", f"x and y {HOSTILE}"),
)


def config(job: str, **changes: Any) -> dict[str, Any]:
    return {
        "corpus": "corpus/manifest.jsonl",
        "corpus_sha256": "c" * 64,
        "job": job,
        "language": "manifest",
        "options": json.loads(json.dumps(asdict(TranscribeOptions(beam_size=1, temperatures=(0.0,))))),
        "target": "local",
        "model": "base",
        "model_hash": "a" * 64,
        "versions": {"auricle": "0"},
        **changes,
    }


def tone(path: Path, duration: float) -> Path:
    samples = 8000 * np.sin(np.arange(round(duration * 16_000)) * 2 * np.pi * 440 / 16_000)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


@pytest.fixture
def make_tone(tmp_path: Path) -> Callable[[float], Path]:
    return lambda duration: tone(tmp_path / f"{duration:g}.wav", duration)


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a run's folder. A clip is (id, language, dataset, reference, hypothesis); a hypothesis of None failed."""

    def write(
        job: str = "transcribe", clips: Any = SPOKEN, *, name: str = "run", speaker: str | None = None, **changes: Any
    ) -> Path:
        audio = tone(tmp_path / "clip.wav", 0.5)
        references, hypotheses = {}, []
        for clip_id, language, dataset, text, answer in clips:
            references[clip_id] = Reference(
                key=clip_id,
                audio=str(audio),
                text=text,
                language=language,
                duration=0.5,
                dataset=dataset,
                kind="short",
                speaker=speaker,
            )
            named = answer if job == "detect-language" else language
            hypotheses.append(
                Hypothesis(
                    id=clip_id,
                    key=clip_id,
                    text="" if answer is None or job == "detect-language" else answer,
                    language=named,
                    duration=0.5,
                    seconds=0.25,
                    times=PhaseTimes(audio=0.05, encode=0.1, decode=0.1),
                    error={"code": "undecodable_audio", "message": f"not audio {HOSTILE}"} if answer is None else None,
                )
            )
        folder = tmp_path / name
        with HypothesisStore(folder, config=config(job, **changes), references=references) as store:
            for hypothesis in hypotheses:
                store.append(hypothesis)
        return folder

    return write


SAID = (
    "guten tag meine damen und herren",
    "thank you very much for coming to this house today everybody please all sit down",
)
HEARD = (*SAID[0].split()[:-1], HOSTILE, "thank", "you", "down")  # and 12 words are lost


@pytest.fixture
def write_long_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a run of one joined recording, with words and languages in time, and of two clips in which nobody speaks.

    ``late`` shifts every word, in seconds.
    """

    def write(*, name: str = "long", late: float = 0.0) -> Path:
        audio = str(tone(tmp_path / "clip.wav", 0.5))
        parts = tuple(
            Part(id=f"part-{number}", start=40.0 * number, end=40.0 * number + 30, text=text, language=language)
            for number, (text, language) in enumerate(zip(SAID, ("de", "en"), strict=True))
        )
        speech = Reference(
            key="k", audio=audio, text=" ".join(SAID), language=None, duration=70, kind="long", parts=parts
        )
        noise = Reference(
            key="k", audio=audio, text="", language=None, duration=36, kind="noise", dataset="white noise"
        )
        babble = Reference(key="k", audio=audio, text="", language=None, duration=36, kind="noise", dataset="babble")
        words = tuple(
            Word(word=f" {word}", start=start + late, end=start + 1 + late, probability=0.99 - number / 20)
            for number, (word, start) in enumerate(zip(HEARD, (*range(1, 7), *range(41, 44)), strict=True))
        )
        spans = (
            LanguageSpan(start=0, end=39, language="de", probability=0.9),
            LanguageSpan(start=39, end=60, language="en", probability=0.9),
        )
        left_out = Suppressed(
            start=0, end=1, text="You.", reason="silence", avg_logprob=-1, compression_ratio=1, no_speech_prob=0.9
        )
        references = {"joined": speech, "hiss": noise, "party": babble}
        answers: dict[str, dict[str, Any]] = {
            "joined": {"text": " ".join(HEARD), "words": words, "languages": spans, "suppressed": (left_out,)},
            "hiss": {"text": "", "suppressed": (left_out,)},
            "party": {"text": "you", "words": (words[-1],)},
        }
        folder = tmp_path / name
        with HypothesisStore(folder, config=config("transcribe"), references=references) as store:
            for clip_id, fields in answers.items():
                store.append(Hypothesis(id=clip_id, key="k", seconds=0.5, **fields))
        return folder

    return write


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[[], Path]:
    def group(n_errors: int) -> ErrorGroup:
        counts = ErrorCounts(hits=100 - n_errors, substitutions=n_errors)
        interval = Interval(low=n_errors / 120, high=n_errors / 80)
        return ErrorGroup(
            n_clips=10,
            n_failed=0,
            n_clusters=10,
            unit="word",
            counts=counts,
            interval=interval,
            words=counts,
            words_interval=interval,
            characters=counts,
            characters_interval=interval,
        )

    def write() -> Path:
        results = [NoiseResult(name="clean", family="clean", snr_db=None, group=group(5))]
        results += [
            NoiseResult(name=f"white/{snr_db}dB", family="white", snr_db=snr_db, group=group(n_errors))
            for snr_db, n_errors in ((40, 6), (10, 17), (-10, 83))
        ]
        study = NoiseStudy(config=config("transcribe"), seed=7, normalizers=(), results=tuple(results))
        folder = tmp_path / "study"
        folder.mkdir()
        (folder / "study.json").write_text(json.dumps(asdict(study)), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def scored() -> Callable[[Path], Scored]:
    return lambda folder: read_scored(folder, normalizer=NormalizerName.WHISPER)


@pytest.fixture
def as_html(scored) -> Callable[..., str]:
    from eval.report.assemble import make_report

    def render(*folders: Path, audio: bool = False, n_worst: int = 30) -> str:
        report = make_report([scored(folder) for folder in folders], title="A report", n_worst=n_worst)
        return render_html(report, with_audio=audio, on_step=lambda _: None)

    return render
