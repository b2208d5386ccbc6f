"""How much the encoder hears of a short window. In: frames of a window. Out: frames to pad it to.

Whisper was trained on windows padded to 30 s, and most of a short clip's time goes into encoding silence. It also
understands less silence, as long as there is some; where the text is doubtful the window is heard again in full
(docs/performance.md). Pure arithmetic.
"""

import math

from asr.features import FRAMES_PER_SECOND, N_FRAMES

__all__ = ["short_context"]

STRETCH, MARGIN_S = 1.5, 3.0
MIN_CONTEXT_S = 12.0


def short_context(n_frames: int) -> int:
    """Frames that are enough for a window of ``n_frames``: an even number, at most 3,000."""
    wanted_s = max(STRETCH * n_frames / FRAMES_PER_SECOND + MARGIN_S, MIN_CONTEXT_S)
    return min(2 * math.ceil(wanted_s * FRAMES_PER_SECOND / 2), N_FRAMES)
