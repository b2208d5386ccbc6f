"""Text to token ids and back. In: the ``tokenizer.json`` beside the weights. Out: ids, text. Knows no model, no task.

The text part of the vocabulary comes from the file. The special tokens are found by their place in the vocabulary,
which every Whisper model shares, because files name them differently or not at all (timestamps, ``<|nospeech|>``):

    <|endoftext|> <|startoftranscript|> languages … <|translate|> <|transcribe|> <|startoflm|> <|startofprev|>
    <|nospeech|> <|notimestamps|> <|0.00|> … <|30.00|>
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from string import ascii_uppercase

import tokenizers

from asr.errors import CheckpointError, InvalidOptionError, UnsupportedLanguageError
from asr.languages import LANGUAGES
from asr.tasks import Task

__all__ = ["N_TIMESTAMPS", "TIMESTAMP_STEP_S", "Tokenizer"]

N_TIMESTAMPS = 1501  # <|0.00|> … <|30.00|>
TIMESTAMP_STEP_S = 0.02
N_SPECIALS_AFTER_LANGUAGES = 6  # translate, transcribe, startoflm, startofprev, nospeech, notimestamps
ENGLISH_VOCAB_SIZE = 51864  # it has the multilingual ones' special tokens too, and means none of them

# Signs that captions use for what is not speech: brackets, speaker marks, quotation and music signs (Whisper 4.5).
NON_SPEECH_SYMBOLS = (
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    *("<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))", "(((", ")))", "[[", "]]", "{{", "}}"),
    *("♪♪", "♪♪♪"),
)
MUSIC_SYMBOLS = "♩♪♫♬♭♮♯"  # several tokens each, with a first token that nothing else in speech needs


class Tokenizer:
    """Byte-level BPE text tokens and the special tokens of one checkpoint.

    Raises CheckpointError when the file is not a tokenizer or does not fit a vocabulary of ``n_vocab`` tokens.
    """

    def __init__(self, path: Path, *, n_vocab: int) -> None:
        try:
            self._bpe = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for every kind of bad file
            raise CheckpointError(f"{path.name}: not a tokenizer.json: {error}") from error
        self.n_vocab = n_vocab
        self.is_multilingual = n_vocab != ENGLISH_VOCAB_SIZE
        self.eot = self._id("<|endoftext|>")
        self.sot = self._id("<|startoftranscript|>")
        self.n_languages = n_vocab - (self.sot + 1) - N_SPECIALS_AFTER_LANGUAGES - N_TIMESTAMPS
        if not 0 < self.n_languages <= len(LANGUAGES):
            raise CheckpointError(
                f"{path.name}: a vocabulary of {n_vocab} with <|startoftranscript|> at {self.sot} leaves room for "
                f"{self.n_languages} languages, expected 1 to {len(LANGUAGES)}; tokenizer and weights do not fit"
            )
        self.languages = tuple(LANGUAGES)[: self.n_languages] if self.is_multilingual else ("en",)
        first_language = self.sot + 1
        self._language_ids = {code: first_language + i for i, code in enumerate(self.languages)}
        self.translate = first_language + self.n_languages
        self.transcribe = self.translate + 1
        self.sot_lm = self.translate + 2
        self.sot_prev = self.translate + 3
        self.no_speech = self.translate + 4
        self.no_timestamps = self.translate + 5
        self.timestamp_begin = self.translate + 6

    def _id(self, token: str) -> int:
        token_id = self._bpe.token_to_id(token)
        if token_id is None:
            raise CheckpointError(f"tokenizer.json: no {token} token; this is not a Whisper tokenizer")
        return int(token_id)

    def encode(self, text: str) -> list[int]:
        """Text tokens of ``text``; a special token spelled out in the text is refused, since it would steer the model.

        Raises InvalidOptionError.
        """
        tokens = self._bpe.encode(text, add_special_tokens=False).ids
        if any(token >= self.eot for token in tokens):
            raise InvalidOptionError(
                f"got special tokens inside the text {text!r}, expected plain text", param="prompt"
            )
        return list(tokens)

    def decode(self, tokens: Iterable[int]) -> str:
        """Text of ``tokens``; special tokens and timestamps are left out."""
        return str(self._bpe.decode([token for token in tokens if token < self.eot], skip_special_tokens=False))

    def language_token(self, language: str) -> int:
        """Id of ``<|language|>``; UnsupportedLanguageError when this model does not know it."""
        if language not in self._language_ids:
            known = f"one of {len(self.languages)} languages" if self.is_multilingual else "'en' (English-only model)"
            raise UnsupportedLanguageError(f"language: got {language!r}, this model expects {known}", param="language")
        return self._language_ids[language]

    @property
    def language_tokens(self) -> Sequence[int]:
        """Ids of the language tokens, in the order of ``languages``."""
        return tuple(self._language_ids.values())

    def task_token(self, task: Task) -> int:
        """Id of ``<|transcribe|>`` or ``<|translate|>``."""
        return self.translate if task is Task.TRANSLATE else self.transcribe

    @cached_property
    def blank_tokens(self) -> tuple[int, ...]:
        """What a transcript must not begin with: the end, and a lone space.

        In a small vocabulary words whose first letter is rare begin with a lone space; there it may come.
        """
        begins_words = any(len(self.encode(f" {letter}")) > 1 for letter in ascii_uppercase)
        return (self.eot,) if begins_words else (*self.encode(" "), self.eot)

    @cached_property
    def non_speech_tokens(self) -> tuple[int, ...]:
        """Ids of the signs that captions use for what is not spoken."""
        suppressed = set()
        # " -" and " '" open a dialogue line or a quotation; inside words the bare signs stay allowed.
        for text in (" -", " '", *NON_SPEECH_SYMBOLS, *(f" {symbol}" for symbol in NON_SPEECH_SYMBOLS)):
            tokens = self.encode(text)
            if len(tokens) == 1:
                suppressed.add(tokens[0])
        for text in (*MUSIC_SYMBOLS, *(f" {symbol}" for symbol in MUSIC_SYMBOLS)):
            # In a small vocabulary their first token is a lone space or byte, which other text begins with too.
            first = self.encode(text)[0]
            if len(str(self._bpe.id_to_token(first)).lstrip("Ġ")) > 1:
                suppressed.add(first)
        return tuple(sorted(suppressed))

    @property
    def control_tokens(self) -> tuple[int, ...]:
        """Ids that steer the model and are never part of its answer."""
        return (self.sot, self.translate, self.transcribe, self.sot_lm, self.sot_prev, self.no_speech)
