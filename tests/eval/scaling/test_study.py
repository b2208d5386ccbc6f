"""From runs on disk to the law: what is read, what is found, what is refused, what is doubted."""

import json

import numpy as np
import pytest

from asr.checkpoint.training_record import TrainingRecord, read_training_record, write_training_record
from asr.errors import CheckpointError
from eval.errors import ResultsError
from eval.scaling.amounts import Axis, amount_text, level_of, levels
from eval.scaling.doubts import doubts
from eval.scaling.law import Floor, Line
from eval.scaling.points import read_points
from eval.scaling.study import fit_study, redrawn
from eval.scoring.bootstrap import interval_of


def test_the_exponents_of_a_line_come_back(straight_runs):
    study = fit_study(read_points(straight_runs))
    straight = study.laws[0]
    assert isinstance(straight.law, Line)
    assert straight.exponents[Axis.PARAMETERS].value == pytest.approx(0.2, abs=2e-3)
    assert straight.exponents[Axis.HOURS].value == pytest.approx(0.1, abs=2e-3)
    assert straight.r_squared > 0.9999
    for exponent in straight.exponents.values():
        for interval in (exponent.over_clips, exponent.over_trainings):
            assert interval.low <= exponent.value <= interval.high
            assert interval.high - interval.low < 0.02


def test_the_floor_and_exponents_of_a_bent_law_come_back(bent_study):
    straight, bent = bent_study.laws
    assert isinstance(bent.law, Floor)
    assert bent.floor.value == pytest.approx(0.1, abs=0.01)
    assert bent.exponents[Axis.PARAMETERS].value == pytest.approx(0.35, abs=0.03)
    assert bent.exponents[Axis.HOURS].value == pytest.approx(0.4, abs=0.03)
    assert bent.floor.over_clips.low < 0.1 < bent.floor.over_clips.high
    assert bent.r_squared > straight.r_squared
    assert bent.fitted == pytest.approx([point.rate for point in bent_study.points], rel=0.01)
    assert doubts(bent_study) == ()


def test_hours_alone_make_a_line_over_hours(corpus):
    folders = [corpus.run(64, hours, 0.3 * hours**-0.1) for hours in (1, 10, 100)]
    study = fit_study(read_points(folders))
    assert study.varied == (Axis.HOURS,)
    (fitted,) = study.laws
    assert fitted.exponents[Axis.HOURS].value == pytest.approx(0.1, abs=3e-3)
    rates = fitted.rates({Axis.HOURS: np.array([1.0, 100.0])})
    assert rates == pytest.approx([0.3, 0.3 * 100**-0.1], rel=0.01)


def test_models_are_read_from_their_folders(corpus):
    (point,) = read_points([corpus.run(16, 2.5, 0.3)])
    assert point.size.parameters == corpus.parameters(16)
    assert point.size.embedding == 10 * 16
    assert (point.training.audio_hours, point.training.audio_hours_seen) == (2.5, 10.0)
    assert point.rate == pytest.approx(0.3, abs=1e-3)


def test_what_cannot_be_compared_is_refused(corpus):
    first = corpus.run(16, 1, 0.4)
    beams = corpus.run(16, 10, 0.3, options={"beam_size": 1})
    with pytest.raises(ResultsError, match=r"options\.\w+: got .*expected runs that differ in their model alone"):
        read_points([first, beams])
    translated = corpus.run(64, 1, 0.3, job="translate")
    with pytest.raises(ResultsError, match="got a run of --task translate, expected transcribe"):
        read_points([first, translated])
    other = corpus.run(64, 10, 0.3)
    references = json.loads((other / "references.json").read_text())
    references["clip-3"]["text"] = "other words"
    (other / "references.json").write_text(json.dumps(references))
    with pytest.raises(ResultsError, match=r"1 clips are not those of .*expected one corpus"):
        read_points([first, other])


def test_unfinished_and_faultless_runs_are_refused(corpus):
    unfinished = corpus.run(16, 1, 0.4)
    lines = (unfinished / "hypotheses.jsonl").read_text().splitlines()
    (unfinished / "hypotheses.jsonl").write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(ResultsError, match="2 of 60 clips have no hypothesis, expected a finished run"):
        read_points([unfinished])
    with pytest.raises(ResultsError, match="got 0 errors in 3000 units"):
        read_points([corpus.run(16, 10, 0.0)])


def test_a_model_that_says_nothing_of_itself_is_refused(corpus):
    folder = corpus.run(16, 1, 0.4)
    model = corpus.folder / "models" / folder.name
    record = (model / "training.json").read_text()
    (model / "training.json").write_text(record.replace('"updates": 100', '"updates": 0'))
    with pytest.raises(ResultsError, match=r"training\.json: updates: got 0, expected a positive number"):
        read_points([folder])
    (model / "training.json").unlink()
    with pytest.raises(ResultsError, match=r"training\.json: no such file; expected a model of `auricle train`"):
        read_points([folder])
    with pytest.raises(ResultsError, match="got a run of http://a, expected one of `auricle-eval run --model DIR`"):
        read_points([corpus.run(16, 10, 0.4, target="http://a")])


