"""One engine in its own interpreter: a script that others run. In: arguments, then samples. Out: JSON lines.

    python engines.py time ENGINE MODEL SAMPLES.npy RUNS BEAMS          one line: how long it takes
    python engines.py load ENGINE MODEL SAMPLES.npy CLIENTS S BEAMS     one line: how many transcripts a second
    python engines.py serve ENGINE MODEL NAME                           a line for each line it is asked, until they end

The engines' dependencies collide, so each lives in a virtual environment of its own, and this file imports nothing but
the standard library and numpy until it knows which engine it is. MODEL is what the engine loads, NAME what the model is
called. Samples are mono float32 at 16 kHz, in a file. Timed, all decode in English, without fallback, on the same
samples, with two threads and as many beams as they are told; loaded, by as many clients, each of which asks again as
soon as it is answered. Serving, each decodes with a beam of 5 and its own defaults, with as many threads as
OMP_NUM_THREADS says. Knows nothing of the other engines' results.
"""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import numpy as np

Transcribe = Callable[[Any], str]
Request = dict[str, Any]  # samples: a path; language: a code or None; task; words: whether they are wanted
Reply = dict[str, Any]  # text, language, duration; words: [word, start, end, probability] each; or error: code, message
Answer = Callable[[Any, Request], Reply]
OURS = "auricle"
THREADS = 2
SEED = 0  # of the samples that the fallback draws, set anew for each recording
BEAM_SIZE = 5
LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
BATCH_SIZE = 8
MAX_NEW_TOKENS = 440
WITH_TORCH = (OURS, "openai-whisper", "transformers")


def _auricle(model: str, beam_size: int) -> Transcribe:
    import torch

    from asr.audio import Waveform
    from asr.options import TranscribeOptions
    from asr.transcriber import Transcriber

    torch.set_num_threads(THREADS)
    transcriber = Transcriber.load(model, device="cpu")
    options = TranscribeOptions(language="en", beam_size=beam_size, temperatures=(0.0,))
    return lambda samples: transcriber.transcribe(Waveform(samples), options).text


def _openai_whisper(model: str, beam_size: int) -> Transcribe:
    import torch
    import whisper

    torch.set_num_threads(THREADS)
    loaded = whisper.load_model(model, device="cpu")
    beams = {"beam_size": beam_size} if beam_size > 1 else {}
    return lambda samples: str(
        loaded.transcribe(samples, language="en", temperature=0.0, fp16=False, **beams)["text"]
    ).strip()


def _faster_whisper(
    model: str, beam_size: int, compute_type: str, *, batch_size: int = 0, workers: int = 1
) -> Transcribe:
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    threads = THREADS // workers
    loaded = WhisperModel(model, device="cpu", compute_type=compute_type, cpu_threads=threads, num_workers=workers)
    transcribe_all = BatchedInferencePipeline(loaded).transcribe if batch_size else loaded.transcribe
    batch = {"batch_size": batch_size} if batch_size else {}

    def transcribe(samples: Any) -> str:
        segments, _ = transcribe_all(samples, language="en", beam_size=beam_size, temperature=0.0, **batch)
        return "".join(segment.text for segment in segments).strip()

    return transcribe


def _openvino(model: str, beam_size: int) -> Transcribe:
    """Int8 weights, as ``optimum-cli export openvino --weight-format int8`` makes them."""
    import openvino_genai  # type: ignore[import-not-found]  # only where the peer is installed

    pipeline = openvino_genai.WhisperPipeline(
        model, "CPU", INFERENCE_NUM_THREADS=THREADS, INFERENCE_PRECISION_HINT="f32"
    )
    config = pipeline.get_generation_config()
    told = {"language": "<|en|>", "task": "transcribe"} if config.is_multilingual else {}
    beams = {"num_beams": beam_size} if beam_size > 1 else {}
    settings = {"return_timestamps": True, "max_new_tokens": MAX_NEW_TOKENS, **told, **beams}
    return lambda samples: str(pipeline.generate(samples, **settings)).strip()


