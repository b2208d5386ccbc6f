"""Tokens of one window to segments with times. In: ``DecodingResult``. Out: ``WindowSegments``, and how far it reached.

Pure arithmetic (Whisper 4.5): knows no model, no audio, no other window.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from asr.decoding.types import DecodingResult
from asr.features import FRAMES_PER_SECOND
from asr.tokenizer import TIMESTAMP_STEP_S, Tokenizer
from asr.transcript import Segment

__all__ = ["FRAMES_PER_TIMESTAMP", "WindowSegments", "split_at", "split_segments"]

FRAMES_PER_TIMESTAMP = round(TIMESTAMP_STEP_S * FRAMES_PER_SECOND)  # 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSegments:
    """Segments of one window in order, and the frames that the window was good for: the next one starts after them."""

    segments: tuple[Segment, ...]
    timeless: tuple[Segment, ...]
    """Text that the model gave no time: pieces without length, and what follows a last pair beyond the window."""
    n_frames_done: int


def split_segments(
    result: DecodingResult, tokenizer: Tokenizer, *, seek: int, n_frames: int, language: str
) -> WindowSegments:
    """Cut the tokens at pairs of timestamps.

    ``seek`` and ``n_frames``: start and length of the window in frames of 10 ms. Text after the last complete pair is
    left to the next window; a window that ends in one timestamp, or has no pair, is done to its end. Segments without
    text or length are left out, and none ends after its window. Their ids are counted within the window.
    """
    tokens = result.tokens
    begin = tokenizer.timestamp_begin
    is_time = [token >= begin for token in tokens]
    cuts = [i for i in range(1, len(tokens)) if is_time[i - 1] and is_time[i]]
    ends_in_one_time = is_time[-2:] == [False, True]
    if cuts and ends_in_one_time:
        cuts.append(len(tokens))

    pieces: list[tuple[int, int, Sequence[int]]]  # start and end in frames from the window's start, tokens
    if cuts:
        pieces = [
            # Without timestamp rules the first piece may begin with text: it then starts with the window.
            (_frames(max(tokens[start] - begin, 0)), _frames(tokens[end - 1] - begin), tokens[start:end])
            for start, end in zip([0, *cuts], cuts, strict=False)
        ]
        n_frames_done = n_frames if ends_in_one_time else _frames(tokens[cuts[-1] - 1] - begin)
        if n_frames_done >= n_frames:
            pieces.append((n_frames, n_frames, tokens[cuts[-1] :]))
    else:
        # Before any text it is where the text begins, not where it ends.
        texts = [i for i, is_one in enumerate(is_time) if not is_one]
        times = [token - begin for token in tokens[texts[0] :] if token >= begin] if texts else []
        pieces = [(0, _frames(times[-1]) if times and times[-1] else n_frames, tokens)]
        n_frames_done = n_frames

    segments: list[Segment] = []
    timeless: list[Segment] = []
    for start, end, piece in pieces:
        text = tokenizer.decode(piece)
        if text.strip():
            heard = (min(start, n_frames), min(end, n_frames))  # nothing is heard in the padding of a short window
            segment = _segment(result, piece, text, times=heard, seek=seek, language=language, id_=len(segments))
            (timeless if heard[0] == heard[1] else segments).append(segment)
    return WindowSegments(segments=tuple(segments), timeless=tuple(timeless), n_frames_done=n_frames_done)


def split_at(segment: Segment, time: float, tokenizer: Tokenizer) -> list[Segment]:
    """Cut a segment between the words heard before ``time`` and those after; whole where all are on one side."""
    before = [word for word in segment.words if (word.start + word.end) / 2 < time]
    after = segment.words[len(before) :]
    if not before or not after:
        return [segment]
    text = segment.text[: sum(len(word.word) for word in before)]
    cut = next(i for i in range(len(segment.tokens) + 1) if tokenizer.decode(segment.tokens[:i]).startswith(text))
    # Words may lie beside the predicted times: a piece reaches over its own.
    first = replace(
        segment,
        start=min(segment.start, before[0].start),
        end=before[-1].end,
        text=text,
        tokens=segment.tokens[:cut],
        words=tuple(before),
    )
    second = replace(
        segment,
        start=after[0].start,
        end=max(segment.end, after[-1].end),
        text=segment.text[len(text) :],
        tokens=segment.tokens[cut:],
        words=after,
    )
    return [first, second]


def _frames(n_steps: int) -> int:
    return n_steps * FRAMES_PER_TIMESTAMP


def _segment(  # noqa: PLR0913 (what a segment is made of)
    result: DecodingResult,
    tokens: Sequence[int],
    text: str,
    *,
    times: tuple[int, int],
    seek: int,
    language: str,
    id_: int,
) -> Segment:
    return Segment(
        id=id_,
        seek=seek,
        start=round((seek + times[0]) / FRAMES_PER_SECOND, 2),
        end=round((seek + times[1]) / FRAMES_PER_SECOND, 2),
        text=text,
        tokens=tuple(tokens),
        temperature=result.temperature,
        avg_logprob=result.avg_logprob,
        compression_ratio=result.compression_ratio,
        no_speech_prob=result.no_speech_prob,
        language=language,
    )
