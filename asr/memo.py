"""What the decoder said about a window, to be said again. In: windows and their answers. Out: the same answers.

A long-form session asks the same questions whenever it walks the same recording with the same options. With its
answers kept, a transcription that was broken off is walked again from the beginning and decodes only what is new.
Knows no model and no place to keep anything: that is a ``WindowMemo``'s.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from asr.decoding.types import DecodingResult, TokenTime
from asr.language_timeline import LanguageWindow
from asr.walk import Window

__all__ = ["Answer", "WindowAnswers", "WindowMemo"]

Answer = DecodingResult | Mapping[str, float]
"""Of a window that was read; of one that was listened to for its language."""


class WindowMemo(Protocol):
    """Keeps answers about the windows of one recording, under one set of options."""

    def get(self, key: str) -> str | None:
        """What was put under the key, or None."""

    def put(self, key: str, payload: str) -> None:
        """Keep an answer."""


class WindowAnswers:
    """The answers about one channel of a recording, as ``model`` gives them; without a memo none is kept.

    Answers come back as they were, to the last bit of their numbers. A sampled window without a seed is drawn once.
    """

    def __init__(self, memo: WindowMemo | None, *, model: str, channel: int) -> None:
        self._memo = memo
        self._source = [model, channel]

    def recall(self, window: Window | LanguageWindow) -> Answer | None:
        """What is kept about a window."""
        payload = None if self._memo is None else self._memo.get(self._key(window))
        if payload is None:
            return None
        fields: dict[str, Any] = json.loads(payload)
        return fields if isinstance(window, LanguageWindow) else _result(fields)

    def keep(self, window: Window | LanguageWindow, answer: Answer) -> None:
        """Keep what is new."""
        if self._memo is None or self._memo.get(key := self._key(window)) is not None:
            return
        fields = asdict(answer) if isinstance(answer, DecodingResult) else dict(answer)
        self._memo.put(key, _compact(fields))

    def _key(self, window: Window | LanguageWindow) -> str:
        """Digest of all that the answer depends on, beside the recording itself."""
        question = asdict(window)
        if isinstance(window, Window):
            del question["walk"]  # which of the walks asks is nothing to the decoder
            question["options"]["strategy"]["kind"] = type(window.options.strategy).__name__
        return hashlib.sha256(_compact([*self._source, question]).encode()).hexdigest()


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _result(fields: dict[str, Any]) -> DecodingResult:
    times = tuple(TokenTime(**each) for each in fields["token_times"])
    return DecodingResult(**fields | {"tokens": tuple(fields["tokens"]), "token_times": times})
