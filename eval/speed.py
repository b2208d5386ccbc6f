"""Engines against each other on one clip. In: a clip and the engines' interpreters. Out: medians and ratios.

Every engine runs in a process of its own, the engines take turns, and each round is compared within itself, since the
machine's speed drifts. Knows no HTTP and no corpus.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from eval import engines
from eval.errors import EvaluationError
from eval.normalizers import NormalizerName, normalizer_for
from eval.peers import peer_model
from eval.wer import count_word_errors

__all__ = ["EngineTimes", "measure_speed", "times_as_json"]

OURS = "auricle"
WARM_RUNS = 3  # a process and round
ENGINE_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTimes:
    """What one engine needed, a number a round."""

    engine: str
    cold_s: tuple[float, ...]
    """From the start of the process to its first transcript."""
    warm_s: tuple[float, ...]
    """Median latency of a transcript in a process that has made one."""
    peak_mb: tuple[float, ...]
    """Largest resident size of the process."""
    torch_mb: tuple[float, ...]
    """Of it, what importing torch alone takes."""
    text: str


def measure_speed(
    clip: Path,
    model: str,
    peers: Mapping[str, Path],
    *,
    rounds: int,
    beam_size: int,
    on_step: Callable[[str], None],
) -> tuple[list[EngineTimes], float]:
    """Time our engine and each peer (name → its interpreter) on one clip, taking turns ``rounds`` times.

    Also the clip's length in seconds. Raises EvaluationError when a peer is unknown or fails.
    """
    from asr.audio import SAMPLE_RATE, load_audio

    unknown = peers.keys() - engines.LOADERS.keys()
    if unknown:
        known = ", ".join(sorted(engines.LOADERS.keys() - {OURS}))
        raise EvaluationError(f"--peer: got {', '.join(sorted(unknown))}, expected {known}")
    try:
        speech = load_audio(clip).samples
    except OSError as error:
        raise EvaluationError(f"{clip}: {error.strerror or error}; expected an audio file") from error
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples.npy"
        np.save(samples, speech)
        models = {engine: model if engine == OURS else peer_model(engine, model) for engine in (OURS, *peers)}
        runs: dict[str, list[dict[str, Any]]] = {engine: [] for engine in (OURS, *peers)}
        for number in range(rounds):
            for engine, results in runs.items():
                on_step(f"round {number + 1} of {rounds}: {engine}")
                interpreter = peers.get(engine, Path(sys.executable))
                results.append(_run_engine(interpreter, engine, models[engine], samples, beam_size))
    measured = [
        EngineTimes(
            engine=engine,
            cold_s=tuple(result["cold_s"] for result in results),
            warm_s=tuple(median(result["seconds"]) for result in results),
            peak_mb=tuple(result["peak_mb"] for result in results),
            torch_mb=tuple(result["torch_mb"] for result in results),
            text=results[-1]["text"],
        )
        for engine, results in runs.items()
    ]
    return measured, len(speech) / SAMPLE_RATE


def _run_engine(interpreter: Path, engine: str, model: str, samples: Path, beam_size: int) -> dict[str, Any]:
    script = [str(interpreter), str(engines.__file__), "time", engine]
    command = [*script, model, str(samples), str(WARM_RUNS), str(beam_size)]
    started = time.time()
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=ENGINE_TIMEOUT_S)  # noqa: S603
    except OSError as error:
        raise EvaluationError(f"--peer {engine}: {interpreter} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise EvaluationError(f"{engine}: no result after {ENGINE_TIMEOUT_S} s") from error
    except subprocess.CalledProcessError as error:
        raise EvaluationError(f"{engine} failed: {error.stderr.strip()[-800:]}") from error
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result | {"cold_s": result["first_at"] - started}


def times_as_json(
    times: list[EngineTimes], *, duration_s: float, reference: str | None = None
) -> dict[str, dict[str, Any]]:
    """Medians, every round's numbers, and each engine's latency over ours as the median of the rounds' ratios.

    With a ``reference`` text also the errors of each engine, as whisper-english counts them.
    """
    ours = next(each for each in times if each.engine == OURS)
    rows = {}
    for each in times:
        ratios = [theirs / own for theirs, own in zip(each.warm_s, ours.warm_s, strict=True)]
        rows[each.engine] = {
            "cold_s": median(each.cold_s),
            "warm_s": median(each.warm_s),
            "times_real_time": duration_s / median(each.warm_s),
            "peak_mb": median(each.peak_mb),
            "torch_mb": median(each.torch_mb),
            "warm_ratio_to_auricle": median(ratios),
            "warm_ratio_range": [min(ratios), max(ratios)],
            "cold_ratio_to_auricle": median(t / o for t, o in zip(each.cold_s, ours.cold_s, strict=True)),
            "rounds": {"cold_s": each.cold_s, "warm_s": each.warm_s, "peak_mb": each.peak_mb},
            "n_words": len(each.text.split()),
            "errors": None if reference is None else _errors(reference, each.text),
            "text": each.text,
        }
    return rows


def _errors(reference: str, hypothesis: str) -> dict[str, float]:
    normalizer = normalizer_for(NormalizerName.WHISPER_ENGLISH, "en")
    counts = count_word_errors(normalizer.normalize(reference, "en"), normalizer.normalize(hypothesis, "en"))
    return {"n": counts.n_errors, "n_ref": counts.n_ref, "rate": counts.n_errors / max(counts.n_ref, 1)}
