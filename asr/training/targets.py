"""A shard's fields → what the decoder reads and what it should say (Whisper 2.1, 2.3). Knows no audio and no model.

    [<|startofprev|> previous text] <|startoftranscript|> <|language|> <|task|> [<|notimestamps|>] text … <|endoftext|>
    … with timestamps: <|start|> text <|end|> of each cue, then <|start|> alone of one that ends beyond the window
    … nobody speaks: <|startoftranscript|> <|nospeech|> <|endoftext|>

The prompt is ``TaskPrompt``'s, and the text's spelling that of the released models: a space before it, save in
languages that are written without.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr.errors import AuricleError, TrainingError
from asr.prompt import TaskPrompt
from asr.tasks import Task
from asr.tokenizer import N_TIMESTAMPS, TIMESTAMP_STEP_S, Tokenizer
from asr.words import LANGUAGES_WITHOUT_SPACES

__all__ = ["IGNORED", "Encode", "Fields", "TokenExample", "encode_example"]

IGNORED = -100  # as a target: nothing is learned there; torch's own default

Encode = Callable[[str], Sequence[int]]
"""Text → token ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What a shard says of an example, as ``data_pipeline`` writes it. Times are seconds from the window's start."""

    language: str | None
    """None where nobody speaks."""
    task: Task
    text: str
    cues: tuple[tuple[float, float, str], ...]
    """(start, end, text); none where the captions had no times."""
    partial_start: float | None
    """Where a cue begins that ends beyond the window."""
    previous_text: str
    use_previous_text: bool
    use_timestamps: bool

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "Fields":
        """Raises TrainingError for a field that is missing or of another kind."""
        try:
            partial_start = fields["partial_start"]
            return cls(
                language=fields["language"],
                task=Task(fields["task"]),
                text=str(fields["text"]).strip(),
                cues=tuple(
                    (float(cue["start"]), float(cue["end"]), str(cue["text"]).strip()) for cue in fields["cues"]
                ),
                partial_start=None if partial_start is None else float(partial_start),
                previous_text=str(fields["previous_text"]).strip(),
                use_previous_text=bool(fields["use_previous_text"]),
                use_timestamps=bool(fields["use_timestamps"]),
            )
        except KeyError as error:
            raise TrainingError(f"no field {error}; expected the fields that auricle-data writes") from error
        except (TypeError, ValueError) as error:
            raise TrainingError(f"{error}; expected the fields that auricle-data writes") from error

    @property
    def is_speech(self) -> bool:
        """Whether anyone says anything."""
        return bool(self.text)

    @property
    def audio_end(self) -> float | None:
        """Where the audio is cut: without timestamps nothing tells that a cue has only begun (Whisper 2.1)."""
        return None if self.use_timestamps else self.partial_start

    def at_speed(self, factor: float) -> "Fields":
        """The same, played ``factor`` times as fast."""
        return Fields(
            language=self.language, task=self.task, text=self.text, previous_text=self.previous_text,
            cues=tuple((start / factor, end / factor, text) for start, end, text in self.cues),
            partial_start=None if self.partial_start is None else self.partial_start / factor,
            use_previous_text=self.use_previous_text, use_timestamps=self.use_timestamps,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExample:
    """One row of a batch."""

    tokens: tuple[int, ...]
    """What the decoder reads."""
    targets: tuple[int, ...]
    """What it should say after each of them; IGNORED where nothing is learned."""

    @property
    def n_targets(self) -> int:
        """Tokens that are learned."""
        return sum(target != IGNORED for target in self.targets)


def encode_example(
    fields: Fields, tokenizer: Tokenizer, *, n_text_ctx: int, encode: Encode | None = None
) -> TokenExample | None:
    """Tokens and targets; None for text that is too long for the decoder's ``n_text_ctx`` positions.

    ``encode`` spells the text to be said (BPE dropout); by default as the tokenizer does. The loss is masked over the
    previous text alone (Whisper 2.3); of that, what fits is kept, at most as many tokens as at inference. Raises
    TrainingError for speech in a language that the model does not know.
    """
    spoken = _spoken(fields, tokenizer, encode or tokenizer.encode)
    start = _start(fields, tokenizer)
    room = n_text_ctx - len(start) - len(spoken)  # the end token is said, never read
    if room < 0:
        return None
    context = _context(fields, tokenizer)[-min(n_text_ctx // 2 - 1, max(room - 1, 0)) :] if room > 1 else ()
    prefix = (tokenizer.sot_prev, *context) if context else ()
    said = (*start, *spoken, tokenizer.eot)
    whole = (*prefix, *said)
    masked = max(len(prefix) - 1, 0)  # <|startofprev|> is never said: the first target is the token after it
    return TokenExample(tokens=whole[:-1], targets=(*[IGNORED] * masked, *whole[masked + 1 :]))


def _start(fields: Fields, tokenizer: Tokenizer) -> tuple[int, ...]:
    if not fields.is_speech:
        return (tokenizer.sot, tokenizer.no_speech)
    prompt = TaskPrompt(language=fields.language, task=fields.task, timestamps=fields.use_timestamps)
    try:
        return prompt.encode(tokenizer, max_context=0)
    except AuricleError as error:
        raise TrainingError(f"{error}; it cannot learn this example") from error


def _spoken(fields: Fields, tokenizer: Tokenizer, encode: Encode) -> tuple[int, ...]:
    if not fields.is_speech:
        return ()
    if not fields.use_timestamps:
        texts = [text for _, _, text in fields.cues] or [fields.text]
        return tuple(encode("".join(_spelled(text, fields) for text in texts)))
    tokens: list[int] = []
    clock = 0
    for start, end, text in fields.cues:
        first = max(_steps(start), clock)  # voices overlap, but the model's clock never runs backwards
        clock = max(_steps(end), first)
        tokens += (
            tokenizer.timestamp_begin + first,
            *encode(_spelled(text, fields)),
            tokenizer.timestamp_begin + clock,
        )
    if fields.partial_start is not None:
        tokens.append(tokenizer.timestamp_begin + max(_steps(fields.partial_start), clock))
    return tuple(tokens)


def _context(fields: Fields, tokenizer: Tokenizer) -> list[int]:
    if not (fields.use_previous_text and fields.previous_text):
        return []
    return tokenizer.encode(_spelled(fields.previous_text, fields))


def _spelled(text: str, fields: Fields) -> str:
    written_in = "en" if fields.task is Task.TRANSLATE else fields.language
    return text if written_in in LANGUAGES_WITHOUT_SPACES else f" {text}"


def _steps(seconds: float) -> int:
    return min(max(round(seconds / TIMESTAMP_STEP_S), 0), N_TIMESTAMPS - 1)
