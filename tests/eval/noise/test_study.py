from dataclasses import replace
from itertools import pairwise

import pytest

from asr.options import TranscribeOptions
from eval.errors import CorpusError, ResultsError, RunMismatchError
from eval.jobs import Job
from eval.noise.conditions import Babble, Clean, Condition, Reverberant, White
from eval.noise.materials import Materials, Recording, Voices
from eval.noise.study import NoisePlan, draw_clips, read_study, run_study, with_speech
from eval.runner import RunPlan


class Counting:
    """A StudyProgress."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.pending: list[int] = []

    def begin(self, condition: Condition) -> None:
        self.begun.append(condition.name)

    def read(self, n_read: int, n_clips: int) -> None:
        assert 1 <= n_read <= n_clips

    def start(self, pending, n_clips: int) -> None:
        assert n_clips >= len(pending)
        self.pending.append(len(pending))

    def advance(self, utterance) -> None:
        """Counted by start."""


@pytest.fixture
def plan(corpus) -> RunPlan:
    return RunPlan(corpus=draw_clips(with_speech(corpus), 4, seed=0), options=TranscribeOptions())


@pytest.fixture
def noise(corpus, make_tone) -> NoisePlan:
    hall = Recording(name="hall", samples=make_tone(3, 0.2), sha256="0" * 64)
    return NoisePlan(
        conditions=(Clean(), White(snr_db=0.0), White(snr_db=20.0), Babble(snr_db=0.0), Reverberant(room="hall")),
        materials=Materials(rooms={"hall": hall}, voices=Voices.of(corpus.utterances)),
    )


@pytest.fixture
def right(corpus, fake_target):
    """Always knows what was said."""
    return fake_target({clip.path.stem: clip.text for clip in corpus.utterances})


def test_a_study_is_a_run_for_each_condition(plan, noise, right, tmp_path) -> None:
    progress = Counting()
    study = run_study(plan, right, noise, tmp_path / "out", progress)
    assert progress.begun == [condition.name for condition in noise.conditions]
    assert progress.pending == [4] * 5
    for condition in noise.conditions:
        assert (tmp_path / "out" / condition.name / "hypotheses.jsonl").exists()
    assert study.clean is not None
    assert study.clean.group.counts.rate == 0.0
    assert (study.clean.group.n_clips, study.clean.group.counts.n_ref) == (4, 16)
    assert {family: [point.snr_db for point in curve] for family, curve in study.curves.items()} == {
        "white": [20.0, 0.0],
        "babble": [0.0],
    }
    assert list(study.rooms) == ["hall"]
    assert study.config["model"] == "fake"
    assert "distortion" not in study.config
    assert [use.name for use in study.normalizers] == ["whisper-english"]


def test_what_is_written_is_read_back(plan, noise, right, tmp_path) -> None:
    right.answers = {**right.answers, plan.corpus.utterances[0].path.stem: "something else"}
    study = run_study(plan, right, noise, tmp_path, Counting())
    assert study.clean.group.counts.rate > 0
    assert study.clean.group.interval is not None
    assert read_study(tmp_path) == replace(study, config=read_study(tmp_path).config)
    assert read_study(tmp_path).config["options"]["beam_size"] == 5


def test_a_study_continues(plan, noise, right, tmp_path) -> None:
    third = plan.corpus.utterances[2].path.stem
    answers = right.answers
    right.answers = {**answers, third: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run_study(plan, right, noise, tmp_path, Counting())
    with pytest.raises(ResultsError, match="auricle-eval noise"):
        read_study(tmp_path)
    right.answers, right.asked = answers, []
    progress = Counting()
    run_study(plan, right, noise, tmp_path, progress)
    assert progress.pending == [2, 4, 4, 4, 4]
    assert len(right.asked) == 18
    right.asked = []
    run_study(plan, right, noise, tmp_path, Counting())
    assert not right.asked, "a finished study asks nothing"


def test_more_clips_and_conditions_continue_it(plan, noise, right, corpus, tmp_path) -> None:
    run_study(plan, right, noise, tmp_path, Counting())
    more = replace(plan, corpus=draw_clips(with_speech(corpus), 6, seed=0))
    progress = Counting()
    louder = replace(noise, conditions=(*noise.conditions, White(snr_db=-10.0)))
    study = run_study(more, right, louder, tmp_path, progress)
    assert progress.pending == [2, 2, 2, 2, 2, 6]
    assert {result.group.n_clips for result in study.results} == {6}


def test_another_seed_is_another_study(plan, noise, right, tmp_path) -> None:
    run_study(plan, right, noise, tmp_path, Counting())
    with pytest.raises(RunMismatchError, match="distortion"):
        run_study(plan, right, replace(noise, seed=1), tmp_path, Counting())


def test_failed_clips_count_as_deleted(plan, noise, right, tmp_path, clip_error) -> None:
    right.answers = {**right.answers, plan.corpus.utterances[0].path.stem: clip_error}
    study = run_study(plan, right, noise, tmp_path, Counting())
    assert {result.group.n_failed for result in study.results} == {1}
    assert study.clean.group.counts.rate == 4 / 16


def test_only_speech_that_can_be_counted(corpus, noise, right, tmp_path) -> None:
    unspoken = RunPlan(corpus=corpus, options=TranscribeOptions())
    with pytest.raises(CorpusError, match="'hum'"):
        run_study(unspoken, right, noise, tmp_path, Counting())
    naming = RunPlan(corpus=with_speech(corpus), options=TranscribeOptions(), job=Job.DETECT_LANGUAGE)
    with pytest.raises(CorpusError, match="detect-language, expected transcribe"):
        run_study(naming, right, noise, tmp_path, Counting())
    with pytest.raises(CorpusError, match="no clip with a transcript"):
        with_speech(replace(corpus, utterances=corpus.utterances[-1:]))


def test_a_draw_holds_every_smaller_one(corpus) -> None:
    ids = [[clip.id for clip in draw_clips(corpus, n_clips, seed=3).utterances] for n_clips in range(1, 25)]
    for smaller, larger in pairwise(ids):
        assert set(smaller) <= set(larger)
    assert [len(drawn) for drawn in ids[:3]] == [1, 2, 3]
    assert ids[-1] == [clip.id for clip in corpus.utterances]
    assert ids[3] != [clip.id for clip in draw_clips(corpus, 4, seed=4).utterances]


def test_a_damaged_study_is_named(tmp_path) -> None:
    (tmp_path / "study.json").write_text('{"results": []}')
    with pytest.raises(ResultsError, match=r"study\.json: KeyError"):
        read_study(tmp_path)
