from eval.scoring import score_languages, score_run, score_transcriptions
from eval.scoring.types import LanguageScores

AUTO = {"language": "auto"}


def named(language: str | None):
    return {"text": "", "language": language}


def test_accuracy_and_confusion_by_hand(make_run) -> None:
    run = make_run(
        ({"text": "de", "language": "de"}, named("de")),
        ({"text": "de", "language": "de"}, named("German")),  # services may answer with names
        ({"text": "de", "language": "de"}, named("nl")),
        ({"text": "nn", "language": "nn"}, named("norwegian")),
        ({"text": "fr", "language": "fr"}, None),
        ({"text": "", "language": None}, named("en")),  # nobody speaks
        job="detect-language",
    )
    scores = score_run(run)
    assert isinstance(scores, LanguageScores)
    found = scores.language_id
    assert (found.n_clips, found.n_correct, found.accuracy) == (5, 2, 0.4)
    assert found.by_language == {"de": (3, 2), "fr": (1, 0), "nn": (1, 0)}
    assert found.confusion == {"de": {"de": 2, "nl": 1}, "fr": {"failed": 1}, "nn": {"no": 1}}
    assert 0 <= found.interval.low < 0.4 < found.interval.high <= 1


def test_a_transcription_has_it_only_where_the_target_was_not_told(make_run) -> None:
    clip = ({"text": "a", "language": "en"}, {"text": "a", "language": "english"})
    assert score_transcriptions(make_run(clip, language="manifest")).language_id is None
    assert score_transcriptions(make_run(clip, **AUTO)).language_id.accuracy == 1.0
    silent_about_it = make_run(({"text": "a"}, "a"), **AUTO)
    assert score_transcriptions(silent_about_it).language_id is None
    nobody_speaks = make_run(({"text": "", "language": None}, named("en")), **AUTO)
    assert score_transcriptions(nobody_speaks).language_id is None


def test_without_a_known_language_there_is_no_accuracy(make_run) -> None:
    found = score_languages(make_run(({"text": "", "language": None}, named("en")))).language_id
    assert (found.n_clips, found.accuracy, found.interval) == (0, None, None)


def test_who_abstains_is_wrong_and_did_not_fail(make_run) -> None:
    german = {"text": "de", "language": "de"}
    run = make_run((german, named("de")), (german, named(None)), (german, None), job="detect-language")
    found = score_run(run).language_id
    assert (found.n_clips, found.n_correct) == (3, 1)
    assert found.confusion == {"de": {"de": 1, "failed": 1, "none": 1}}
