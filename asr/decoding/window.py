"""The decoding of one window, step by step. In: a ``DecodeRequest``. Out: a ``DecodingResult``.

``decode_window`` and ``detect_language`` are generators: they yield what they need of the decoder and are sent what it
says. They know no model, no batch and no other window.
"""

import zlib
from collections import deque
from collections.abc import Generator
from dataclasses import replace

import numpy as np

from asr.decoding.alignment import FRAMES_PER_POSITION, place_tokens
from asr.decoding.rules import Rules, rules_for
from asr.decoding.selection import Hypothesis, Selector, selector_for
from asr.decoding.steps import Extend, Extended, Heard, Read
from asr.decoding.types import DecodeRequest, DecodingResult, TokenTime
from asr.tokenizer import Tokenizer

__all__ = ["LanguageProgram", "WindowProgram", "compression_ratio", "decode_window", "detect_language"]

WindowProgram = Generator[Extend | Read, Extended | Heard, DecodingResult]
LanguageProgram = Generator[Extend | Read, Extended | Heard, dict[str, float]]


def compression_ratio(text: str) -> float:
    """UTF-8 bytes over bytes after zlib; 1 for no text."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 1.0


def detect_language(tokenizer: Tokenizer) -> LanguageProgram:
    """Each language's probability (Whisper 2.3): the first step of the decoder, all other tokens left out; sums to 1.

    An English-only model answers English, since it knows nothing else.
    """
    if not tokenizer.is_multilingual:
        return {"en": 1.0}
    answer = yield Extend(tokens=[[tokenizer.sot]], position=0, probes=[0])
    assert isinstance(answer, Extended)  # noqa: S101 (tells the type)
    logits = answer.logits[0][list(tokenizer.language_tokens)].astype(np.float64)
    weights = np.exp(logits - logits.max())
    return dict(zip(tokenizer.languages, (weights / weights.sum()).tolist(), strict=True))


def decode_window(request: DecodeRequest, tokenizer: Tokenizer, *, n_text_ctx: int) -> WindowProgram:
    """Prompt, search, and where it is asked for, the times of the text."""
    language_probs: dict[str, float] = {}
    if request.prompt.language is None:
        language_probs = yield from detect_language(tokenizer)
        language = max(language_probs, key=language_probs.__getitem__)
        request = replace(request, prompt=replace(request.prompt, language=language))
    half = n_text_ctx // 2
    # Half of the text context for what is said, half for what was said before, one place for its start token.
    prompt = request.prompt.encode(tokenizer, max_context=half - 1)
    max_tokens = min(request.options.max_tokens or half, n_text_ctx - len(prompt) + 1)
    selector = selector_for(request.options.strategy, tokenizer.eot)
    no_speech_prob = yield from _search(prompt, selector, rules_for(request, tokenizer), max_tokens, tokenizer)
    best = selector.best()
    token_times: tuple[TokenTime, ...] = ()
    if request.options.token_times:
        token_times = yield from _place(request, best, tokenizer, n_text_ctx)
    text = tokenizer.decode(best.tokens).strip()
    return DecodingResult(
        tokens=best.tokens,
        text=text,
        language=request.prompt.language or "en",
        language_probs=language_probs,
        avg_logprob=best.avg_logprob,
        no_speech_prob=no_speech_prob,
        compression_ratio=compression_ratio(text),
        temperature=request.options.strategy.temperature,
        token_times=token_times,
    )


def _search(
    prompt: tuple[int, ...], selector: Selector, rules: Rules, max_tokens: int, tokenizer: Tokenizer
) -> Generator[Extend | Read, Extended | Heard, float]:
    """Extend until the selector is content; returns the probability of no speech."""
    answer = yield Extend(
        tokens=[prompt],
        position=0,
        choices=selector.choices(rules),
        probes=[prompt.index(tokenizer.sot)],
    )
    assert isinstance(answer, Extended)  # noqa: S101 (tells the type)
    start = answer.logits[0].astype(np.float64)
    no_speech_prob = float(np.exp(start[tokenizer.no_speech] - np.logaddexp.reduce(start)))
    answered = deque([answer.candidates])
    for n_steps in range(1, max_tokens + 1):
        step = selector.step(answered.popleft())
        if step.done or n_steps == max_tokens:
            break
        if answered:
            continue
        answer = yield Extend(
            tokens=[[token] for token in step.tokens],
            position=len(prompt) + n_steps - 1,
            sources=step.sources,
            choices=selector.choices(rules),
            ahead=selector.ahead(rules, max_tokens - n_steps),
        )
        assert isinstance(answer, Extended)  # noqa: S101
        answered += [answer.candidates, *answer.further]
    return no_speech_prob


def _place(
    request: DecodeRequest, best: Hypothesis, tokenizer: Tokenizer, n_text_ctx: int
) -> Generator[Extend | Read, Extended | Heard, tuple[TokenTime, ...]]:
    text = [token for token in best.tokens if token < tokenizer.eot]
    if not text:
        return ()
    start = replace(request.prompt, timestamps=False, context=()).encode(tokenizer, max_context=0)
    tokens = [*(*start, *text)[: n_text_ctx - 1], tokenizer.eot]
    heard = yield Read(
        tokens=tokens,
        first=len(start) - 1,
        n_positions=max((request.n_frames or request.mel.shape[-1]) // FRAMES_PER_POSITION, 1),
        vocabulary_end=tokenizer.eot,
    )
    assert isinstance(heard, Heard)  # noqa: S101 (tells the type)
    return place_tokens(heard, n_text=len(text))
