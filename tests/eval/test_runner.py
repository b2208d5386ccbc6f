import json
import resource
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from asr.options import TranscribeOptions
from asr.transcript import LanguageSpan, Suppressed, Word
from eval.corpora import Part, read_manifest
from eval.errors import CorpusError, ResultsError, RunMismatchError, TargetUnavailableError
from eval.hypotheses import read_run
from eval.jobs import Job
from eval.runner import LanguageMode, RunPlan, run_corpus


@pytest.fixture
def plan(write_manifest) -> RunPlan:
    return RunPlan(corpus=read_manifest(write_manifest()), options=TranscribeOptions())


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "hypotheses.jsonl").read_text("utf-8").splitlines()]


def test_a_run_fills_its_folder(plan, tmp_path, fake_target, progress) -> None:
    summary = run_corpus(plan, fake_target({"zh-1": "你好"}), tmp_path / "out", progress)
    assert [line["id"] for line in lines(tmp_path / "out")] == ["en-1", "de-1", "silence", "zh-1"]
    first = lines(tmp_path / "out")[0]
    assert set(first) == {"id", "key", "text", "language", "duration", "seconds"}
    assert (summary.n_resumed, summary.n_without_reference, summary.failures) == (0, 1, ())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "hypotheses.jsonl",
        "references.json",
        "run.json",
        "run.lock",
    ]
    stored = read_run(tmp_path / "out")
    assert stored.references["silence"].text == ""
    assert stored.config["model_hash"] == "0" * 64
    assert stored.config["corpus_sha256"] == plan.corpus.sha256
    assert stored.config["options"]["beam_size"] == 5
    assert str(tmp_path) not in (tmp_path / "out" / "run.json").read_text()
    assert (progress.n_pending, progress.n_clips, progress.n_advanced) == (4, 4, 4)
    assert progress.read_clips == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_each_clip_is_decoded_in_its_language_or_in_none(plan, tmp_path, fake_target, progress) -> None:
    target = fake_target()
    run_corpus(plan, target, tmp_path / "manifest", progress)
    assert [options.language for _, options in target.asked] == ["en", "de", None, "zh"]
    target = fake_target()
    auto = RunPlan(corpus=plan.corpus, options=plan.options, language_mode=LanguageMode.AUTO)
    run_corpus(auto, target, tmp_path / "auto", progress)
    assert [options.language for _, options in target.asked] == [None] * 4


@pytest.mark.parametrize("torn", ['{"id": "de-1", "te', '{"id": "de-1", "text": "Gr\\u00fc', ""])
def test_a_killed_run_continues(plan, tmp_path, fake_target, progress, torn) -> None:
    class Killed(BaseException):
        pass

    with pytest.raises(Killed):
        run_corpus(plan, fake_target({"de-1": Killed()}), tmp_path, progress)
    with (tmp_path / "hypotheses.jsonl").open("a") as file:
        file.write(torn)
    target = fake_target()
    summary = run_corpus(plan, target, tmp_path, progress)
    assert [name for name, _ in target.asked] == ["de-1", "silence", "zh-1"]
    assert [line["id"] for line in lines(tmp_path)] == ["en-1", "de-1", "silence", "zh-1"]
    assert summary.n_resumed == 1
    assert (progress.n_pending, progress.n_clips) == (3, 4)


def test_a_finished_run_asks_nothing(plan, tmp_path, fake_target, progress) -> None:
    run_corpus(plan, fake_target(), tmp_path, progress)
    before = (tmp_path / "hypotheses.jsonl").read_bytes()
    target = fake_target()
    run_corpus(plan, target, tmp_path, progress)
    assert not target.asked
    assert (tmp_path / "hypotheses.jsonl").read_bytes() == before


def test_another_configuration_is_refused(plan, tmp_path, fake_target, progress) -> None:
    run_corpus(plan, fake_target(), tmp_path, progress)
    greedy = RunPlan(corpus=plan.corpus, options=TranscribeOptions(beam_size=1))
    with pytest.raises(RunMismatchError, match=r"\n  options\.beam_size: there 5, now 1\n.*--out"):
        run_corpus(greedy, fake_target(), tmp_path, progress)
    with pytest.raises(RunMismatchError, match='model: there "fake", now "other"'):
        run_corpus(plan, fake_target(model="other"), tmp_path, progress)


