from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import pytest
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

from eval.corpora import read_manifest
from eval.errors import ResultsError
from eval.hypotheses import Hypothesis, Reference, StoredRun
from eval.jobs import Job
from eval.normalizers import CHARACTER_LANGUAGES, NormalizerName, Unit
from eval.scoring import TranscriptionScores, score_run, score_transcriptions
from eval.scoring.types import ClipScore, ErrorGroup
from eval.targets import PhaseTimes
from eval.wer import ErrorCounts


@pytest.fixture(scope="module")
def scores(make_run) -> TranscriptionScores:
    return score_transcriptions(
        make_run(
            ({"text": "Mr. Smith won't go.", "dataset": "a"}, "mister smith will not go"),  # equal once normalized
            ({"text": "the cat sat on mats", "dataset": "a"}, "the hat sat on"),  # 1 S, 1 D of 5 words
            ({"text": "Guten Tag, Welt!", "language": "de", "dataset": "b"}, "guten tag schöne welt"),  # 1 I on 3
            ({"text": "你好吗？", "language": "zh", "dataset": "b"}, "你 好 啊"),  # 1 S on 3 characters
            ({"text": "", "language": None, "dataset": "noise"}, "Thank you."),  # 2 I on nothing
            ({"text": "hallo du", "language": "de", "dataset": "b"}, None),  # failed: 2 D
        )
    )


def test_numbers_by_hand(scores: TranscriptionScores) -> None:
    german = scores.languages["de"]
    assert german.counts == ErrorCounts(hits=3, insertions=1, deletions=2)
    assert (german.counts.rate, german.n_failed, german.unit) == (3 / 5, 1, "word")
    chinese = scores.languages["zh"]
    assert (chinese.counts.rate, chinese.counts.n_ref, chinese.unit) == (1 / 3, 3, "character")
    assert (scores.datasets["b"].unit, scores.datasets["b"].counts.n_ref) == ("mixed", 8)
    assert scores.characters.counts.rate == 1 / 3
    assert scores.overall.n_clips == 6
    assert scores.words.counts + scores.characters.counts == scores.overall.counts
    assert list(scores.dataset_languages) == ["a/en", "b/de", "b/zh", "noise/none"]


def test_every_clip_is_counted_by_word_and_by_character(scores: TranscriptionScores) -> None:
    clips = {clip.id: clip for clip in scores.clips}
    chinese = clips["clip-3"]
    assert (chinese.reference_text, chinese.hypothesis_text, chinese.unit) == ("你好吗", "你 好 啊", Unit.CHARACTER)
    assert (chinese.words.n_ref, chinese.characters.n_ref) == (1, 3)
    assert chinese.counts == chinese.characters
    assert clips["clip-2"].characters == ErrorCounts(hits=12, insertions=6)
    german = scores.languages["de"]
    assert german.words == german.counts
    assert german.characters == ErrorCounts(hits=12, insertions=6, deletions=7)


def test_an_empty_reference_has_no_rate_while_its_insertions_count(scores: TranscriptionScores) -> None:
    nobody = scores.languages["none"]
    assert (nobody.counts.rate, nobody.interval, nobody.counts.insertions) == (None, None, 2)
    assert scores.overall.counts.insertions == 3


def test_a_failed_clip_is_all_deleted(scores: TranscriptionScores) -> None:
    failed = scores.clips[-1]
    assert failed.failed
    assert failed.counts == ErrorCounts(deletions=2)


def test_the_normalizers_used_are_named(scores: TranscriptionScores) -> None:
    assert [use.name for use in scores.normalizers] == ["whisper-basic", "whisper-english"]
    assert all(use.version.startswith("whisper-normalizer 0.") and len(use.sha256) == 64 for use in scores.normalizers)


def test_a_normalizer_can_be_chosen(make_run) -> None:
    run = make_run(({"text": "colour of won't"}, "color of will not"))
    assert score_transcriptions(run).overall.counts.n_errors == 0
    basic = score_transcriptions(run, normalizer=NormalizerName.WHISPER_BASIC)
    assert basic.overall.counts.n_errors == 3
    assert [use.name for use in basic.normalizers] == ["whisper-basic"]


@pytest.mark.parametrize(("language", "unit"), [("zh", "character"), ("ja", "character"), ("th", "character"),
                                                ("yue", "character"), ("lo", "character"), ("ko", "word")])  # fmt: skip
def test_the_language_names_the_unit(make_run, language: str, unit: str) -> None:
    assert score_transcriptions(make_run(({"text": "a b", "language": language}, "a"))).overall.unit == unit


