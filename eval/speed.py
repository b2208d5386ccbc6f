"""Engines against each other on one recording. In: a recording, engines' interpreters. Out: ``EngineTimes``, JSON.

Every engine runs in a process of its own, the engines take turns, and each round is compared within itself, since the
machine's speed drifts. Knows no HTTP and no corpus.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from eval import ceilings, engines
from eval.engines import OURS
from eval.errors import EvaluationError
from eval.normalizers import NormalizerName, normalizer_for
from eval.peers import peer_model
from eval.rounds import MAX_LOST, ratio_of_rounds
from eval.wer import count_word_errors

__all__ = ["EngineTimes", "SpeedPlan", "answer_of", "measure_speed", "times_as_json"]

WARM_RUNS = 3  # a process and round
LONG_S = 60.0  # a longer recording is its own average: one warm run a round
LOAD_S = 10.0  # for which clients keep asking, each round
ENGINE_TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedPlan:
    """What is measured."""

    recording: Path
    model: str
    peers: Mapping[str, Path]
    """Name → interpreter that the engine is installed for."""
    rounds: int
    beam_size: int
    clients: int = 1
    """More than one: besides, so many clients ask for the recording at the same time."""
    reference: str | None = None
    """What is said."""


@dataclass(slots=True, kw_only=True)
class EngineTimes:
    """What one engine needed, a number a round."""

    engine: str
    cold_s: list[float] = field(default_factory=list)
    """From the start of the process to its first transcript."""
    torch_s: list[float] = field(default_factory=list)
    """Of it, what importing torch takes; 0 for engines without it."""
    warm_s: list[float] = field(default_factory=list)
    """Median latency of a transcript in a process that has made one."""
    peak_mb: list[float] = field(default_factory=list)
    """Largest resident size of the process."""
    torch_mb: list[float] = field(default_factory=list)
    """Of it, what importing torch alone takes."""
    per_second: list[float] = field(default_factory=list)
    """Transcripts a second with all clients; empty for one."""
    text: str = ""

    def add(self, result: Mapping[str, Any]) -> None:
        """What one process said."""
        self.cold_s.append(result["cold_s"])
        self.torch_s.append(result["torch_s"])
        self.warm_s.append(median(result["seconds"]))
        self.peak_mb.append(result["peak_mb"])
        self.torch_mb.append(result["torch_mb"])
        self.text = result["text"]


def measure_speed(plan: SpeedPlan, *, on_step: Callable[[str], None]) -> dict[str, Any]:
    """Time our engine and each peer, taking turns; numbers as ``times_as_json`` has them.

    Raises EvaluationError when a peer is unknown or fails, or the recording cannot be read.
    """
    from asr.audio import SAMPLE_RATE, load_audio

    unknown = plan.peers.keys() - engines.LOADERS.keys()
    if unknown:
        known = ", ".join(sorted(engines.LOADERS.keys() - {OURS}))
        raise EvaluationError(f"--peer: got {', '.join(sorted(unknown))}, expected {known}")
    try:
        speech = load_audio(plan.recording).samples
    except OSError as error:
        raise EvaluationError(f"{plan.recording}: {error.strerror or error}; expected an audio file") from error
    duration_s = len(speech) / SAMPLE_RATE
    on_step("the machine")
    machine = answer_of(Path(sys.executable), "the machine", [str(ceilings.__file__), str(engines.THREADS)])
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples.npy"
        np.save(samples, speech)
        times = {name: EngineTimes(engine=name) for name in (OURS, *plan.peers)}
        models = {name: plan.model if name == OURS else peer_model(name, plan.model) for name in times}
        for number in range(plan.rounds):
            for name, measured in times.items():
                on_step(f"round {number + 1} of {plan.rounds}: {name}")
                told = [models[name], str(samples)]
                runs = WARM_RUNS if duration_s <= LONG_S else 1
                measured.add(_ask(plan, "time", name, [*told, str(runs), str(plan.beam_size)]))
                if plan.clients > 1:
                    asked = [*told, str(plan.clients), str(LOAD_S), str(plan.beam_size)]
                    measured.per_second.append(_ask(plan, "load", name, asked)["per_second"])
    return times_as_json(list(times.values()), plan, duration_s=duration_s, machine=machine)


def _ask(plan: SpeedPlan, mode: str, engine: str, told: Sequence[str]) -> dict[str, Any]:
    interpreter = plan.peers.get(engine, Path(sys.executable))
    started = time.time()
    result = answer_of(interpreter, f"--peer {engine}", [str(engines.__file__), mode, engine, *told])
    return result | {"cold_s": result["first_at"] - started} if mode == "time" else result


def answer_of(interpreter: Path, what: str, script: Sequence[str]) -> dict[str, Any]:
    """The JSON on the last line that a script prints. Raises EvaluationError."""
    command = [str(interpreter), *script]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=ENGINE_TIMEOUT_S)  # noqa: S603
    except OSError as error:
        raise EvaluationError(f"{what}: {interpreter} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise EvaluationError(f"{what}: no result after {ENGINE_TIMEOUT_S} s") from error
    except subprocess.CalledProcessError as error:
        raise EvaluationError(f"{what} failed: {error.stderr.strip()[-800:]}") from error
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def times_as_json(
    times: Sequence[EngineTimes], plan: SpeedPlan, *, duration_s: float, machine: Mapping[str, Any]
) -> dict[str, Any]:
    """What was measured on what machine, each engine's numbers, and how they stand to ours.

    Ratios are the medians of the rounds' ratios, more than 1 where we do better, with 95 % intervals by resampling the
    rounds. An engine that leaves out or invents more than 5 % of the reference's words does not count.
    """
    ours = next(each for each in times if each.engine == OURS)
    return {
        "recording": plan.recording.name,
        "duration_s": duration_s,
        "model": plan.model,
        "beam_size": plan.beam_size,
        "clients": plan.clients,
        "rounds": plan.rounds,
        "machine": dict(machine),
        "engines": {each.engine: _row(each, ours, plan.reference, duration_s) for each in times},
    }


def _row(each: EngineTimes, ours: EngineTimes, reference: str | None, duration_s: float) -> dict[str, Any]:
    errors = None if reference is None else _errors(reference, each.text)
    row: dict[str, Any] = {
        "cold_s": median(each.cold_s),
        "torch_s": median(each.torch_s),
        "warm_s": median(each.warm_s),
        "times_real_time": duration_s / median(each.warm_s),
        "peak_mb": median(each.peak_mb),
        "torch_mb": median(each.torch_mb),
        "latency_over_ours": ratio_of_rounds(each.warm_s, ours.warm_s),
        "rounds": {"cold_s": each.cold_s, "warm_s": each.warm_s, "peak_mb": each.peak_mb},
        "n_words": len(each.text.split()),
        "errors": errors,
        "counts": errors is None or errors["lost_or_invented"] <= MAX_LOST,
        "text": each.text,
    }
    if each.per_second:
        row["per_second"] = median(each.per_second)
        row["ours_over_per_second"] = ratio_of_rounds(ours.per_second, each.per_second)
        row["rounds"]["per_second"] = each.per_second
    return row


def _errors(reference: str, hypothesis: str) -> dict[str, float]:
    normalizer = normalizer_for(NormalizerName.WHISPER_ENGLISH, "en")
    counts = count_word_errors(normalizer.normalize(reference, "en"), normalizer.normalize(hypothesis, "en"))
    n_ref = max(counts.n_ref, 1)
    return {
        "n": counts.n_errors,
        "n_ref": counts.n_ref,
        "rate": counts.n_errors / n_ref,
        "lost_or_invented": max(counts.deletions, counts.insertions) / n_ref,
    }