def test_a_failed_clip_does_not_stop_the_run(plan, tmp_path, fake_target, progress, clip_error) -> None:
    summary = run_corpus(plan, fake_target({"de-1": clip_error}), tmp_path, progress)
    failed = lines(tmp_path)[1]
    assert failed["error"] == {"code": "undecodable_audio", "message": "clip.wav: not audio"}
    assert failed["text"] == ""
    assert [failure.id for failure in summary.failures] == ["de-1"]
    again = fake_target()
    run_corpus(plan, again, tmp_path, progress)
    assert not again.asked


def test_a_language_nobody_knows_is_that_clips_error(write_manifest, tmp_path, fake_target, progress) -> None:
    manifest = write_manifest({"id": "k", "text": "nuqneH", "language": "tlh"}, {"id": "e", "text": "hi"})
    plan = RunPlan(corpus=read_manifest(manifest), options=TranscribeOptions())
    summary = run_corpus(plan, fake_target(), tmp_path / "out", progress)
    assert [(failure.id, failure.error["code"]) for failure in summary.failures] == [("k", "unsupported_language")]
    assert len(summary.hypotheses) == 2


def test_a_lost_target_ends_the_run_and_blames_no_clip(plan, tmp_path, fake_target, progress) -> None:
    with pytest.raises(TargetUnavailableError):
        run_corpus(plan, fake_target({"de-1": TargetUnavailableError("gone")}), tmp_path, progress)
    assert [line["id"] for line in lines(tmp_path)] == ["en-1"]


def test_as_many_clips_are_under_way_as_the_target_takes(plan, tmp_path, fake_target, progress, monkeypatch) -> None:
    target = fake_target()
    target.n_parallel = 2
    meeting, answer = threading.Barrier(2, timeout=10), target.transcribe
    monkeypatch.setattr(target, "transcribe", lambda path, options: (meeting.wait(), answer(path, options))[1])
    run_corpus(plan, target, tmp_path / "out", progress)
    assert [line["text"] for line in lines(tmp_path / "out")] == ["en-1", "de-1", "silence", "zh-1"]
    assert progress.n_advanced == 4


def test_what_was_under_way_beside_a_lost_target_is_asked_again(plan, tmp_path, fake_target, progress) -> None:
    target = fake_target({"de-1": TargetUnavailableError("gone")})
    target.n_parallel = 3
    with pytest.raises(TargetUnavailableError):
        run_corpus(plan, target, tmp_path / "out", progress)
    assert [line["id"] for line in lines(tmp_path / "out")] == ["en-1"]
    assert run_corpus(plan, fake_target(), tmp_path / "out", progress).n_resumed == 1
    assert [line["id"] for line in lines(tmp_path / "out")] == ["en-1", "de-1", "silence", "zh-1"]


def test_translation_is_held_against_the_english(write_manifest, tmp_path, fake_target, progress) -> None:
    manifest = write_manifest({"id": "d", "text": "Guten Tag", "translation_en": "Good day"}, {"id": "e", "text": "x"})
    plan = RunPlan(corpus=read_manifest(manifest), options=TranscribeOptions(), job=Job.TRANSLATE)
    summary = run_corpus(plan, fake_target(), tmp_path / "out", progress)
    assert summary.n_without_reference == 1
    assert read_run(tmp_path / "out").references["d"].text == "Good day"


def test_a_corpus_without_a_reference_is_no_run(write_manifest) -> None:
    corpus = read_manifest(write_manifest())
    with pytest.raises(CorpusError, match="got 5 clips without translation_en, expected some with it for --task trans"):
        RunPlan(corpus=corpus, options=TranscribeOptions(), job=Job.TRANSLATE)


def test_a_folder_of_something_else_is_refused(plan, tmp_path, fake_target, progress) -> None:
    (tmp_path / "other.jsonl").touch()
    with pytest.raises(ResultsError, match=r"other\.jsonl"):
        run_corpus(plan, fake_target(), tmp_path, progress)
    (tmp_path / "other.jsonl").rename(tmp_path / "hypotheses.jsonl")
    with pytest.raises(ResultsError, match=r"without run\.json"):
        run_corpus(plan, fake_target(), tmp_path, progress)


