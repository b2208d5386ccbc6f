"""Words with times. In: a window's tokens, each placed in time, and its segments. Out: the ``Word``s of each segment.

The words of a segment, joined, are its text. Pure arithmetic on texts and times: knows no model and no audio; voice
activity comes as plain (start, end) pairs.
"""

import string
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from asr.decoding.types import DecodingResult, TokenTime
from asr.errors import AuricleError
from asr.tokenizer import Tokenizer
from asr.transcript import Segment, Word

__all__ = ["snap_words", "words_of_segments"]

LANGUAGES_WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
OPENING_MARKS = "\"'“¿([{-"
ALWAYS_OPENING_MARKS = "“¿([{"  # the others open only after a space
CLOSING_MARKS = "\"'.。,，!！?？:：”)]}、"
SENTENCE_END_MARKS = ".。!！?？"

MAX_MEDIAN_S = 0.7  # a window of few, long words says little about how long words are
LONG_IN_MEDIANS = 2  # a word at a boundary that is longer than this many medians holds silence too
PAUSE_IN_MEDIANS = 4  # what ends later than this after the last speech had a pause before it
TOLERANCE_S = 0.5  # between a segment's predicted time and its words'; and between a word and the speech near it


@dataclass(slots=True)
class _Piece:
    """Tokens that belong together, while they become a word: seconds from the window's start."""

    text: str
    start: float
    end: float
    probabilities: tuple[float, ...]
    after_sentence: bool = False

    @property
    def mark(self) -> str:
        """The text without spaces when it is nothing but ASCII punctuation or marks that stand at words."""
        bare = self.text.strip()
        return bare if all(sign in string.punctuation + OPENING_MARKS + CLOSING_MARKS for sign in bare) else ""


def words_of_segments(
    segments: Sequence[Segment],
    result: DecodingResult,
    tokenizer: Tokenizer,
    *,
    language: str,
    offset: float,
    end: float,
) -> list[tuple[Word, ...]]:
    """The words of each segment.

    ``segments`` are segments of the window that ``result`` (with its ``token_times``) says, in order; some may be
    missing. ``language`` is the text's: "en" for a translation. ``offset`` and ``end``: where the window starts and the
    recording ends, in seconds of the recording, as the words' times are. Times are rounded to 10 ms and never run
    backwards.
    """
    pieces_of_segments = [
        _pieces(segment, times, tokenizer, language)
        for segment, times in zip(segments, _times_of_segments(segments, result, tokenizer), strict=True)
    ]
    typical = _typical_duration([piece for pieces in pieces_of_segments for piece in pieces])
    placed: list[tuple[Word, ...]] = []
    last_speech = 0.0
    for segment, pieces in zip(segments, pieces_of_segments, strict=True):
        words = _merge_marks(pieces)
        if words:
            _shorten_after_sentences(words, typical)
            _shorten_after_pause(words, typical, last_speech)
            _shorten_to_segment(words, typical, segment.start - offset, segment.end - offset)
            last_speech = words[-1].end
        placed.append(tuple(_word(word, offset, end) for word in words))
    return placed


def _times_of_segments(
    segments: Sequence[Segment], result: DecodingResult, tokenizer: Tokenizer
) -> Iterator[Sequence[TokenTime]]:
    """The part of ``token_times`` that is each segment's; what was left out between segments is passed over."""
    tokens, place = result.tokens, 0
    for segment in segments:
        n_tokens = len(segment.tokens)
        while tokens[place : place + n_tokens] != segment.tokens:
            place += 1
            if place + n_tokens > len(tokens):
                raise AuricleError(f"segment {segment.id} ({segment.text!r}) is not part of the window's tokens")
        first = _n_text(tokens[:place], tokenizer)
        yield result.token_times[first : first + _n_text(segment.tokens, tokenizer)]
        place += n_tokens


def _n_text(tokens: Sequence[int], tokenizer: Tokenizer) -> int:
    return sum(token < tokenizer.eot for token in tokens)


def _pieces(segment: Segment, times: Sequence[TokenTime], tokenizer: Tokenizer, language: str) -> list[_Piece]:
    """The segment's text cut where a word or a mark begins: at spaces, or at every character that is complete."""
    pieces: list[_Piece] = []
    for text, n_tokens in _characters(segment, tokenizer):
        (first, *_), last = times[:n_tokens], times[n_tokens - 1]
        piece = _Piece(text, first.start, last.end, tuple(time.probability for time in times[:n_tokens]))
        times = times[n_tokens:]
        begins = language in LANGUAGES_WITHOUT_SPACES or text[:1].isspace() or bool(piece.mark)
        if not pieces or (begins and not (piece.mark and pieces[-1].text.isspace())):
            pieces.append(piece)
        else:
            before = pieces[-1]
            before.text += text
            before.end = piece.end
            before.probabilities += piece.probabilities
    return pieces


def _characters(segment: Segment, tokenizer: Tokenizer) -> Iterator[tuple[str, int]]:
    """The text in parts of whole characters, each with its number of tokens: a token may hold part of a character.

    Parts are slices of the text, so that they always join to it, broken characters included.
    """
    tokens = [token for token in segment.tokens if token < tokenizer.eot]
    parts: list[tuple[str, int]] = []
    place = first = 0
    for last in range(1, len(tokens) + 1):
        text = tokenizer.decode(tokens[first:last])
        if text and segment.text.startswith(text, place):
            parts.append((text, last - first))
            place, first = place + len(text), last
    rest, n_rest = segment.text[place:], len(tokens) - first
    if parts and (rest or n_rest):
        text, n_tokens = parts.pop()
        parts.append((text + rest, n_tokens + n_rest))
    elif n_rest:
        parts.append((rest, n_rest))
    return iter(parts)


