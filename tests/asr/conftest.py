"""A tiny random model and its tokenizer: everything but the words can be tested without real weights."""

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.decoding import BeamSearch, DecodeRequest, DecodingOptions, DecodingResult, Greedy, Sampling, Strategy
from asr.decoding.alignment import alignment_heads
from asr.decoding.types import TokenTime
from asr.engine import Engine
from asr.engine.backend import Backend, Part
from asr.engine.torch_backend import TorchBackend
from asr.features import pad_or_trim
from asr.longform import LanguageWindow, LongFormSession, Window
from asr.model import ModelDimensions, Whisper
from asr.prompt import TaskPrompt
from asr.tasks import Task
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


@pytest.fixture(scope="session")
def random_model() -> Callable[..., Whisper]:
    def build(dims: ModelDimensions, *, std: float = 0.3) -> Whisper:
        torch.manual_seed(0)
        model = Whisper(dims)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=std)
        return model.eval().requires_grad_(False)

    return build


@pytest.fixture(scope="session")
def tiny_model(tiny_dims, random_model) -> Whisper:
    return random_model(tiny_dims)


@pytest.fixture
def tiny_engine(tiny_model, tokenizer) -> Engine:
    """A new one for each test, in float32; its heads are those of the upper layer."""
    return Engine(TorchBackend(tiny_model, alignment_heads((), tiny_model.dims)), tokenizer)


# --- windows that have nothing in common ---


@pytest.fixture(scope="session")
def strangers() -> Callable[..., list[DecodeRequest]]:
    """Prompts of unequal length, languages, tasks and strategies of equal and unequal width, long and short windows."""

    def build(*, token_times: bool = False) -> list[DecodeRequest]:
        def request(seed: int, strategy: Strategy, *, n_frames=3000, padded_to=3000, max_tokens=8, **prompt):
            return DecodeRequest(
                mel=pad_or_trim(torch.randn(80, n_frames, generator=torch.Generator().manual_seed(seed)), padded_to),
                n_frames=n_frames,
                prompt=TaskPrompt(**{"language": "en"} | prompt),
                options=DecodingOptions(strategy=strategy, max_tokens=max_tokens, token_times=token_times),
            )

        return [
            request(0, Greedy()),
            request(1, BeamSearch(beam_size=3), n_frames=700, padded_to=1400, language="de", context=(5, 6, 7, 8)),
            request(2, Sampling(temperature=0.8, best_of=3, seed=5), task=Task.TRANSLATE, language="fr"),
            request(3, Greedy(), context=tuple(range(100)), max_tokens=5),
            request(4, BeamSearch(beam_size=5, patience=2.0), timestamps=False, max_tokens=7),
            request(5, Sampling(temperature=1.0, seed=9), language=None),
            request(6, Greedy(), n_frames=2999, language="ja", timestamps=False, context=(1,)),
            request(7, BeamSearch(beam_size=3, length_penalty=0.6), language=None, context=(2, 3)),
        ]

    return build


# --- one row in one pass, slow and obvious: what memories of any kind are held against ---


class NaiveMemory:
    """Nothing is remembered: all tokens of one row come at once, and each sees itself and those before it."""

    def __init__(self, model: Whisper, features_SC: torch.Tensor) -> None:
        self._n_head = model.dims.n_text_head
        crosses = [block.cross_attn for block in model.decoder.blocks]
        self._audio = [(cross.key(features_SC), cross.value(features_SC)) for cross in crosses]

    def attend_past(
        self, _layer: int, query_MC: torch.Tensor, key_MC: torch.Tensor, value_MC: torch.Tensor
    ) -> torch.Tensor:
        future = torch.ones(len(query_MC), len(query_MC), dtype=torch.bool).triu(1)
        return self._attend(query_MC, key_MC, value_MC, future)

    def attend_audio(self, layer: int, query_MC: torch.Tensor) -> torch.Tensor:
        key_SC, value_SC = self._audio[layer]
        return self._attend(query_MC, key_SC, value_SC, torch.zeros(len(query_MC), len(key_SC), dtype=torch.bool))

    def _attend(
        self, query_MC: torch.Tensor, key_SC: torch.Tensor, value_SC: torch.Tensor, is_hidden: torch.Tensor
    ) -> torch.Tensor:
        heads = zip(*(x.chunk(self._n_head, dim=1) for x in (query_MC, key_SC, value_SC)), strict=True)
        mixed = []
        for query, key, value in heads:
            scores = query @ key.T / math.sqrt(query.shape[1])
            mixed.append(scores.masked_fill(is_hidden, float("-inf")).softmax(dim=1) @ value)
        return torch.cat(mixed, dim=1)


