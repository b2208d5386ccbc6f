import pytest

from data_pipeline.stages.lag import caption_lag, uncaptioned_words
from data_pipeline.types import Cue

SENTENCES = (
    "the ferry leaves at nine",
    "nobody had told her so",
    "some apples were red today",
    "we counted all the stars",
)


def captions(shift: float = 0.0) -> list[Cue]:
    """A sentence every 10 s, said in 4 s."""
    return [Cue(start=10 * n + shift, end=10 * n + 4 + shift, text=text) for n, text in enumerate(SENTENCES)]


def words(text: str, start: float = 0.0, step_s: float = 0.8) -> list[Cue]:
    return [
        Cue(start=start + n * step_s, end=start + (n + 1) * step_s, text=f" {word}")
        for n, word in enumerate(text.split())
    ]


HEARD = [word for n, text in enumerate(SENTENCES) for word in words(text, 10.0 * n)]


@pytest.mark.parametrize(
    ("cues", "heard", "lag"),
    [
        (captions(), HEARD, 0.0),
        (captions(2.5), HEARD, 2.5),
        (captions(-2.0), HEARD, -2.0),
        # One of four is elsewhere: the median does not mind.
        ([*captions()[:3], Cue(start=60, end=64, text=SENTENCES[3])], HEARD, 0.0),
        # What the model mishears at the beginning of a cue is passed over; a later word says when the cue began.
        (captions(2.0), [word for word in HEARD if word.text.strip() not in ("the", "nobody", "some", "we")], 2.0),
        # Of two cues alone nothing is known, nor of cues that nobody says.
        (captions(2.5)[:2], HEARD, None),
        ([Cue(start=4.0 * n, end=4.0 * n + 4, text="quite another text") for n in range(4)], HEARD, None),
        (captions(), [], None),
        ([], HEARD, None),
        # Where no spaces are written, a character is a word.
        (
            [Cue(start=10 * n + 2.0, end=10 * n + 4.0, text=text) for n, text in enumerate(("今日", "天気", "明日"))],
            [Cue(start=10 * n, end=10 * n + 2.0, text=text) for n, text in enumerate(("今日", "天気", "明日"))],
            2.0,
        ),
    ],
)
def test_lag(cues: list[Cue], heard: list[Cue], lag: float | None):
    found = caption_lag(cues, heard)
    assert found == (None if lag is None else pytest.approx(lag, abs=0.35))  # letters do not all take as long


@pytest.mark.parametrize(
    ("cues", "heard", "window", "n_words"),
    [
        (captions(), HEARD, (0.0, 30.0), 0),
        ([], [], (0.0, 30.0), 0),
        ([], HEARD, (0.0, 30.0), 20),
        # The second of the captions is missing.
        ([captions()[0], *captions()[2:]], HEARD, (0.0, 30.0), 5),
        # A row goes on over the window's end, and counts in both windows, but in no other.
        ([captions()[0], *captions()[2:]], HEARD, (0.0, 12.0), 5),
        ([captions()[0], *captions()[2:]], HEARD, (12.0, 30.0), 5),
        ([captions()[0], *captions()[2:]], HEARD, (20.0, 50.0), 0),
        # Captions that begin half a second late leave nothing out.
        (captions(0.5), HEARD, (0.0, 50.0), 0),
        # Two rows are not one.
        (captions()[1:2], [*words("one two", 0.0), *words("had told", 12.0), *words("three", 20.0)], (0.0, 30.0), 2),
    ],
)
def test_words_without_a_caption(cues: list[Cue], heard: list[Cue], window: tuple[float, float], n_words: int):
    assert uncaptioned_words(cues, heard, *window) == n_words