def _merge_marks(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Opening marks join the word after them, closing ones the word before; times and probabilities stay the word's."""
    words: list[_Piece] = []
    opening = ""
    after_sentence = False
    for place, piece in enumerate(pieces):
        is_last = place == len(pieces) - 1
        if not is_last and _opens(piece):
            opening += piece.text
            continue
        if words and not opening and _closes(piece):
            words[-1].text += piece.text
        else:
            words.append(replace(piece, text=opening + piece.text, after_sentence=after_sentence))
            opening = ""
        after_sentence = bool(piece.mark) and all(sign in SENTENCE_END_MARKS for sign in piece.mark)
    return words


def _opens(piece: _Piece) -> bool:
    mark = piece.mark
    if piece.text.isspace():
        return True
    if not mark or any(sign not in OPENING_MARKS for sign in mark):
        return False
    return piece.text[0].isspace() or all(sign in ALWAYS_OPENING_MARKS for sign in mark)


def _closes(piece: _Piece) -> bool:
    return piece.text.isspace() or (bool(piece.mark) and all(sign in CLOSING_MARKS for sign in piece.text))


def _typical_duration(pieces: Sequence[_Piece]) -> float:
    durations = [piece.end - piece.start for piece in pieces if piece.end > piece.start]
    return min(median(durations), MAX_MEDIAN_S) if durations else 0.0


def _shorten_after_sentences(words: Sequence[_Piece], typical: float) -> None:
    """The first word of a sentence does not begin in the pause before it."""
    for word in words:
        if word.after_sentence:
            word.start = max(word.start, word.end - LONG_IN_MEDIANS * typical)


def _shorten_after_pause(words: Sequence[_Piece], typical: float, last_speech: float) -> None:
    """After a pause, neither of a segment's first two words is long: the pause was heard as part of them."""
    limit = LONG_IN_MEDIANS * typical
    first, *others = words
    if first.end - last_speech <= PAUSE_IN_MEDIANS * typical:
        return
    both_too_long = bool(others) and others[0].end - first.start > 2 * limit
    if first.end - first.start <= limit and not both_too_long:
        return
    if others and others[0].end - others[0].start > limit:
        first.end = others[0].start = others[0].end - limit
    first.start = max(first.start, first.end - limit)


def _shorten_to_segment(words: Sequence[_Piece], typical: float, start: float, end: float) -> None:
    """The model's own times win where a long first or last word sticks far out of them."""
    first, last = words[0], words[-1]
    if first.start + TOLERANCE_S < start < first.end:
        first.start = max(first.start, min(first.end - typical, start))
    if last.start < end < last.end - TOLERANCE_S:
        last.end = min(last.end, max(last.start + typical, end))


def _word(piece: _Piece, offset: float, end: float) -> Word:
    return Word(
        word=piece.text,
        start=round(min(offset + piece.start, end), 2),
        end=round(min(offset + piece.end, end), 2),
        probability=sum(piece.probabilities) / len(piece.probabilities),
    )


def snap_words(words: Sequence[Word], speech: Sequence[tuple[float, float]]) -> list[Word]:
    """Pull words out of silence; ``speech``: where somebody speaks, (start, end) in seconds, sorted and apart.

    A word that begins in silence begins where speech does, one that ends in silence ends where speech ends. A word
    that lies in silence as a whole moves up to speech nearer than 0.5 s, as far as its neighbours let it; farther from
    speech it stays where it was heard. No word overtakes another.
    """
    clipped = [_clip(word, speech) for word in words]
    snapped: list[Word] = []
    for place, word in enumerate(clipped):
        low = snapped[-1].end if snapped else float("-inf")
        high = clipped[place + 1].start if place + 1 < len(clipped) else float("inf")
        snapped.append(_move_to_speech(word, speech, low, high))
    return snapped


def _clip(word: Word, speech: Sequence[tuple[float, float]]) -> Word:
    heard = speech[_overlapping(word, speech)]
    return _moved(word, max(word.start, heard[0][0]), min(word.end, heard[-1][1])) if heard else word


def _overlapping(word: Word, speech: Sequence[tuple[float, float]]) -> slice:
    first = bisect_right(speech, word.start, key=lambda stretch: stretch[1])
    return slice(first, bisect_left(speech, word.end, lo=first, key=lambda stretch: stretch[0]))


def _moved(word: Word, start: float, end: float) -> Word:
    return replace(word, start=round(start, 2), end=round(end, 2))


def _move_to_speech(word: Word, speech: Sequence[tuple[float, float]], low: float, high: float) -> Word:
    """``low`` and ``high``: how far the words before and after leave room."""
    around = _overlapping(word, speech)
    neighbours = speech[max(around.start - 1, 0) : around.stop + 1]
    nearest = min(neighbours, key=lambda stretch: _distance(word, stretch), default=None)
    if nearest is None or not 0 < _distance(word, nearest) < TOLERANCE_S:
        return word
    duration = word.end - word.start
    if nearest[0] >= word.end:
        start = max(word.start, min(nearest[0], high - duration))
        return _moved(word, start, max(word.end, min(start + duration, nearest[1])))
    end = min(word.end, max(nearest[1], low + duration))
    return _moved(word, min(word.start, max(end - duration, nearest[0])), end)


def _distance(word: Word, stretch: tuple[float, float]) -> float:
    """Seconds of silence between a word and a stretch of speech; 0 when they meet."""
    return max(stretch[0] - word.end, word.start - stretch[1], 0.0)
