"""The meta-language (Whisper 2.3): what the decoder is told before it speaks. In: task, language, context. Out: tokens.

One class for decoding and for training targets. Knows no model weights and no audio.
"""

from dataclasses import dataclass

from asr.errors import InvalidOptionError, UnsupportedLanguageError
from asr.tasks import Task
from asr.tokenizer import Tokenizer

__all__ = ["TaskPrompt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPrompt:
    """[<|startofprev|> context] <|startoftranscript|> <|language|> <|task|> [<|notimestamps|>]."""

    language: str | None = None
    """Code; None: detected by the decoder before the prompt is encoded."""
    task: Task = Task.TRANSCRIBE
    timestamps: bool = True
    context: tuple[int, ...] = ()
    """Tokens of what came before; the last ``max_context`` of them are used."""

    def encode(self, tokenizer: Tokenizer, *, max_context: int) -> tuple[int, ...]:
        """Token ids of the prefix, at most ``max_context + 5`` of them.

        English-only models know neither language nor task tokens. Raises UnsupportedLanguageError for a language the
        model does not know and InvalidOptionError for a missing language or a translation by an English-only model.
        """
        context = self.context[-max_context:] if max_context > 0 else ()
        prefix = (tokenizer.sot_prev, *context) if context else ()
        return (*prefix, *self._start_sequence(tokenizer))

    def _start_sequence(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        no_timestamps = () if self.timestamps else (tokenizer.no_timestamps,)
        if not tokenizer.is_multilingual:
            check_supported(tokenizer, language=self.language, task=self.task)
            return (tokenizer.sot, *no_timestamps)
        if self.language is None:
            raise InvalidOptionError("language: got none, expected one: detect it before encoding", param="language")
        language = tokenizer.language_token(self.language)
        return (tokenizer.sot, language, tokenizer.task_token(self.task), *no_timestamps)


def check_supported(tokenizer: Tokenizer, *, language: str | None, task: Task) -> None:
    """Raise the error of ``TaskPrompt.encode`` early, before any audio is decoded."""
    if not tokenizer.is_multilingual and task is Task.TRANSLATE:
        message = "task: got 'translate', but this model is English-only; use a multilingual one such as 'base'"
        raise InvalidOptionError(message, param="task")
    if language is not None and language not in tokenizer.languages:
        if not tokenizer.is_multilingual:
            message = (
                f"language: got {language!r}, but this model is English-only; use a multilingual one such as 'base'"
            )
            raise UnsupportedLanguageError(message, param="language")
        tokenizer.language_token(language)
