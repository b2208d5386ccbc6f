from dataclasses import replace

import pytest
import sacrebleu
from rich.console import Console

from eval.errors import ResultsError
from eval.normalizers import NormalizerName
from eval.report.as_json import comparison_as_json
from eval.report.comparison import comparison_as_tables, verdicts
from eval.scoring import score_run
from eval.scoring.compare import Measure, compare_runs

SENTENCE = "one man went to mow a meadow with his dog"


def clips(n_clips: int, n_wrong: int, *, language: str = "en", dataset: str = "a"):
    """Clips of ten words; in each the last ``n_wrong`` are missing."""
    heard = " ".join(SENTENCE.split()[: 10 - n_wrong])
    return [({"text": SENTENCE, "language": language, "dataset": dataset}, heard) for _ in range(n_clips)]


def test_a_real_difference_is_told_with_its_size(make_run) -> None:
    a = make_run(*clips(20, 2), *clips(20, 3, language="de", dataset="b"), options={"beam_size": 5}, seed=1)
    b = make_run(*clips(20, 1), *clips(20, 2, language="de", dataset="b"), options={"beam_size": 1}, seed=1)
    comparison = compare_runs(a, b)
    (measure,) = comparison.measures
    assert measure.measure is Measure.ERROR_RATE
    assert (measure.overall.a, measure.overall.b) == (0.25, 0.15)
    assert measure.overall.difference.value == pytest.approx(-0.1)
    assert measure.overall.difference.p < 0.001
    assert verdicts(comparison) == (
        "B has 10.0 points fewer errors (95 %: 10.0 to 10.0, p < 0.001; 40 clips, 40 clusters): "
        "a real difference at this sample size.",
    )
    assert [(each.key, each.a, each.b) for each in comparison.differences] == [("options.beam_size", 5, 1)]
    assert (comparison.n_better, comparison.n_worse, comparison.n_common) == (40, 0, 40)
    assert measure.overall.a == score_run(a).overall.counts.rate


def test_noise_is_called_noise(make_run) -> None:
    a = make_run(*clips(10, 1), *clips(10, 2))
    b = make_run(*clips(10, 2), *clips(9, 1), *clips(1, 0))
    comparison = compare_runs(a, b)
    assert verdicts(comparison)[0].startswith("No difference can be told at this sample size: B has 0.5 points fewer")
    assert (comparison.n_better, comparison.n_worse) == (10, 10)
    assert comparison.changes[0].id == "clip-19"
    assert (comparison.changes[0].a, comparison.changes[0].b, comparison.changes[0].better) == (2, 0, True)
    assert "A and B have the same number" in verdicts(compare_runs(a, a))[0]


def test_one_speaker_proves_nothing(make_run) -> None:
    a, b = (make_run(*((dict(fields, speaker="1"), text) for fields, text in clips(20, n))) for n in (3, 1))
    comparison = compare_runs(a, b)
    assert comparison.measures[0].overall.difference.interval is None
    assert "one speaker or clip is not enough" in verdicts(comparison)[0]


def test_holm_corrects_the_rows_together(make_run) -> None:
    noisy = [(1, 2), (2, 1), (1, 2), (2, 2), (3, 1), (1, 1), (2, 3), (1, 0)]
    a = make_run(*clips(8, 2), *(clip for n, _ in noisy for clip in clips(1, n, language="de", dataset="b")))
    b = make_run(*clips(8, 1), *(clip for _, n in noisy for clip in clips(1, n, language="de", dataset="b")))
    (measure,) = compare_runs(a, b).measures
    rows = [*measure.languages.values(), *measure.datasets.values()]
    by_p = sorted(rows, key=lambda row: row.difference.p)
    p = [row.difference.p for row in by_p]
    assert by_p[0].p_holm == pytest.approx(4 * p[0])
    assert by_p[1].p_holm == pytest.approx(max(4 * p[0], 3 * p[1]))
    assert by_p[3].p_holm == min(1.0, max(2 * p[2], p[3]))
    assert measure.overall.p_holm is None


