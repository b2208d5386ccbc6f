"""Speech as it is spoken: windows to decode, text that is partial and then final. Knows no model and no audio."""

from asr.streaming.session import StreamingSession
from asr.streaming.turns import SpeechStarted, SpeechStopped
from asr.streaming.types import (
    Final,
    Hypothesis,
    Partial,
    StreamingEvent,
    StreamingOptions,
    StreamingWindow,
    UtteranceEnded,
)

__all__ = [
    "Final",
    "Hypothesis",
    "Partial",
    "SpeechStarted",
    "SpeechStopped",
    "StreamingEvent",
    "StreamingOptions",
    "StreamingSession",
    "StreamingWindow",
    "UtteranceEnded",
]
