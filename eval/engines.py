"""One engine, one clip, timed: a script that each engine's own interpreter runs. In: arguments. Out: one JSON line.

    python engines.py ENGINE MODEL SAMPLES.npy ROUNDS

The engines' dependencies collide, so each lives in a virtual environment of its own, and this file imports nothing but
the standard library and numpy until it knows which engine it is. All decode greedily, in English, without fallback, on
the same samples (mono float32 at 16 kHz), with two threads. Knows nothing of the other engines' results.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Transcribe = Callable[[Any], str]
THREADS = 2


def _auricle(model: str) -> Transcribe:
    import torch

    from asr.audio import Waveform
    from asr.options import TranscribeOptions
    from asr.transcriber import Transcriber

    torch.set_num_threads(THREADS)
    transcriber = Transcriber.load(model, device="cpu")
    options = TranscribeOptions(language="en", beam_size=1, temperatures=(0.0,))
    return lambda samples: transcriber.transcribe(Waveform(samples), options).text


def _openai_whisper(model: str) -> Transcribe:
    import torch
    import whisper

    torch.set_num_threads(THREADS)
    loaded = whisper.load_model(model, device="cpu")
    return lambda samples: str(loaded.transcribe(samples, language="en", temperature=0.0, fp16=False)["text"]).strip()


def _faster_whisper(model: str, compute_type: str) -> Transcribe:
    from faster_whisper import WhisperModel

    loaded = WhisperModel(model, device="cpu", compute_type=compute_type, cpu_threads=THREADS)

    def transcribe(samples: Any) -> str:
        segments, _ = loaded.transcribe(samples, language="en", beam_size=1, temperature=0.0)
        return "".join(segment.text for segment in segments).strip()

    return transcribe


LOADERS: dict[str, Callable[[str], Transcribe]] = {
    "auricle": _auricle,
    "openai-whisper": _openai_whisper,
    "faster-whisper-float32": lambda model: _faster_whisper(model, "float32"),
    "faster-whisper-int8": lambda model: _faster_whisper(model, "int8"),
}


def main() -> None:
    """Load, transcribe once, then ``ROUNDS`` times more; print times in seconds and peak memory in MB."""
    engine, model, samples_path, rounds = sys.argv[1:5]
    transcribe = LOADERS[engine](model)
    samples = np.load(samples_path)
    text = transcribe(samples)
    first_at = time.time()
    seconds = []
    for _ in range(int(rounds)):
        started = time.perf_counter()
        text = transcribe(samples)
        seconds.append(time.perf_counter() - started)
    # Not getrusage: its maximum still holds the parent's size from before exec.
    status = Path("/proc/self/status").read_text()
    peak_mb = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]  # Linux always has it
    sys.stdout.write(json.dumps({"first_at": first_at, "seconds": seconds, "peak_mb": peak_mb, "text": text}) + "\n")


if __name__ == "__main__":
    main()