@pytest.mark.parametrize("damaged", ["{}", "1", "null", "[]", '{"id": "en-1"', '{"id": "en-1", "times": 1}'])
def test_a_damaged_line_is_named(plan, tmp_path, fake_target, progress, damaged) -> None:
    run_corpus(plan, fake_target(), tmp_path, progress)
    path = tmp_path / "hypotheses.jsonl"
    path.write_text(f"{damaged}\n" + path.read_text("utf-8"), "utf-8")
    with pytest.raises(ResultsError, match=r"hypotheses\.jsonl, line 1.*delete the line"):
        read_run(tmp_path)


def test_a_run_of_another_version_is_said_to_be_one(plan, tmp_path, fake_target, progress) -> None:
    run_corpus(plan, fake_target(), tmp_path, progress)
    path = tmp_path / "references.json"
    path.write_text(path.read_text("utf-8").replace('"key"', '"digest"'), "utf-8")
    with pytest.raises(ResultsError, match=r"references\.json, clip 'en-1'.*another version"):
        read_run(tmp_path)


def test_words_spans_and_what_was_left_out_are_kept(plan, tmp_path, fake_target, progress) -> None:
    word = Word(word=" Größe,", start=0.1, end=0.5, probability=0.91)
    span = LanguageSpan(start=0.0, end=2.0, language="de", probability=0.9)
    scores = {"avg_logprob": -0.5, "compression_ratio": 1.2, "no_speech_prob": 0.7}
    suppressed = Suppressed(start=1.0, end=2.0, text=" Thank you.", reason="silence", **scores)

    class DetailedTarget(fake_target):
        def transcribe(self, path, options):
            reply = super().transcribe(path, options)
            return replace(reply, words=(word,), languages=(span,), suppressed=(suppressed,))

    run_corpus(plan, DetailedTarget(), tmp_path, progress)
    assert lines(tmp_path)[0]["words"] == [[" Größe,", 0.1, 0.5, 0.91]]
    kept = read_run(tmp_path).hypotheses["en-1"]
    assert (kept.words, kept.languages, kept.suppressed) == ((word,), (span,), (suppressed,))


def test_no_words_differ_from_words_not_asked_for(plan, tmp_path, fake_target, progress) -> None:
    class SilentTarget(fake_target):
        def transcribe(self, path, options):
            return replace(super().transcribe(path, options), words=() if path.stem == "silence" else None)

    run_corpus(plan, SilentTarget(), tmp_path, progress)
    kept = read_run(tmp_path).hypotheses
    assert (kept["silence"].words, kept["en-1"].words) == ((), None)


def test_the_parts_of_a_joined_recording_are_kept(plan, tmp_path, fake_target, progress) -> None:
    part = Part(id="a", start=0.5, end=1.5, text="the cat", language="en")
    clips = tuple(replace(clip, parts=(part,)) for clip in plan.corpus.utterances)
    run_corpus(replace(plan, corpus=replace(plan.corpus, utterances=clips)), fake_target(), tmp_path, progress)
    assert read_run(tmp_path).references["en-1"].parts == (part,)


def test_a_folder_of_an_earlier_version_is_read(plan, tmp_path, fake_target, progress) -> None:
    run_corpus(plan, fake_target(), tmp_path, progress)
    path = tmp_path / "references.json"
    entries = json.loads(path.read_text("utf-8"))
    older = {key: {name: value for name, value in entry.items() if name != "parts"} for key, entry in entries.items()}
    path.write_text(json.dumps(older), "utf-8")
    stored = read_run(tmp_path)
    assert stored.references["en-1"].parts == ()
    assert stored.hypotheses["en-1"].words is None


def test_half_of_a_surrogate_pair_is_kept(plan, tmp_path, fake_target, progress) -> None:
    run_corpus(plan, fake_target({"en-1": "grin \ud83d"}), tmp_path, progress)
    assert read_run(tmp_path).hypotheses["en-1"].text == "grin \ud83d"
    assert run_corpus(plan, fake_target(), tmp_path, progress).n_resumed == 4


def test_a_full_disk_is_an_error_that_says_so(plan, tmp_path, fake_target, progress) -> None:
    class FullTarget(fake_target):
        def transcribe(self, path, options):
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
            return super().transcribe(path, options)

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(ResultsError, match=r"hypotheses\.jsonl: File too large; make room"):
            run_corpus(plan, FullTarget(), tmp_path, progress)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert run_corpus(plan, fake_target(), tmp_path, progress).n_resumed == 0
