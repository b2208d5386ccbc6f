"""The decoding loop. In: ``DecodeRequest`` of any mix. Out: one ``DecodingResult`` each. Knows no recording.

Requests with the same number of rows share a batch, whatever their prompts, languages and tasks: prompts are padded
on the left. A window's rows stay together, a window that is done leaves the batch.
Shapes: R windows in the batch, W rows a window, N = R × W rows, T tokens, S audio positions, C width, V vocabulary.
"""

import itertools
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from asr.decoding.alignment import HeadSet, SpokenText, align_texts, alignment_heads
from asr.decoding.language_id import language_probabilities
from asr.decoding.logit_filters import LogitFilter, filters_for
from asr.decoding.selection import Selector, Step, selector_for
from asr.decoding.types import DecodeRequest, DecodingResult
from asr.features import N_FRAMES, pad_or_trim
from asr.kv_cache import DecoderCache
from asr.model import Whisper
from asr.tokenizer import Tokenizer

__all__ = ["Decoder", "compression_ratio"]


def compression_ratio(text: str) -> float:
    """UTF-8 bytes over bytes after zlib; 1 for no text."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 1.0


@dataclass(slots=True)
class _Window:
    """One request on its way through the loop."""

    index: int  # place among the requests of the call
    request: DecodeRequest
    prompt: tuple[int, ...]
    selector: Selector
    filters: list[LogitFilter]
    language_probs: dict[str, float]
    max_tokens: int
    no_speech_prob: float = 0.0


class Decoder:
    """Decodes windows with one model; implements ``WindowDecoder``.

    ``encode_s`` and ``decode_s`` add up the seconds spent in the encoder, and in the decoder with its rules.
    """

    def __init__(self, model: Whisper, tokenizer: Tokenizer, heads: HeadSet = ()) -> None:
        """``heads``: the checkpoint's (layer, head) pairs that place tokens in time; raises CheckpointError."""
        self.model = model
        self.tokenizer = tokenizer
        self.heads = alignment_heads(heads, model.dims)
        self.encode_s = 0.0
        self.decode_s = 0.0
        self._encoded: WeakIdKeyDictionary = WeakIdKeyDictionary()

    @torch.inference_mode()
    def encode(self, mels: Sequence[Tensor]) -> Tensor:
        """Audio features (R, S, C) of windows (n_mels, at most 3,000 frames), each encoded once while its mel lives."""
        started = time.perf_counter()
        # Keyed by identity: several requests of one call may share a mel.
        new = list({id(mel): mel for mel in mels if mel not in self._encoded}.values())
        if new:
            batch = torch.stack([pad_or_trim(mel, N_FRAMES) for mel in new])
            features = self.model.encoder(batch.to(device=self.model.device, dtype=self.model.dtype))
            for mel, window_features in zip(new, features, strict=True):
                self._encoded[mel] = window_features.clone()  # a view would keep the whole batch alive
        encoded = torch.stack([self._encoded[mel] for mel in mels])
        self.encode_s += time.perf_counter() - started
        return encoded

    def detect_language(self, mels: Sequence[Tensor]) -> list[dict[str, float]]:
        """Each window's probability of every language."""
        features = self.encode(mels)
        started = time.perf_counter()
        probabilities = language_probabilities(self.model, self.tokenizer, features)
        self.decode_s += time.perf_counter() - started
        return probabilities

    @torch.inference_mode()
    def decode(self, requests: Sequence[DecodeRequest]) -> list[DecodingResult]:
        """See WindowDecoder. Results in the order of the requests."""
        results: dict[int, DecodingResult] = {}
        for width in {request.options.strategy.width for request in requests}:
            group = [i for i, request in enumerate(requests) if request.options.strategy.width == width]
            features = self.encode([requests[i].mel for i in group])
            started = time.perf_counter()
            windows = self._windows(group, requests, features)
            self._run(windows, features, width)
            results |= {window.index: self._result(window) for window in windows}
            results |= self._place_tokens(windows, results, features)
            self.decode_s += time.perf_counter() - started
        return [results[i] for i in range(len(requests))]

    def _windows(self, group: Sequence[int], requests: Sequence[DecodeRequest], features_RSC: Tensor) -> list[_Window]:
        unknown = [place for place, i in enumerate(group) if requests[i].prompt.language is None]
        detected: dict[int, dict[str, float]] = {}
        if unknown:
            detected = dict(
                zip(unknown, language_probabilities(self.model, self.tokenizer, features_RSC[unknown]), strict=True)
            )
        return [self._window(i, requests[i], detected.get(place, {})) for place, i in enumerate(group)]

    def _window(self, index: int, request: DecodeRequest, language_probs: dict[str, float]) -> _Window:
        if language_probs:
            language = max(language_probs, key=language_probs.__getitem__)
            request = replace(request, prompt=replace(request.prompt, language=language))
        n_text_ctx = self.model.dims.n_text_ctx
        half = n_text_ctx // 2
        # Half of the text context for what is said, half for what was said before, one place for its start token.
        prompt = request.prompt.encode(self.tokenizer, max_context=half - 1)
        return _Window(
            index=index,
            request=request,
            prompt=prompt,
            selector=selector_for(request.options.strategy, self.tokenizer.eot),
            filters=filters_for(request, self.tokenizer, self.model.device),
            language_probs=language_probs,
            max_tokens=min(request.options.max_tokens or half, n_text_ctx - len(prompt) + 1),
        )

    def _run(self, windows: Sequence[_Window], features_RSC: Tensor, width: int) -> None:
        cache, logits_NV = self._prefill(windows, features_RSC, width)
        active = list(windows)
        for n_steps in itertools.count(1):
            steps = [self._step(window, logits_NV[i * width : (i + 1) * width]) for i, window in enumerate(active)]
            tokens = [token for step in steps for token in step.tokens]
            sources = [i * width + source for i, step in enumerate(steps) for source in step.sources]
            open_places = [
                i
                for i, (window, step) in enumerate(zip(active, steps, strict=True))
                if not step.done and n_steps < window.max_tokens
            ]
            if not open_places:
                return
            rows = [i * width + j for i in open_places for j in range(width)]
            kept_sources = [sources[row] for row in rows]
            if len(open_places) < len(active):
                places = torch.tensor(open_places, device=features_RSC.device)
                cache.select(windows=places, rows=torch.tensor(kept_sources, device=features_RSC.device))
                active = [active[i] for i in open_places]
            elif kept_sources != list(range(len(kept_sources))):
                cache.select(windows=None, rows=torch.tensor(kept_sources, device=features_RSC.device))
            next_N1 = torch.tensor([[tokens[row]] for row in rows], device=features_RSC.device)
            logits_NV = self.model.decoder.logits(self.model.decoder(next_N1, cache)[:, -1])

    def _prefill(self, windows: Sequence[_Window], features_RSC: Tensor, width: int) -> tuple[DecoderCache, Tensor]:
        """Read the prompts, one row a window, then give each window its rows. Returns (N, V) logits."""
        longest = max(len(window.prompt) for window in windows)
        n_padding = [longest - len(window.prompt) for window in windows]
        prompts = [(0,) * n + window.prompt for n, window in zip(n_padding, windows, strict=True)]
        cache = self.model.decoder.new_cache(features_RSC, n_padding)
        hidden_RTC = self.model.decoder(torch.tensor(prompts, device=features_RSC.device), cache)
        starts = [n + window.prompt.index(self.tokenizer.sot) for n, window in zip(n_padding, windows, strict=True)]
        hidden_at_start = hidden_RTC[range(len(windows)), starts]
        speech = self.model.decoder.logits(hidden_at_start).softmax(dim=-1)[:, self.tokenizer.no_speech].tolist()
        for window, no_speech_prob in zip(windows, speech, strict=True):
            window.no_speech_prob = no_speech_prob
        logits_NV = self.model.decoder.logits(hidden_RTC[:, -1])
        if width > 1:
            rows = torch.arange(len(windows), device=features_RSC.device).repeat_interleave(width)
            cache.select(windows=None, rows=rows)
            logits_NV = logits_NV.index_select(0, rows)
        return cache, logits_NV

    @staticmethod
    def _step(window: _Window, logits_WV: Tensor) -> Step:
        for logit_filter in window.filters:
            logit_filter.apply(logits_WV, window.selector.rows)
        return window.selector.step(logits_WV)

    def _place_tokens(
        self, windows: Sequence[_Window], results: Mapping[int, DecodingResult], features_RSC: Tensor
    ) -> dict[int, DecodingResult]:
        """The results of the windows that asked for ``token_times`` and have text, with them."""
        places: list[int] = []
        texts: list[SpokenText] = []
        for place, window in enumerate(windows):
            tokens = tuple(token for token in results[window.index].tokens if token < self.tokenizer.eot)
            if window.request.options.token_times and tokens:
                prompt = replace(window.request.prompt, timestamps=False, context=())
                places.append(place)
                texts.append(
                    SpokenText(
                        prompt=prompt.encode(self.tokenizer, max_context=0),
                        tokens=tokens,
                        n_frames=min(window.request.mel.shape[-1], N_FRAMES),
                    )
                )
        times = align_texts(self.model, self.heads, features_RSC[places], texts, eot=self.tokenizer.eot)
        indices = [windows[place].index for place in places]
        return {i: replace(results[i], token_times=placed) for i, placed in zip(indices, times, strict=True)}

    def _result(self, window: _Window) -> DecodingResult:
        best = window.selector.best()
        text = self.tokenizer.decode(best.tokens).strip()
        return DecodingResult(
            tokens=best.tokens,
            text=text,
            language=window.request.prompt.language or "en",
            language_probs=window.language_probs,
            avg_logprob=best.avg_logprob,
            no_speech_prob=window.no_speech_prob,
            compression_ratio=compression_ratio(text),
            temperature=window.request.options.strategy.temperature,
        )
