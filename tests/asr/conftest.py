"""A tiny random model and its tokenizer: everything but the words can be tested without real weights."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.decoding import DecodingResult
from asr.decoding.types import TokenTime
from asr.longform import LanguageWindow, LongFormSession, Window
from asr.model import ModelDimensions, Whisper
from asr.tokenizer import N_SPECIALS_AFTER_LANGUAGES, N_TIMESTAMPS, Tokenizer
from asr.transcript import Segment
from asr.voice_activity import FRAME_S, VoiceActivity

N_LANGUAGES = 99


def byte_symbols() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {byte: chr(byte) for byte in printable}
    for place, byte in enumerate(byte for byte in range(256) if byte not in symbols):
        symbols[byte] = chr(256 + place)
    return [symbols[byte] for byte in range(256)]


def write_tokenizer(path: Path, *, n_text_tokens: int) -> Path:
    """A tokenizer.json of bytes alone, filled up to ``n_text_tokens``, and the two specials that files always name."""
    vocabulary = {symbol: i for i, symbol in enumerate(byte_symbols())}
    vocabulary |= {f"<unused{i}>": i for i in range(256, n_text_tokens)}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    specials = ["<|endoftext|>", "<|startoftranscript|>"]
    path.write_text(
        json.dumps(
            {
                "version": "1.0",
                "added_tokens": [
                    {
                        "id": n_text_tokens + i, "content": token, "special": True, "single_word": False,
                        "lstrip": False, "rstrip": False, "normalized": False,
                    }
                    for i, token in enumerate(specials)
                ],
                "pre_tokenizer": byte_level,
                "decoder": byte_level,
                "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
            }
        )
    )  # fmt: skip
    return path


MULTILINGUAL_TEXT_TOKENS = 50257
N_VOCAB = MULTILINGUAL_TEXT_TOKENS + 2 + N_LANGUAGES + N_SPECIALS_AFTER_LANGUAGES + N_TIMESTAMPS  # 51865


@pytest.fixture(scope="session")
def tiny_dims() -> ModelDimensions:
    return ModelDimensions(80, 1500, 32, 2, 2, N_VOCAB, 64, 32, 2, 2)


@pytest.fixture(scope="session")
def tokenizer_path(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    return write_tokenizer(folder / "tokenizer.json", n_text_tokens=MULTILINGUAL_TEXT_TOKENS)


@pytest.fixture(scope="session")
def tokenizer(tokenizer_path) -> Tokenizer:
    return Tokenizer(tokenizer_path, n_vocab=N_VOCAB)


def random_model(dims: ModelDimensions, seed: int = 0) -> Whisper:
    torch.manual_seed(seed)
    model = Whisper(dims)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def tiny_model(tiny_dims) -> Whisper:
    return random_model(tiny_dims)


# --- long recordings without a model: results and voice activity written by hand ---


@pytest.fixture(scope="session")
def result_of(tokenizer) -> Callable[..., DecodingResult]:
    """ "0 ab 100" → <|0.00|>, the tokens of " ab", <|2.00|>: numbers are steps, words text, _ a lone space.

    Text is heard evenly between the numbers around it.
    """

    def build(pattern: str = "0 ab 100", **fields) -> DecodingResult:
        tokens: list[int] = []
        times: list[TokenTime] = []
        start, waiting = 0.0, 0
        for part in [*pattern.split(), ""]:
            if part and not part.isdigit():
                text = tokenizer.encode(" " if part == "_" else " " + part)
                tokens += text
                waiting += len(text)
                continue
            end = int(part) / 50 if part else start + waiting
            each = (end - start) / max(waiting, 1)
            times += [
                TokenTime(start=start + i * each, end=start + (i + 1) * each, probability=0.9) for i in range(waiting)
            ]
            tokens += [tokenizer.timestamp_begin + int(part)] if part else []
            start, waiting = end, 0
        values = {
            "tokens": tuple(tokens), "text": tokenizer.decode(tokens), "language": "en", "language_probs": {},
            "avg_logprob": -0.3, "no_speech_prob": 0.01, "compression_ratio": 1.2, "temperature": 0.0,
            "token_times": tuple(times),
        }  # fmt: skip
        return DecodingResult(**values | fields)

    return build


@pytest.fixture(scope="session")
def activity_of() -> Callable[..., VoiceActivity]:
    """((3.2, 0.9), (1.6, 0.0)): 3.2 s with a voice of probability 0.9, then silence; lengths are whole frames."""

    def build(*runs: tuple[float, float]) -> VoiceActivity:
        frames = [np.full(round(length / FRAME_S), probability, np.float32) for length, probability in runs]
        probabilities = np.concatenate([np.zeros(0, np.float32), *frames])
        return VoiceActivity(probabilities=probabilities, duration=len(probabilities) * FRAME_S)

    return build


@dataclass(slots=True)
class Drive:
    """What happened while a session was driven to its end."""

    windows: list[Window] = field(default_factory=list)
    """In the order in which they were answered."""
    heard: list[LanguageWindow] = field(default_factory=list)
    batches: list[list[Window | LanguageWindow]] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)


@pytest.fixture(scope="session")
def drive() -> Callable[..., Drive]:
    """Answer all windows of a session until there are none; fails after ``max_windows``."""

    def run(
        session: LongFormSession,
        answer: Callable[[Window], DecodingResult],
        languages: Callable[[LanguageWindow], Mapping[str, float]] = lambda _: {"en": 1.0},
        *,
        limit: int = 8,
        max_windows: int = 5000,
        order: Callable[[list[Window | LanguageWindow]], list[Window | LanguageWindow]] = list,
    ) -> Drive:
        done = Drive()
        while batch := session.next_windows(limit):
            assert len(batch) <= limit
            done.batches.append(batch)
            for window in order(batch):
                if isinstance(window, LanguageWindow):
                    done.heard.append(window)
                    session.accept_language(window, languages(window))
                    continue
                done.windows.append(window)
                assert len(done.windows) <= max_windows
                # As if decoded at the temperature that was asked for.
                result = replace(answer(window), temperature=window.options.strategy.temperature)
                session.accept(window, result)
            done.segments += session.pop_segments()
        done.segments += session.pop_segments()
        return done

    return run
