from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.stages.clean import clean_captions, clean_text
from data_pipeline.types import Drop, Record


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Hello, world.", "Hello, world."),
        ("two\nlines", "two lines"),
        ("&amp;quot;Rock &amp;amp; roll&amp;quot;", '"Rock & roll"'),
        ("schÃ¶n, wie gewÃ¶hnlich", "schön, wie gewöhnlich"),
        ("<i>so</i> <font color='red'>red</font>", "so red"),
        ("{\\an8}up there", "up there"),
        ("now<00:00:01.500><c> then</c>", "now then"),
        ("a < b, and b > a", "a < b, and b > a"),
        (">> And then?", "And then?"),
        (">>> JOHN: And then?", "And then?"),
        ("- Yes.\n- No.", "Yes. No."),
        ("JOHN SMITH: Good morning.", "Good morning."),
        ("Speaker 2: Good morning.", "Good morning."),
        ("[Anna]: Good morning.", "Good morning."),
        ("Mary: Good morning.", "Good morning."),
        ("The answer: forty-two.", "The answer: forty-two."),
        ("It is 10:30 now.", "It is 10:30 now."),
        ("[Music]", ""),
        ("♪ [upbeat music] ♪", ""),
        ("(applause) Thank you.", "Thank you."),
        ("(laughs nervously) Thank you.", "Thank you."),
        ("(GLASS BREAKS)", ""),
        ("We (that is, they) went home.", "We (that is, they) went home."),
        ("（笑）そうですね。", "そうですね。"),
        ("*coughs* Sorry.", "Sorry."),
        ("zero\u200bwidth\x07 bell\u202e", "zero width bell"),
        ("\ud800 alone", "alone"),
        ("e\u0301t\u00e9", "été"),
    ],
)
def test_text_is_cleaned(text: str, clean: str):
    assert clean_text(text) == clean


@given(st.text(st.characters(), max_size=200))
def test_no_text_breaks_it(text: str):
    clean = clean_text(text)
    assert clean == " ".join(clean.split())
    clean.encode()


def test_cues_without_text_go_and_the_others_keep_their_times(make_record: Callable[..., Record]):
    outcome = clean_captions(make_record("[Music]", "Hello."))
    assert isinstance(outcome, Record)
    assert [(cue.start, cue.end, cue.text) for cue in outcome.cues] == [(4.0, 8.0, "Hello.")]


def test_a_record_without_text_is_dropped(make_record: Callable[..., Record]):
    assert clean_captions(make_record("[Music]", " ")) == Drop(reason="no_text", value=2)