@pytest.mark.parametrize(("metric", "n_ref"), [("cer", 7), ("wer", 2), (None, 2)])
def test_a_metric_of_the_corpus_decides(make_run, metric: str | None, n_ref: int) -> None:
    run = make_run(({"text": "guten ta", "language": "de", "metric": metric}, "guten ta"))
    assert score_transcriptions(run).overall.counts.n_ref == n_ref


def test_a_unit_that_is_asked_for_overrules_both(make_run) -> None:
    run = make_run(({"text": "guten tag", "language": "de", "metric": "wer"}, "guten"), ({"text": "a b"}, "a b"))
    forced = score_transcriptions(run, unit=Unit.CHARACTER)
    assert (forced.overall.unit, forced.overall.counts.n_ref) == ("character", 10)
    assert forced.words.n_clips == 0


def test_spaces_are_no_characters(make_run) -> None:
    run = make_run(({"text": "你好 世界", "language": "zh"}, "你好世界"))
    assert score_transcriptions(run).overall.counts == ErrorCounts(hits=4)


def test_headline_leaves_out_what_is_reported_apart(make_run) -> None:
    scores = score_transcriptions(
        make_run(
            ({"text": "good morning"}, "good morning"),
            ({"text": "yes", "single_word": True}, "no"),
            ({"text": "a b c", "dataset": "an4"}, "a b"),
            ({"text": "salom dunyo", "language": "uz", "quality": 'unvalidated (CV "other" split)'}, "x y"),
            ({"text": "one", "quality": "doubtful"}, "one"),
        )
    )
    assert scores.headline.counts == ErrorCounts(hits=2)
    assert scores.overall.n_clips == 5
    assert {name: group.n_clips for name, group in scores.apart.items()} == {
        "doubtful": 2,
        "spelled": 1,
        "single_word": 1,
    }


def test_lengths_are_those_that_the_target_measured(make_run) -> None:
    def clip(reference_s: float | None, measured_s: float | None, text: str = "a"):
        return {"text": text, "duration": reference_s}, {"text": "a", "duration": measured_s}

    run = make_run(clip(9, 1.99), clip(2, None), clip(None, 29.9), clip(None, 30), clip(None, None), clip(3, 3, ""))
    lengths = score_transcriptions(run).lengths
    assert [(name, group.n_clips) for name, group in lengths.items()] == [
        ("< 2 s", 1),
        ("2-5 s", 1),  # the silent one is not among them
        ("20-30 s", 1),
        (">= 30 s", 1),
    ]


def test_speed_is_that_of_clips_that_did_not_fail(make_run) -> None:
    times = PhaseTimes(audio=0.1, encode=0.2, decode=0.5)
    run = make_run(
        ({"text": "a"}, {"text": "a", "duration": 6, "seconds": 1.0, "times": times}),
        ({"text": "a", "duration": 2}, {"text": "a", "seconds": 1.0, "times": times}),
        ({"text": "a", "duration": 100}, None),
        ({"text": "a"}, {"text": "a", "seconds": 100.0}),  # of unknown length
    )
    speed = score_transcriptions(run).real_time
    assert (speed.audio_s, speed.wall_s, speed.x_real_time) == (8, 2, 4)
    assert speed.phases_s == {"audio": 0.2, "encode": 0.4, "decode": 1.0}


def test_clips_of_one_speaker_are_one_cluster(make_run) -> None:
    def clip(**fields: str):
        return {"text": "a b", **fields}, "a"

    run = make_run(
        clip(speaker="1", dataset="x"), clip(speaker="1", dataset="x"), clip(speaker="1", dataset="y"), clip(), clip()
    )
    scores = score_transcriptions(run)
    assert (scores.overall.n_clusters, scores.datasets["x"].n_clusters) == (4, 1)
    assert scores.datasets["x"].few_voices
    assert scores.datasets["x"].interval is not None
    assert scores.datasets["y"].interval is None
    assert (scores.overall.interval.low, scores.overall.interval.high) == (0.5, 0.5)


def test_an_unfinished_run_says_so(make_run) -> None:
    run = make_run(({"text": "a"}, "a"), ({"text": "b"}, "b"))
    scores = score_transcriptions(replace(run, hypotheses={"clip-0": run.hypotheses["clip-0"]}))
    assert (scores.n_missing, scores.overall.n_clips) == (1, 1)


def test_nothing_to_score_is_an_error(make_run) -> None:
    for job in Job:
        with pytest.raises(ResultsError, match="no hypotheses"):
            score_run(make_run(job=job.value))


def test_an_option_without_use_is_an_error_not_silence(make_run) -> None:
    run = make_run(({"text": "good day"}, "good day"), job="translate")
    for options in ({"unit": Unit.WORD}, {"normalizer": NormalizerName.WHISPER_BASIC}):
        with pytest.raises(ResultsError, match="--task translate"):
            score_run(run, **options)
    with pytest.raises(ResultsError, match="'sing'"):
        score_run(make_run(({"text": "a"}, "a"), job="sing"))