@pytest.fixture(scope="session")
def hidden_states() -> Callable[..., torch.Tensor]:
    """(T, C) of the tokens of one row that hears ``features_SC``."""

    @torch.inference_mode()
    def run(model: Whisper, features_SC: torch.Tensor, tokens: Sequence[int]) -> torch.Tensor:
        memory = NaiveMemory(model, features_SC)
        return model.decoder(torch.tensor(tokens), torch.arange(len(tokens)), memory)

    return run


# --- a backend in company: windows that come and go, rows of unequal position that continue one another ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a backend said of one token."""

    window: int
    """Place among the Mel spectrograms."""
    tokens: tuple[int, ...]
    """Of the row, from its beginning to this one."""
    logits: np.ndarray


@dataclass(slots=True, eq=False)
class _Group:
    window: int
    encoded: object
    rows: list[int]
    texts: list[tuple[int, ...]]
    """One a row; none before the prompt."""


@pytest.fixture(scope="session")
def company_of() -> Callable[..., list[Answer]]:
    """Drive a backend at random: what windows ask of it when many are decoded side by side, and what it answers."""

    @torch.inference_mode()
    def drive(backend: Backend, mels: Sequence[torch.Tensor], *, seed: int = 0, n_rounds: int = 30) -> list[Answer]:
        rng = random.Random(seed)  # noqa: S311 (a test)
        answers: list[Answer] = []
        groups: list[_Group] = []

        def new_tokens(n: int) -> list[int]:
            return [rng.randrange(backend.dims.n_vocab) for _ in range(n)]

        for _ in range(n_rounds):
            if len(groups) < 4:
                window, width = rng.randrange(len(mels)), rng.randint(1, 5)
                groups.append(_Group(window, backend.encode([mels[window]])[0], backend.take_rows(width), []))
            asked = rng.sample(groups, rng.randint(1, len(groups)))
            parts, wanted = [], []
            for group in asked:
                position = len(group.texts[0]) if group.texts else 0
                if not group.texts:  # the prompt, in one row
                    tokens, sources, group.texts = [new_tokens(rng.randint(1, 12))], None, [()]
                else:
                    n_new = rng.choice((1, 1, 1, 3))
                    tokens = [new_tokens(n_new) for _ in group.rows]
                    sources = [rng.randrange(len(group.texts)) for _ in group.rows]
                    if len(group.texts) == len(group.rows) and rng.random() < 0.3:
                        sources = None  # each its own
                    group.texts = [group.texts[i] for i in sources or range(len(group.rows))]
                group.texts = [(*text, *new) for text, new in zip(group.texts, tokens, strict=True)]
                places = [(row, place) for row in range(len(tokens)) for place in range(len(tokens[0]))]
                places = sorted(rng.sample(places, rng.randint(1, len(places))))
                wanted += [(group, group.texts[row][: position + place + 1]) for row, place in places]
                parts.append(
                    Part(
                        window=group.encoded, rows=group.rows[: len(tokens)], tokens=tokens, position=position,
                        sources=None if sources is None else [group.rows[source] for source in sources],
                        wanted=places,
                    )
                )  # fmt: skip
            logits = backend.extend(parts)
            answers += [
                Answer(window=group.window, tokens=tokens, logits=backend.logits(logits, place))
                for place, (group, tokens) in enumerate(wanted)
            ]
            for group in [each for each in asked if len(each.texts[0]) > 16 or rng.random() < 0.15]:
                backend.free_rows(group.rows)
                groups.remove(group)
        return answers

    return drive


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
