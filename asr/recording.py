"""One channel under way. In: its features and a session. Out: windows as the engine hears them; channels, joined.

Knows no engine, no files and no threads.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from asr.audio import Waveform
from asr.audio_context import context_of
from asr.features import N_FRAMES, LogMel
from asr.longform import LanguageWindow, LongFormSession
from asr.memo import WindowAnswers
from asr.options import TranscribeOptions
from asr.ticket import Ticket
from asr.transcript import Segment, Timing, Transcript

__all__ = ["MIN_SHARED_FRAMES", "Recording", "joined"]

MIN_SHARED_FRAMES = 2000  # a longer window with zeros after it is heard as it is decoded, in one encoding
REMEMBERED_WINDOWS = 16  # twice those that are decoded together: some are listened to for their language


@dataclass(slots=True)
class Recording:
    """One channel under way."""

    waveform: Waveform
    mel: LogMel
    session: LongFormSession
    options: TranscribeOptions
    channel: int | None
    ticket: Ticket
    answers: WindowAnswers
    """What was said of its windows before."""
    _windows: OrderedDict[tuple[int, int, int], Tensor] = field(default_factory=OrderedDict)

    def window(self, seek: int, n_frames: int, padded_to: int) -> Tensor:
        """The same tensor for every question about a window: the decoder then encodes it once."""
        key = (seek, n_frames, padded_to)
        if key not in self._windows:
            self._windows[key] = self.mel.padded_window(seek, n_frames, padded_to)
        self._windows.move_to_end(key)
        while len(self._windows) > REMEMBERED_WINDOWS:
            self._windows.popitem(last=False)
        return self._windows[key]

    def to_name_language(self, window: LanguageWindow) -> Tensor:
        """As decoding hears the window, in the same encoding, unless zeros would be much of it."""
        padded_to = context_of(window.n_frames, self.options.context)
        if padded_to == N_FRAMES and window.n_frames < MIN_SHARED_FRAMES:
            return self.mel.followed_by_silence(window.seek, window.n_frames)
        return self.window(window.seek, window.n_frames, padded_to)


def joined(
    recordings: Sequence[Recording], segments: Sequence[Segment], options: TranscribeOptions, timing: Timing
) -> Transcript:
    """The transcript of a recording's channels; of several, the one in which most is said names the language of all."""
    n_said = [sum(segment.channel == recording.channel for segment in segments) for recording in recordings]
    main = recordings[n_said.index(max(n_said))].session
    warnings = [*recordings[0].waveform.warnings, *main.warnings]
    language_probs = main.language_probs
    if language_probs and max(language_probs.values()) < options.language_threshold:
        best = f"{main.language} {language_probs[main.language or 'en']:.2f}"
        warnings.append(f"the language is uncertain ({best}); name it with the option language")
    suppressed = [
        replace(each, channel=recording.channel) for recording in recordings for each in recording.session.suppressed
    ]
    spans = [
        replace(span, channel=recording.channel) for recording in recordings for span in recording.session.languages
    ]
    return Transcript(
        task=options.task,
        language=main.language or options.language or "en",
        language_probs=language_probs,
        duration=recordings[0].waveform.duration,
        segments=tuple(segments),
        suppressed=tuple(sorted(suppressed, key=lambda each: each.start)),
        languages=tuple(sorted(spans, key=lambda span: span.start)),
        warnings=tuple(warnings),
        timing=timing,
    )
