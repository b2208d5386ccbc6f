import pytest

from eval.report.paper import rates_beside_the_paper, translations_beside_the_paper
from eval.report.transcriptions import transcription_chapter

WORDS = ["all", "of", "these", "are", "plain", "words", "that", "nobody", "would", "rewrite"]


def clips(dataset: str, language: str, wrong: int, n: int = 8):
    text = " ".join(WORDS)
    return tuple(
        (f"{dataset}-{language}-{index}", language, dataset, text, " ".join(["wrong"] * wrong + WORDS[wrong:]))
        for index in range(n)
    )


def rows(section) -> dict[str, dict[str, str]]:
    (table,) = section.tables
    heads = [column.name for column in table.columns]
    return {row[0].text: dict(zip(heads, (cell.text for cell in row), strict=True)) for row in table.rows}


def test_figures_stand_beside_each_other(write_run, scored):
    mixed = (*clips("librispeech_test-clean", "en", 0, 3), *clips("librispeech_test-clean", "en", 1, 5)[3:])
    folder = write_run(clips=(*mixed, *clips("common_voice_6.1", "en", 5), *clips("ljspeech", "en", 1)))
    found = rows(rates_beside_the_paper(scored(folder).scores))
    assert set(found) == {"librispeech_test-clean/en", "common_voice_6.1/en"}
    clean, near = found["librispeech_test-clean/en"], found["common_voice_6.1/en"]
    assert (clean["paper, %"], clean["where"], clean["remarks"]) == ("5.0", "Table 8", "same decoding")
    assert (clean["ours, %"], clean["clips"], clean["the paper is"]) == ("4.0", "5", "inside the interval")
    assert near["the paper is"] == "outside: ours is 28.4 higher"
    assert near["remarks"] == "same decoding; near match: the paper has Common Voice 5.1"


@pytest.mark.parametrize("model", ["base", "a-finetune"])
def test_where_the_paper_has_nothing_the_section_says_so(write_run, scored, model):
    dataset = "ljspeech" if model == "base" else "librispeech_test-clean"
    section = rates_beside_the_paper(scored(write_run(clips=clips(dataset, "en", 1), model=model)).scores)
    assert not section.tables
    assert model in section.remarks[0]


def test_another_decoding_is_said(write_run, scored):
    folder = write_run(clips=clips("fleurs", "de", 1))
    assert rows(rates_beside_the_paper(scored(folder).scores))["fleurs/de"]["remarks"] == (
        "beam with fallback there, another decoding here"
    )


def test_units_must_be_the_papers(write_run, scored):
    # Korean is by word here and there, Chinese by character.
    folder = write_run(clips=(("zh", "zh", "fleurs", "你好吗", "你好"), ("ko", "ko", "fleurs", "안녕 하세요", "안녕")))
    found = rows(rates_beside_the_paper(scored(folder).scores))
    assert found["fleurs/zh"]["size"] == "3 characters"
    assert found["fleurs/ko"]["size"] == "2 words"


def test_only_covost_has_a_translation_beside_it(write_run, scored):
    text = "the cat sat on the mat and slept"
    folder = write_run("translate", (("a", "de", "covost2", text, text), ("b", "fr", "fleurs", text, text)))
    found = rows(translations_beside_the_paper(scored(folder).scores))
    assert list(found) == ["covost2/de"]
    assert (found["covost2/de"]["paper"], found["covost2/de"]["where"]) == ("11.7", "Table 15")
    other = write_run("translate", (("b", "fr", "fleurs", text, text),), name="other")
    assert "CoVoST 2" in translations_beside_the_paper(scored(other).scores).remarks[0]


def test_an_interval_of_few_voices_is_marked(write_run, scored):
    scores = scored(write_run(clips=clips("librispeech_test-clean", "en", 1), speaker="1089")).scores
    row = rows(rates_beside_the_paper(scores))["librispeech_test-clean/en"]
    assert row["remarks"] == "same decoding; 1 speaker here"
    chapter = transcription_chapter(scores, n_worst=1)
    assert (chapter.figures[0].interval or "").endswith(" †")
    assert chapter.sections[0].tables[0].rows[0][2].text.endswith(" †")
    assert "these voices alone" in chapter.warnings[0]