def test_only_what_both_answered_is_compared(make_run) -> None:
    a, b = make_run(*clips(5, 1)), make_run(*clips(5, 0))
    b = replace(b, hypotheses={name: text for name, text in b.hypotheses.items() if name != "clip-0"})
    a = replace(a, hypotheses={name: text for name, text in a.hypotheses.items() if name not in {"clip-1", "clip-2"}})
    b = replace(b, references={**b.references, "clip-3": replace(b.references["clip-3"], text="other words")})
    comparison = compare_runs(a, b)
    assert (comparison.n_common, comparison.n_only_a, comparison.n_only_b, comparison.n_other_reference) == (1, 1, 2, 1)
    assert comparison.measures[0].overall.n_clips == 1


def shown(comparison) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(*comparison_as_tables(comparison), sep="\n")
    return " ".join(capture.get().split())


def test_clips_that_failed_are_named(make_run) -> None:
    a = make_run(*clips(6, 1))
    b = make_run(*((fields, None if number else text) for number, (fields, text) in enumerate(clips(6, 1))))
    comparison = compare_runs(a, b)
    assert (comparison.n_failed_a, comparison.n_failed_b) == (0, 5)
    assert "5 of 6 clips failed in B and count as deleted." in shown(comparison)
    assert "failed in A" not in shown(comparison)
    assert comparison_as_json(comparison)["n_failed_b"] == 5
    named = [({"text": "de", "language": "de"}, {"text": "", "language": "de"})] * 2
    one_failed = make_run(named[0], (named[1][0], None), job="detect-language")
    said = shown(compare_runs(one_failed, make_run(*named, job="detect-language")))
    assert "1 of 2 clips failed in A and counts as wrong." in said


def test_the_note_on_holm_is_for_several_rows(make_run) -> None:
    several = shown(compare_runs(make_run(*clips(8, 2)), make_run(*clips(8, 1))))
    assert "corrected for the 2 rows that have one. * where it is below 0.05; overall, where p is" in several
    voices = [({"text": SENTENCE, "language": name, "dataset": "a"}, SENTENCE) for name in ("en", "de")]
    one = shown(compare_runs(make_run(*voices), make_run(*voices)))
    assert "corrected for" not in one
    assert "* where p is below 0.05" in one


def test_translations_are_compared_by_both_scores(make_run) -> None:
    good = ["The house is small.", "I would like some tea, please.", "Where is the station?"]
    poor = ["A house small.", "I like tea.", None]
    fields = [{"text": text, "language": "de"} for text in good]
    a, b = (make_run(*zip(fields, texts, strict=True), job="translate") for texts in (poor, good))
    bleu, chrf = compare_runs(a, b).measures
    empty_if_failed = [text or "" for text in poor]
    assert bleu.overall.a == pytest.approx(sacrebleu.corpus_bleu(empty_if_failed, [good]).score)
    assert bleu.overall.b == pytest.approx(100)
    assert chrf.overall.a == pytest.approx(sacrebleu.corpus_chrf(empty_if_failed, [good]).score)
    assert (bleu.overall.difference.value > 0, chrf.overall.difference.interval.low > 0) == (True, True)
    comparison = compare_runs(a, b)
    assert comparison.n_better == 3
    assert verdicts(comparison)[1].startswith("No difference can be told at this sample size: B has ")  # of 3 clips
    assert " chrF more (" in verdicts(comparison)[1]


def test_languages_are_compared_by_accuracy(make_run) -> None:
    def run(*named: str):
        clips = (({"text": "de", "language": "de"}, {"text": "", "language": name}) for name in named)
        return make_run(*clips, job="detect-language")

    comparison = compare_runs(run("de", "nl", "nl", "de"), run("german", "de", "nl", "en"))
    (measure,) = comparison.measures
    assert (measure.measure, measure.overall.a, measure.overall.b) == (Measure.ACCURACY, 0.5, 0.5)
    assert [(change.id, change.better, change.text_b) for change in comparison.changes] == [
        ("clip-1", True, "de"),
        ("clip-3", False, "en"),
    ]


def test_what_cannot_be_compared_is_an_error(make_run) -> None:
    a = make_run(*clips(2, 1))
    with pytest.raises(ResultsError, match="same task"):
        compare_runs(a, make_run(*clips(2, 1), job="translate"))
    with pytest.raises(ResultsError, match="without a common one"):
        compare_runs(a, replace(a, hypotheses={}))
    translated = make_run(*clips(2, 1), job="translate")
    with pytest.raises(ResultsError, match="--normalizer"):
        compare_runs(translated, translated, normalizer=NormalizerName.WHISPER_BASIC)