def _whisper_cpp(model: str, beam_size: int) -> Transcribe:
    """Weights in blocks of 32 with a scale each (q8_0)."""
    from pywhispercpp.model import Model  # type: ignore[import-not-found]  # only where the peer is installed

    strategy = {"greedy": {"best_of": 1}} if beam_size == 1 else {"beam_search": {"beam_size": beam_size}}
    loaded = Model(
        model, n_threads=THREADS, params_sampling_strategy=int(beam_size > 1), temperature_inc=0.0, language="en",
        print_progress=False, print_realtime=False, print_timestamps=False, redirect_whispercpp_logs_to=None,
        **strategy,
    )  # fmt: skip
    return lambda samples: " ".join(segment.text.strip() for segment in loaded.transcribe(samples))


def _transformers(model: str, beam_size: int) -> Transcribe:
    """Its pipeline over overlapping chunks of 30 s, eight at a time."""
    import torch
    from transformers import pipeline  # type: ignore[import-not-found]  # only where the peer is installed

    torch.set_num_threads(THREADS)
    recognize = pipeline("automatic-speech-recognition", model=model, chunk_length_s=30, batch_size=BATCH_SIZE)
    told = {"language": "en", "task": "transcribe"} if recognize.model.generation_config.is_multilingual else {}
    settings = {"generate_kwargs": {**told, "num_beams": beam_size}}
    return lambda samples: str(recognize(samples.copy(), return_timestamps=True, **settings)["text"]).strip()


def _openai_whisper_answers(model: str, name: str) -> Answer:
    """As its command line decodes when nothing but the language is said."""
    import torch
    import whisper

    loaded = whisper.load_model(model, device="cpu")
    heads = whisper._ALIGNMENT_HEADS.get(name)
    if heads is not None:  # a file does not bring them along, and the default is half of all heads
        loaded.set_alignment_heads(heads)

    def answer(samples: Any, request: Request) -> Reply:
        torch.manual_seed(SEED)
        result = loaded.transcribe(
            samples,
            language=request["language"] or (None if loaded.is_multilingual else "en"),
            task=request["task"],
            word_timestamps=request["words"],
            temperature=LADDER,
            beam_size=BEAM_SIZE,
            best_of=BEAM_SIZE,
            condition_on_previous_text=True,
            fp16=False,
        )
        words = [word for segment in result["segments"] for word in segment.get("words", ())]
        return {
            "text": result["text"].strip(),
            "language": result["language"],
            "words": [(word["word"], word["start"], word["end"], word["probability"]) for word in words],
        }

    return answer


def _faster_whisper_answers(model: str, *, batched: bool) -> Answer:
    """Float32; ``batched``: by its pipeline, which finds speech with its own voice activity detection."""
    import ctranslate2  # type: ignore[import-not-found]  # only where the peer is installed
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    loaded = WhisperModel(model, device="cpu", compute_type="float32")
    transcribe = BatchedInferencePipeline(loaded).transcribe if batched else loaded.transcribe
    settings = {"beam_size": BEAM_SIZE} | ({"batch_size": BATCH_SIZE} if batched else {})

    def answer(samples: Any, request: Request) -> Reply:
        ctranslate2.set_random_seed(SEED)
        segments, info = transcribe(
            samples, language=request["language"], task=request["task"], word_timestamps=request["words"], **settings
        )
        decoded = list(segments)  # they are made as they are asked for
        words = [word for segment in decoded for word in segment.words or ()]
        return {
            "text": "".join(segment.text for segment in decoded).strip(),
            "language": info.language,
            "words": [(word.word, float(word.start), float(word.end), float(word.probability)) for word in words],
        }

    return answer