def test_other_weights_than_those_of_the_run_are_refused(corpus):
    folder = corpus.run(16, 1, 0.4)
    corpus._sign(corpus.folder / "models" / folder.name, "f" * 64)
    with pytest.raises(ResultsError, match="has the digest ffffffffffff, the run used 16-1"):
        read_points([folder])
    again = corpus.run(16, 1, 0.3, name="again", model_hash="f" * 64, model=str(corpus.folder / "models" / folder.name))
    with pytest.raises(ResultsError, match=r"got the weights of .*again again, expected each model once"):
        read_points([again, again])


def test_what_shows_no_law_is_refused(corpus):
    with pytest.raises(ResultsError, match="models: got 1 that differ in neither size nor hours"):
        fit_study(read_points([corpus.run(16, 1, 0.4)]))
    together = [corpus.run(width, hours, rate) for width, hours, rate in ((16, 1, 0.5), (64, 13, 0.4), (256, 230, 0.3))]
    with pytest.raises(ResultsError, match="sizes and hours rise together"):
        fit_study(read_points(together))


def test_doubts_are_said(corpus):
    folders = [corpus.run(64, hours, rate) for hours, rate in ((1, 0.95), (2, 0.97), (3, 0.4))]
    said = " ".join(doubts(fit_study(read_points(folders))))
    assert "Few models: 3, of 1 × 3" in said
    assert "Narrow range: hours of audio goes from 1 h to 3 h" in said
    assert "rises in 1 of 2 steps, most from 95.0% (w64-1h) to 97.0% (w64-2h)" in said
    assert "2 of 3 models have error rates of 90% or more" in said
    assert "The law explains" in said
    assert "an interval of its exponent reaches 0" in said


def test_models_that_began_with_trained_weights_are_named(corpus):
    folders = [corpus.run(64, hours, rate) for hours, rate in ((1, 0.5), (10, 0.4), (100, 0.3))]
    record = read_training_record(corpus.folder / "models" / "w64-10h")
    write_training_record(
        TrainingRecord(**{**{name: getattr(record, name) for name in record.__slots__}, "preset": None}),
        corpus.folder / "models" / "w64-10h",
    )
    assert "began with trained weights, whose own hours are not counted: w64-10h." in " ".join(
        doubts(fit_study(read_points(folders)))
    )


def test_a_training_record_comes_back_and_is_checked(tmp_path):
    record = TrainingRecord(
        preset="tiny", updates=3, examples=2, examples_seen=6, audio_hours=0.5, audio_hours_seen=1.5
    )
    write_training_record(record, tmp_path)
    assert read_training_record(tmp_path) == record
    (tmp_path / "model.safetensors").touch()
    assert read_training_record(tmp_path / "model.safetensors") == record
    (tmp_path / "training.json").write_text('{"hours": 3}')
    with pytest.raises(CheckpointError, match=r"training\.json: .*unexpected keyword"):
        read_training_record(tmp_path)


def test_amounts_as_people_write_them():
    assert [amount_text(Axis.PARAMETERS, n) for n in (950, 12_560, 39_184_128, 1.55e9)] == [
        "950", "12.6 k", "39.2 M", "1.55 G",
    ]  # fmt: skip
    assert [amount_text(Axis.HOURS, hours) for hours in (0.5, 1, 680_000)] == ["30 min", "1 h", "680,000 h"]
    assert levels([10.2, 1, 10, 100]) == [1, 10, 100]
    assert level_of(10.2, [1, 10, 100]) == 10


def test_about_95_of_100_intervals_over_trainings_hold_the_true_exponent():
    """Straight lines through 3 × 3 models, each 5 % off by luck; the bounds are three standard errors of 200 cases."""
    log_x = np.log([(size, hours) for size in (1e6, 4e6, 16e6) for hours in (1.0, 10.0, 100.0)])
    log_x, law, rng = log_x - log_x.mean(axis=0), Line(2), np.random.default_rng(7)
    held = []
    for _ in range(200):
        rates = -log_x @ np.array([0.2, 0.1]) + rng.normal(0, 0.05, 9)
        fitted = law.log_rates(law.fit(log_x, rates[None]), log_x)[0]
        interval = interval_of(law.fit(log_x, redrawn(rates, fitted, n_free=law.n_free))[:, 0])
        held.append(interval.low <= 0.2 <= interval.high)
    assert 0.90 <= np.mean(held) <= 0.99
