"""How much the encoder hears of a short window. In: frames of a window. Out: frames to pad it to.

Whisper was trained on windows padded to 30 s, and most of a short clip's time goes into encoding silence. It also
understands less silence, as long as there is some; without any, only a model that was trained to. Where the text is
doubtful the window is heard again in full (docs/performance.md). Pure arithmetic.
"""

import math

from asr.features import FRAMES_PER_SECOND, N_FRAMES
from asr.options import AudioContext

__all__ = ["bare_context", "context_of", "short_context"]

STRETCH, MARGIN_S = 1.5, 3.0
MIN_CONTEXT_S = 12.0
MIN_BARE_S = 1.0


def context_of(n_frames: int, context: AudioContext) -> int:
    """Frames that are heard of a window of ``n_frames``: an even number, at most 3,000."""
    match context:
        case AudioContext.AUTO:
            return short_context(n_frames)
        case AudioContext.FIT:
            return bare_context(n_frames)
        case AudioContext.EXACT:
            return N_FRAMES


def short_context(n_frames: int) -> int:
    """Frames that are enough for a window of ``n_frames``, whatever the model."""
    wanted_s = max(STRETCH * n_frames / FRAMES_PER_SECOND + MARGIN_S, MIN_CONTEXT_S)
    return min(2 * math.ceil(wanted_s * FRAMES_PER_SECOND / 2), N_FRAMES)


def bare_context(n_frames: int) -> int:
    """The window and no silence, but for what makes a second of it; the encoder takes frames two by two."""
    return max(n_frames + n_frames % 2, round(MIN_BARE_S * FRAMES_PER_SECOND))