def perturbed(text: str, *, chance: np.random.Generator) -> str:
    """The text with words and letters lost, doubled and exchanged, as a poor model would have it."""
    words = []
    for word in text.split():
        match int(chance.integers(12)):
            case 0:
                continue
            case 1:
                words += [word, word[::-1]]
            case 2:
                words.append(word[1:] + str(chance.choice(list("aeiou你ก"))))
            case _:
                words.append(word)
    cut = chance.random() < 0.05
    return "" if cut else " ".join(words)


@pytest.fixture(scope="module")
def perturbed_run(shared: Path) -> StoredRun:
    """Every clip of the development data, with a hypothesis made from its own text."""
    chance = np.random.default_rng(0)
    references, hypotheses = {}, {}
    for utterance in read_manifest(shared / "data" / "manifest.jsonl").utterances:
        reference = Reference.of(utterance, Job.TRANSCRIBE, key="k")
        if reference is not None:
            references[utterance.id] = reference
            text = perturbed(reference.text, chance=chance) or str(
                chance.choice(["", "Thank you.", "ご視聴ありがとう"])
            )
            hypotheses[utterance.id] = Hypothesis(id=utterance.id, key="k", text=text, seconds=1.0)
    return StoredRun(config={}, references=references, hypotheses=hypotheses)


def jiwer_rate(pairs: Iterable[tuple[str, str]], *, by_character: bool) -> float:
    """The corpus rate by jiwer alone. It refuses empty references, so what is inserted there is added by hand."""
    sides = [tuple("".join(text.split()) if by_character else text for text in pair) for pair in pairs]
    spoken = [list(side) for side in zip(*(pair for pair in sides if pair[0]), strict=True)]
    inserted = sum(len(text if by_character else text.split()) for reference, text in sides if not reference)
    n_ref = sum(len(text if by_character else text.split()) for text in spoken[0])
    return (jiwer.cer if by_character else jiwer.wer)(*spoken) + inserted / n_ref


def test_rates_equal_those_of_jiwer_on_the_same_normalized_text(perturbed_run: StoredRun) -> None:
    english, basic = EnglishTextNormalizer(), BasicTextNormalizer()
    texts = {}
    for clip_id, reference in perturbed_run.references.items():
        rewrite = english if reference.language == "en" else basic
        both = (reference.text, perturbed_run.hypotheses[clip_id].text)
        texts[clip_id] = tuple(" ".join(rewrite(text).split()) for text in both)
    scores = score_transcriptions(perturbed_run)

    def clips_of(language: str | None) -> list[tuple[str, str]]:
        return [texts[clip_id] for clip_id, clip in perturbed_run.references.items() if clip.language == language]

    assert len(scores.languages) > 20
    for language, group in scores.languages.items():
        if language == "none":
            assert group.counts.rate is None
            continue
        pairs = clips_of(language)
        assert abs(group.words.rate - jiwer_rate(pairs, by_character=False)) < 1e-9, language
        assert abs(group.characters.rate - jiwer_rate(pairs, by_character=True)) < 1e-9, language
        assert group.counts == (group.characters if language in CHARACTER_LANGUAGES else group.words), language
    everything = list(texts.values())
    assert abs(scores.overall.words.rate - jiwer_rate(everything, by_character=False)) < 1e-9
    assert abs(scores.overall.characters.rate - jiwer_rate(everything, by_character=True)) < 1e-9


def test_every_way_of_grouping_adds_up_to_the_same_whole(perturbed_run: StoredRun) -> None:
    scores = score_transcriptions(perturbed_run)

    def total(groups: Iterable[ErrorGroup | ClipScore]) -> ErrorCounts:
        return sum((group.counts for group in groups), ErrorCounts())

    ways = (scores.languages, scores.datasets, scores.dataset_languages, {1: scores.words, 2: scores.characters})
    for groups in ways:
        assert total(groups.values()) == scores.overall.counts
    assert total(scores.clips) == scores.overall.counts
    for group in scores.languages.values():
        if group.interval is not None:
            assert group.interval.low <= group.counts.rate <= group.interval.high


def test_fewer_than_five_voices_are_drawn_clip_by_clip(make_run) -> None:
    def voices(n: int) -> ErrorGroup:
        clips = [({"text": "a b", "speaker": str(i % n)}, "a b" if i % 2 else "a") for i in range(40)]
        return score_transcriptions(make_run(*clips)).overall

    few, enough = voices(4), voices(5)
    assert (few.n_clusters, few.few_voices) == (4, True)
    assert (enough.n_clusters, enough.few_voices) == (5, False)
    assert few.interval == voices(2).interval  # over the same forty clips, whoever speaks them
