"""What a draft head would bring on a CPU. In: a model, clips, a head. Out: processor time and passes of each way.

Three ways to the same text: one token a pass, blocks of a draft that is always right (the ceiling), and blocks of the
head's draft. Times are processor time of one thread, which others on the machine hardly change. Knows no terminal.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from asr.audio import load_audio
from asr.audio_context import short_context
from asr.checkpoint import ModelStore, load_model, read_checkpoint
from asr.decoding import DecodeRequest, DecodingOptions, Greedy
from asr.draft_head import load_draft_head
from asr.engine.backend import EncodedWindow
from asr.engine.loading import load_backend
from asr.features import N_FRAMES, LogMel
from asr.options import AudioContext, Quantization
from asr.prompt import TaskPrompt
from asr.tokenizer import Tokenizer
from eval.ceilings import cpu_name
from eval.drafts import Counts, Draft, HeardDraft, NoDraft, Oracle, decode_drafted

__all__ = ["GREEDY", "HEAD", "ORACLE", "DraftPlan", "Way", "measure_drafts"]

GREEDY, ORACLE, HEAD = "one token a pass", "oracle", "head"  # the ways


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftPlan:
    """What is measured."""

    clips: Sequence[Path]
    """Of each the first 30 s."""
    model: str
    head: Path | None
    """None: the ceiling alone."""
    language: str
    quantization: Quantization
    context: AudioContext
    block: int
    """Tokens a pass."""
    batch: int
    """Windows side by side: the clip, so many times."""


@dataclass(slots=True, kw_only=True)
class Way:
    """Totals over the clips, of one window of the batch each."""

    draft_s: float = 0.0
    decode_s: float = 0.0
    n_tokens: int = 0
    n_passes: int = 0
    n_guessed: int = 0
    n_accepted: int = 0
    differing: list[str] = field(default_factory=list)
    """Clips whose text is not that of one token a pass: ties that floating point broke otherwise."""

    def add(self, counts: Counts, *, decode_s: float) -> None:
        """Add a clip."""
        self.decode_s += decode_s
        self.n_tokens += len(counts.tokens)
        self.n_passes += counts.n_passes
        self.n_guessed += counts.n_guessed
        self.n_accepted += counts.n_accepted


def measure_drafts(plan: DraftPlan, on_clip: Callable[[str], None]) -> dict[str, Any]:
    """Times in seconds and counts, by way. Raises what loading a model, a head or a recording raises."""
    with _one_thread(), torch.inference_mode():
        bench = _Bench(plan)
        bench.measure(plan.clips[0])  # the first of all is slower: pages are mapped, caches are cold
        bench.forget()
        for clip in plan.clips:
            on_clip(clip.name)
            bench.measure(clip)
    return {
        "cpu": cpu_name(), "model": plan.model, "precision": bench.precision, "context": plan.context.value,
        "block": plan.block, "batch": plan.batch, "language": plan.language, "n_clips": len(plan.clips),
        "encode_s": bench.encode_s, "ways": {name: asdict(way) for name, way in bench.ways.items()},
    }  # fmt: skip


class _Bench:
    """A model, a head and what was measured so far."""

    def __init__(self, plan: DraftPlan) -> None:
        checkpoint = read_checkpoint(ModelStore().resolve(plan.model))
        device = torch.device("cpu")
        self._plan = plan
        self._backend = load_backend(checkpoint, device, "auto", plan.quantization)
        self._tokenizer = Tokenizer(checkpoint.tokenizer_path, n_vocab=checkpoint.dims.n_vocab)
        self._whisper = load_model(checkpoint, device=device, dtype=torch.float32)
        self._head = None if plan.head is None else load_draft_head(plan.head, self._whisper)
        self.precision = self._backend.precision
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.encode_s = 0.0
        self.ways = {name: Way() for name in (GREEDY, ORACLE, *((HEAD,) if self._head else ()))}

    def measure(self, clip: Path) -> None:
        """Add a clip."""
        plan = self._plan
        request = self._request(clip)
        started = time.process_time()
        [window] = self._backend.encode([request.mel])
        self.encode_s += (time.process_time() - started) * plan.batch
        greedy = self._decode(GREEDY, window, request, NoDraft)
        found = {ORACLE: self._decode(ORACLE, window, request, lambda: Oracle(greedy.tokens))}
        if self._head is not None:
            # The int8 encoder keeps its features to itself; those of float32 are what the head has learned from.
            features_SC = self._whisper.encoder(request.mel[None])[0]
            started = time.process_time()
            text = self._head.draft(features_SC)
            self.ways[HEAD].draft_s += (time.process_time() - started) * plan.batch
            found[HEAD] = self._decode(
                HEAD, window, request, lambda: HeardDraft(text, self._tokenizer, timestamps=request.prompt.timestamps)
            )
        for name, counts in found.items():
            if counts.tokens != greedy.tokens:
                self.ways[name].differing.append(clip.name)

    def _request(self, clip: Path) -> DecodeRequest:
        mel = LogMel(load_audio(clip).samples, n_mels=self._backend.dims.n_mels, device=self._backend.device)
        n_frames = min(mel.n_frames, N_FRAMES)
        padded_to = N_FRAMES if self._plan.context is AudioContext.EXACT else short_context(n_frames)
        return DecodeRequest(
            mel=mel.padded_window(0, n_frames, padded_to),
            n_frames=n_frames,
            prompt=TaskPrompt(language=self._plan.language),
            options=DecodingOptions(strategy=Greedy()),
        )

    def _decode(self, name: str, window: EncodedWindow, request: DecodeRequest, draft: Callable[[], Draft]) -> Counts:
        n, block = self._plan.batch, self._plan.block
        drafts = [draft() for _ in range(n)]
        started = time.process_time()
        counts = decode_drafted(self._backend, [window] * n, [request] * n, drafts, self._tokenizer, block=block)[0]
        self.ways[name].add(counts, decode_s=time.process_time() - started)
        return counts


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
