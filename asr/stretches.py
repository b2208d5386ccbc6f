"""Where a recording is cut. In: voice activity, or the caller's clips. Out: stretches in frames of 10 ms.

Pure arithmetic: knows no model, no samples and no text. A stretch is what one walk reads (``asr.walk``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from asr.errors import InvalidOptionError
from asr.features import FRAMES_PER_SECOND, N_FRAMES, WINDOW_S
from asr.voice_activity import SpeechStretch, VoiceActivity

__all__ = ["Stretch", "clips_to_stretches", "cut_anywhere", "cut_at_pauses"]

MIN_CUT_S = 20.0  # a pause before this is passed over while a later one is still within the window
MAX_PAUSE_S = 8.0  # a longer pause ends a stretch; a shorter one may hide a voice too low for the detector
LEAD_S, TAIL_S = 1.0, 1.0  # of a longer pause that a stretch keeps before and after its speech


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Frames ``begin`` to ``end``."""

    begin: int
    end: int
    after_pause: bool = True
    """Whether it begins in a pause; False: the speech before it runs on, and a word may be cut."""


def clips_to_stretches(clips: Sequence[tuple[float, float | None]], n_frames: int) -> tuple[Stretch, ...]:
    """The caller's clips in frames; the whole recording when there are none.

    Raises InvalidOptionError for a clip that begins after the recording's end.
    """
    if not clips:
        return (Stretch(begin=0, end=n_frames),) if n_frames else ()
    stretches = []
    for start, end in clips:
        if start * FRAMES_PER_SECOND >= n_frames:
            message = f"clip_timestamps: got a start of {start:g} s, the recording ends at {n_frames / 100:.2f} s"
            raise InvalidOptionError(message, param="clip_timestamps")
        begin = round(start * FRAMES_PER_SECOND)
        stop = n_frames if end is None else round(min(end * FRAMES_PER_SECOND, n_frames))
        if stop > begin:
            stretches.append(Stretch(begin=begin, end=stop))
    return tuple(stretches)


def cut_at_pauses(
    stretch: Stretch, speech: Sequence[SpeechStretch], activity: VoiceActivity, *, keep_silence: bool
) -> list[Stretch]:
    """Cut into stretches of at most 30 s, in pauses as late as they come; speech without one is cut where it is lowest.

    ``speech``: what counts as speech, in order. Pauses of up to MAX_PAUSE_S go to their neighbours in halves; what is
    further from speech is in no stretch, unless ``keep_silence`` asks for it: then it is in stretches of its own.
    """
    begin_s, end_s = stretch.begin / FRAMES_PER_SECOND, stretch.end / FRAMES_PER_SECOND
    inside = [
        (max(each.start, begin_s), min(each.end, end_s)) for each in speech if each.end > begin_s and each.start < end_s
    ]
    groups = _group(_split_long(inside, activity))
    stretches: list[Stretch] = []
    for place, group in enumerate(groups):
        first, last = group[0][0], group[-1][1]
        before = first - (groups[place - 1][-1][1] if place else begin_s)
        after = (groups[place + 1][0][0] if place + 1 < len(groups) else end_s) - last
        # At the recording's own ends there is no neighbour to share the pause with.
        lead = _kept(before, LEAD_S, shared=place > 0)
        tail = _kept(after, TAIL_S, shared=place + 1 < len(groups))
        room = max(WINDOW_S - (last - first), 0.0)
        if lead + tail > room:
            lead, tail = lead * room / (lead + tail), tail * room / (lead + tail)
        stretches += _windows(first - lead, last + tail, after_pause=not place or before > 0)
    return _with_silence(stretches, stretch) if keep_silence else stretches


def _with_silence(stretches: list[Stretch], whole: Stretch) -> list[Stretch]:
    """The stretches, and what is between them."""
    filled, at = [], whole.begin
    for stretch in stretches:
        filled += [*_cut(at, stretch.begin), stretch]
        at = stretch.end
    return [*filled, *_cut(at, whole.end)]


def cut_anywhere(stretch: Stretch) -> list[Stretch]:
    """Stretches of 30 s, where nothing is known of pauses."""
    return _cut(stretch.begin, stretch.end)


def _kept(pause: float, margin: float, *, shared: bool) -> float:
    """How much of a pause a stretch keeps."""
    share = pause / 2 if shared else pause
    return share if pause <= MAX_PAUSE_S else min(margin, share)


def _split_long(inside: list[tuple[float, float]], activity: VoiceActivity) -> list[tuple[float, float]]:
    """Speech without a pause, cut where the voice is weakest, near the end of each window."""
    pieces = []
    for start, end in inside:
        begin = start
        while end - begin > WINDOW_S:
            cut = activity.quietest(begin + MIN_CUT_S, begin + WINDOW_S)
            pieces.append((begin, cut))
            begin = cut
        pieces.append((begin, end))
    return pieces


def _group(pieces: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Neighbours that share a window."""
    groups: list[list[tuple[float, float]]] = []
    group: list[tuple[float, float]] = []
    for piece in pieces:
        group.append(piece)
        while len(group) > 1 and group[-1][1] - group[0][0] > WINDOW_S:
            place = _best_cut(group)
            groups.append(group[:place])
            group = group[place:]
        if len(group) > 1 and group[-1][0] - group[-2][1] > MAX_PAUSE_S:
            groups.append(group[:-1])
            group = group[-1:]
    return [*groups, group] if group else groups


def _best_cut(group: list[tuple[float, float]]) -> int:
    """Index of the piece that begins the next window: after the longest pause that is late enough, else the last."""
    late = [i for i in range(1, len(group)) if group[i - 1][1] - group[0][0] >= MIN_CUT_S]
    return max(late, key=lambda i: group[i][0] - group[i - 1][1]) if late else len(group) - 1


def _windows(start_s: float, end_s: float, *, after_pause: bool = True) -> list[Stretch]:
    """``start_s`` to ``end_s`` in stretches of at most 30 s."""
    return _cut(round(start_s * FRAMES_PER_SECOND), round(end_s * FRAMES_PER_SECOND), after_pause=after_pause)


def _cut(begin: int, end: int, *, after_pause: bool = True) -> list[Stretch]:
    return [
        Stretch(begin=at, end=min(at + N_FRAMES, end), after_pause=after_pause and at == begin)
        for at in range(begin, end, N_FRAMES)
    ]
