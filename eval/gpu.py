"""The checks of a GPU. In: recordings, shapes, peers' interpreters. Out: ceilings, speeds and equality, as JSON.

First what the device can do at most; then shapes of models with random weights and forced length, ours beside peers,
each in a process of its own, taking turns; then real weights, whose tokens are held against float32 on the CPU. Knows
no corpus and no HTTP.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from eval import ceilings, shape_engines
from eval.errors import EvaluationError
from eval.shape_engines import OURS
from eval.speed import answer_of

if TYPE_CHECKING:
    from asr.decoding import DecodeRequest
    from asr.engine.loading import DeviceName, DtypeName

__all__ = ["LEAST_EQUAL", "SHAPES", "GpuPlan", "measure_gpu"]

WARM_RUNS = 3  # a process and round
WINDOW_S = 30
SHAPES = ("large-v3", "large-v3-turbo", "base")
LEAST_EQUAL: Mapping["DtypeName", float] = {"float32": 0.95, "float16": 0.75, "bfloat16": 0.7}
"""Share of windows whose greedy tokens, timestamps included, must be those of float32 on the CPU.

One near tie parts a window for good, and half precision has many: bfloat16 on a CPU says the same in 18 of 20 (base).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPlan:
    """What is measured."""

    recordings: Sequence[Path]
    """Their first windows are decoded with real weights; none: no such check."""
    peers: Mapping[str, Path]
    """Name → interpreter that the engine is installed for."""
    shapes: Sequence[str] = SHAPES
    model: str = "base"
    """Whose real weights are checked, and whose tokenizer all shapes share."""
    windows: int = 8
    tokens: int = 100
    beam_size: int = 1
    rounds: int = 3
    device: "DeviceName" = "cuda"


def measure_gpu(plan: GpuPlan, *, on_step: Callable[[str], None]) -> dict[str, Any]:
    """Ceilings, shapes and equality. Raises EvaluationError when a shape or peer is unknown, or a process fails."""
    from asr.model import PRESETS

    _check_known("--peer", plan.peers, shape_engines.LOADERS.keys() - {OURS})
    _check_known("--shape", plan.shapes, PRESETS.keys())
    on_step("the device")
    machine = answer_of(Path(sys.executable), "the device", [str(ceilings.__file__), plan.device])
    return {
        "machine": machine,
        "windows": plan.windows,
        "tokens": plan.tokens,
        "beam_size": plan.beam_size,
        "rounds": plan.rounds,
        "shapes": {shape: _time_shape(plan, shape, machine, on_step) for shape in plan.shapes},
        "equality": _equality(plan, on_step) if plan.recordings else {},
    }


def _check_known(option: str, got: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(got) - set(known))
    if unknown:
        raise EvaluationError(f"{option}: got {', '.join(unknown)}, expected {', '.join(sorted(known))}")


# --- shapes ---


def _time_shape(
    plan: GpuPlan, shape: str, machine: Mapping[str, Any], on_step: Callable[[str], None]
) -> dict[str, Any]:
    """Each engine's seconds for all windows, a median a round, and what reading alone would take ours a step."""
    from asr.checkpoint import ModelStore
    from asr.model import PRESETS

    task: dict[str, Any] = {
        "dims": asdict(PRESETS[shape]), "device": plan.device, "windows": plan.windows, "tokens": plan.tokens,
        "beam_size": plan.beam_size, "runs": WARM_RUNS,
        "tokenizer": str(ModelStore().resolve(plan.model) / "tokenizer.json"),
    }  # fmt: skip
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in (OURS, *plan.peers)}
    for number in range(plan.rounds):
        for name, rounds in answers.items():
            on_step(f"{shape}, round {number + 1} of {plan.rounds}: {name}")
            interpreter = plan.peers.get(name, Path(sys.executable))
            told = [str(shape_engines.__file__), name, json.dumps(task)]
            rounds.append(answer_of(interpreter, f"{name} with the shape of {shape}", told))
    floor_s = _bytes_of_a_step(task["dims"], plan.windows) / machine["read_gb_a_second"] / 1e9
    return {
        "floor_ms_a_step": 1e3 * floor_s,
        "engines": {name: _row(rounds, plan, answers[OURS]) for name, rounds in answers.items()},
    }


def _row(rounds: Sequence[Mapping[str, Any]], plan: GpuPlan, ours: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    seconds = [_median_of(each, "seconds") for each in rounds]
    return {
        "seconds": median(seconds),
        "times_real_time": plan.windows * WINDOW_S / median(seconds),
        "ms_a_step": 1e3 * median(_median_of(each, "step_s") for each in rounds),
        "over_ours": median(theirs / _median_of(own, "seconds") for theirs, own in zip(seconds, ours, strict=True)),
        "peak_gb": rounds[-1]["peak_gb"],
        "as_long_as_forced": all(set(run["n_tokens"]) == {plan.tokens} for each in rounds for run in each["runs"]),
        "rounds": seconds,
    }


def _median_of(answer: Mapping[str, Any], name: str) -> float:
    return float(median(run[name] for run in answer["runs"]))


def _bytes_of_a_step(dims: Mapping[str, int], windows: int) -> int:
    """What half precision has to read for one token of each window: the decoder, and what it has heard of the audio."""
    width, layers = dims["n_text_state"], dims["n_text_layer"]
    weights = layers * (4 + 2 + 8) * width * width + dims["n_vocab"] * width  # keys and values of audio are there
    return 2 * (weights + windows * layers * 2 * dims["n_audio_ctx"] * width)


# --- real weights ---


def _equality(plan: GpuPlan, on_step: Callable[[str], None]) -> dict[str, Any]:
    """For each precision how many windows have the tokens of float32 on the CPU."""
    on_step("float32 on the CPU")
    expected = _tokens_of(plan, "cpu", "float32")
    found: dict[str, Any] = {}
    for dtype, least in LEAST_EQUAL.items():
        on_step(f"{dtype} on the device")
        got = _tokens_of(plan, plan.device, dtype)
        n_equal = sum(each == wanted for each, wanted in zip(got, expected, strict=True))
        found[dtype] = {
            "windows": len(expected),
            "equal": n_equal,
            "least_share": least,
            "passed": n_equal >= least * len(expected),
        }
    return found


def _tokens_of(plan: GpuPlan, device: "DeviceName", dtype: "DtypeName") -> list[tuple[int, ...]]:
    from asr.errors import AuricleError
    from asr.options import Quantization
    from asr.transcriber import Transcriber

    try:
        transcriber = Transcriber.load(plan.model, device=device, dtype=dtype, quantization=Quantization.NONE)
        requests = [_first_window(recording, transcriber) for recording in plan.recordings]
        results = transcriber.engine.decode(requests)
    except (AuricleError, OSError) as error:
        raise EvaluationError(f"{plan.model} in {dtype} on {device}: {error}") from error
    transcriber.engine.close()
    return [result.tokens for result in results]


def _first_window(recording: Path, transcriber: Any) -> "DecodeRequest":
    """30 s in a language that the model names, with timestamps, greedy."""
    from asr.audio import load_audio
    from asr.decoding import DecodeRequest, DecodingOptions
    from asr.features import N_FRAMES, LogMel, pad_or_trim
    from asr.prompt import TaskPrompt

    log_mel = LogMel(load_audio(recording).samples, n_mels=transcriber.n_mels, device=transcriber.engine.device)
    n_frames = min(log_mel.n_frames, N_FRAMES)
    mel = pad_or_trim(log_mel.window(0, n_frames), N_FRAMES)
    return DecodeRequest(mel=mel, n_frames=n_frames, prompt=TaskPrompt(), options=DecodingOptions())