LOADERS: dict[str, Callable[[str, int], Transcribe]] = {
    OURS: _auricle,
    "openai-whisper": _openai_whisper,
    "faster-whisper-float32": lambda model, beams: _faster_whisper(model, beams, "float32"),
    "faster-whisper-int8": lambda model, beams: _faster_whisper(model, beams, "int8"),
    "faster-whisper-int8-2-workers": lambda model, beams: _faster_whisper(model, beams, "int8", workers=2),
    "faster-whisper-int8-batched-8": lambda model, beams: _faster_whisper(model, beams, "int8", batch_size=8),
    "faster-whisper-int8-batched-16": lambda model, beams: _faster_whisper(model, beams, "int8", batch_size=16),
    "openvino-int8": _openvino,
    "transformers": _transformers,
    "whisper-cpp-q8": _whisper_cpp,
}
"""Engines that are timed."""
CONCURRENT = (OURS, "faster-whisper-int8-2-workers")  # several threads may ask; the others are behind a lock
PEERS: dict[str, tuple[Callable[[str, str], Answer], tuple[str, ...]]] = {
    "openai-whisper": (_openai_whisper_answers, ("openai-whisper", "torch")),
    "faster-whisper": (
        lambda model, _: _faster_whisper_answers(model, batched=False),
        ("faster-whisper", "ctranslate2"),
    ),
    "faster-whisper-batched": (
        lambda model, _: _faster_whisper_answers(model, batched=True),
        ("faster-whisper", "ctranslate2"),
    ),
}
"""Engines that serve, and the packages whose versions say what they are."""


def measure(engine: str, model: str, samples_path: str, runs: str, beam_size: str) -> dict[str, Any]:
    """Load, transcribe once, then ``runs`` times more; times in seconds and peak memory in MB.

    ``torch_mb`` and ``torch_s`` are the size of the process once torch is there, and the time that importing it took;
    0 for engines without it.
    """
    torch_mb = torch_s = 0.0
    if engine in WITH_TORCH:
        started = time.perf_counter()
        import torch  # noqa: F401

        torch_mb, torch_s = _peak_mb(), time.perf_counter() - started
    transcribe = LOADERS[engine](model, int(beam_size))
    samples = np.load(samples_path)
    text = transcribe(samples)
    first_at = time.time()
    seconds = []
    for _ in range(int(runs)):
        started = time.perf_counter()
        text = transcribe(samples)
        seconds.append(time.perf_counter() - started)
    return {
        "first_at": first_at, "seconds": seconds, "peak_mb": _peak_mb(), "torch_mb": torch_mb, "torch_s": torch_s,
        "text": text,
    }  # fmt: skip


def load(engine: str, model: str, samples_path: str, clients: str, seconds: str, beam_size: str) -> dict[str, Any]:
    """So many clients for so long, after one transcript to warm up: answers a second, each one's latency, peak memory.

    What is under way at the end is waited for, and counted with the time that it took.
    """
    transcribe = LOADERS[engine](model, int(beam_size))
    samples = np.load(samples_path)
    transcribe(samples)
    guard = nullcontext() if engine in CONCURRENT else threading.Lock()
    latencies: list[float] = []
    texts: set[str] = set()
    began = time.perf_counter()

    def ask() -> None:
        while (asked := time.perf_counter()) < began + float(seconds):
            with guard:
                texts.add(transcribe(samples))
            latencies.append(time.perf_counter() - asked)

    with ThreadPoolExecutor(int(clients)) as threads:
        for client in [threads.submit(ask) for _ in range(int(clients))]:
            client.result()
    elapsed = time.perf_counter() - began
    return {
        "per_second": len(latencies) / elapsed, "latencies": latencies, "peak_mb": _peak_mb(), "texts": sorted(texts),
    }  # fmt: skip


def _peak_mb() -> float:
    # Not getrusage: its maximum still holds the parent's size from before exec.
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]  # Linux always has it


def serve(engine: str, model: str, name: str) -> Iterator[dict[str, Any]]:
    """Load and say what was loaded; then an answer for each line of stdin."""
    load, packages = PEERS[engine]
    answer = load(model, name)
    yield {"versions": {package: version(package) for package in packages}}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            yield answer(np.load(request["samples"]), request)
        except Exception as error:  # noqa: BLE001, RUF100  (one recording must not cost the hours of a whole corpus)
            yield {"error": f"{type(error).__name__}: {error}"}


def main(out: TextIO) -> None:
    """Do what the arguments say."""
    mode, *arguments = sys.argv[1:]
    answers = {"time": lambda: [measure(*arguments)], "load": lambda: [load(*arguments)]}
    for result in answers[mode]() if mode in answers else serve(*arguments):
        out.write(json.dumps(result) + "\n")
        out.flush()


if __name__ == "__main__":
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # engines that print do so among the errors
    main(lines)
