"""What a model hears, for language and agreement. In: a chunk's records that are still there. Out: scores, a line each.

Recordings go to the model's batching engine in the order of the chunk. Probabilities and times are rounded to three
digits, so that a last bit decides nothing. Knows no decoder: ``Listener`` does.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Protocol

from asr.audio import SAMPLE_RATE, Waveform
from asr.errors import AuricleError
from asr.language_vote import Ballot, vote
from asr.options import Quantization, TranscribeOptions
from asr.transcript import Transcript
from data_pipeline.audio import AudioReader
from data_pipeline.chunks import ChunkSummary, RunFolder
from data_pipeline.packing import early_stages
from data_pipeline.recipe import ModelChoice, Recipe
from data_pipeline.stages.segmenting import WINDOW_S
from data_pipeline.storage import read_lines, record_from_json, write_lines
from data_pipeline.types import Cue, Drop, Record, SpokenLanguage

__all__ = ["Listener", "ModelListener", "hear_chunk", "hear_with_model"]

CLEAR = 0.9  # a vote of two windows above it has both above 0.8; asking thirds of a recording costs half of hearing it


class Listener(Protocol):
    """Whoever hears."""

    def hear(self, recordings: Iterable[Waveform]) -> Iterator[tuple[SpokenLanguage | None, tuple[Cue, ...] | None]]:
        """Of each in order: the language where it can tell one from others, and the words."""


class ModelListener:
    """A model of ours, several recordings at a time."""

    def __init__(self, choice: ModelChoice) -> None:
        from asr.transcriber import Transcriber

        self._transcriber = Transcriber.load(choice.name, quantization=Quantization(choice.quantization))

    def hear(self, recordings: Iterable[Waveform]) -> Iterator[tuple[SpokenLanguage | None, tuple[Cue, ...] | None]]:
        """See Listener; the language is voted for by three windows or more along what is longer than one, or by two
        that leave no doubt."""
        options = TranscribeOptions(beam_size=1, temperatures=(0.0,), word_timestamps=True)
        waiting: deque[Waveform] = deque()

        def remembered() -> Iterator[Waveform]:
            for recording in recordings:
                waiting.append(recording)
                yield recording

        for transcript in self._transcriber.transcribe_many(remembered(), options):
            recording = waiting.popleft()
            if isinstance(transcript, AuricleError):
                yield None, None
            else:
                words = _words(transcript)
                yield self._spoken(recording, transcript, words), words

    def _spoken(self, recording: Waveform, transcript: Transcript, words: tuple[Cue, ...]) -> SpokenLanguage | None:
        probabilities = transcript.language_probs
        if len(probabilities) < 2:  # a model of one language hears no other
            return None
        was_of_two = WINDOW_S < recording.duration <= 2 * WINDOW_S  # windows, of all that is said
        if was_of_two and max(probabilities.values()) < CLEAR:
            ballots = [self._ballot(recording, *third) for third in _thirds(recording.duration, words)]
            probabilities = vote(ballots) or probabilities
        language = max(probabilities, key=probabilities.__getitem__)
        return SpokenLanguage(language=language, probability=round(probabilities[language], 3))

    def _ballot(self, recording: Waveform, start: float, end: float) -> Ballot:
        part = Waveform(recording.samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)])
        return Ballot(start=start, end=end, probabilities=self._transcriber.detect_language(part).language_probs)


def hear_with_model(number: int, folder: RunFolder, recipe: Recipe, choice: ModelChoice) -> ChunkSummary:
    """``hear_chunk`` with a model that this process loads once."""
    return hear_chunk(number, folder, recipe, _model(choice))


@cache
def _model(choice: ModelChoice) -> ModelListener:
    return ModelListener(choice)


def hear_chunk(number: int, folder: RunFolder, recipe: Recipe, listener: Listener) -> ChunkSummary:
    """Write what is heard of the records that pass every stage that needs no model."""
    summary = ChunkSummary()
    records: list[Record] = []

    def waveforms() -> Iterator[Waveform]:
        reader = AudioReader(recipe.audio)
        for record in _remaining(number, folder, recipe):
            samples = reader.read(record.audio)
            if not isinstance(samples, Drop):  # packing says why
                records.append(record)
                yield Waveform(samples)

    with summary.timed("hearing"):
        lines = []
        for place, (spoken, hypothesis) in enumerate(listener.hear(waveforms())):
            lines.append({"id": records[place].id, "spoken": spoken, "hypothesis": hypothesis})
            summary.count({"duration": records[place].duration})
    write_lines(folder.chunk("heard", number), lines)
    return summary


def _remaining(number: int, folder: RunFolder, recipe: Recipe) -> Iterator[Record]:
    stages = early_stages(number, folder, recipe)
    for line in read_lines(folder.chunk("screened", number)):
        if "record" in line:
            record = record_from_json(line["record"])
            if not any(isinstance(stage(record), Drop) for _, stage in stages):
                yield record


def _thirds(duration: float, words: tuple[Cue, ...]) -> list[tuple[float, float]]:
    """Start and end of the thirds in which something is said."""
    thirds = [(place * duration / 3, (place + 1) * duration / 3) for place in range(3)]
    return [(start, end) for start, end in thirds if any(start <= word.middle < end for word in words)]


def _words(transcript: Transcript) -> tuple[Cue, ...]:
    words = (word for segment in transcript.segments for word in segment.words)
    return tuple(Cue(start=round(word.start, 3), end=round(word.end, 3), text=word.word) for word in words)
