"""Transcripts by hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from asr.tasks import Task
from asr.transcript import Segment, Transcript, Word

Cue = tuple[float, float, str]
BLANK = Segment(
    id=0, seek=0, start=0.0, end=0.0, text="", tokens=(1, 2), temperature=0.0, avg_logprob=-0.5, compression_ratio=1.5,
    no_speech_prob=0.01,
)  # fmt: skip


@pytest.fixture(scope="session")
def transcript() -> Callable[..., Transcript]:
    """A transcript of (start, end, text) segments."""

    def make(*cues: Cue, channel: int | None = None) -> Transcript:
        segments = tuple(
            replace(BLANK, id=index, start=start, end=end, text=text, channel=channel)
            for index, (start, end, text) in enumerate(cues)
        )
        return Transcript(task=Task.TRANSCRIBE, language="en", duration=90.0, segments=segments, warnings=("w",))

    return make


@pytest.fixture(scope="session")
def spoken() -> Callable[..., Transcript]:
    """A transcript of one segment of (start, end, word) words."""

    def make(*words: Cue, channel: int | None = None) -> Transcript:
        segment = replace(
            BLANK,
            start=words[0][0],
            end=words[-1][1],
            text="".join(text for _, _, text in words),
            words=tuple(Word(start=start, end=end, word=text, probability=0.5) for start, end, text in words),
            channel=channel,
        )
        return Transcript(task=Task.TRANSCRIBE, language="en", duration=90.0, segments=(segment,))

    return make
