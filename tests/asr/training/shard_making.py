"""Small shards for the tests of training: tones that words are written over, and real clips."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from asr.audio import SAMPLE_RATE, load_audio
from data_pipeline.shards import ShardWriter

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def fields_of(text: str, duration: float, /, **changes: Any) -> dict[str, Any]:
    """What ``data_pipeline`` would say of one timed cue over everything; cues that are given are (start, end, text)."""
    fields = {
        "language": "en" if text else None,
        "task": "transcribe",
        "text": text,
        "cues": [(0.0, duration, text)] if text else [],
        "duration": duration,
        "partial_start": None,
        "previous_text": "",
        "use_previous_text": False,
        "use_timestamps": True,
    } | changes
    cues = [dict(zip(("start", "end", "text"), cue, strict=False)) for cue in fields["cues"]]
    return fields | {"cues": cues}


def write_shard(path: Path, examples: list[tuple[str, np.ndarray, Mapping[str, Any]]]) -> Path:
    with path.open("wb") as file:
        writer = ShardWriter(file)
        for key, samples, fields in examples:
            writer.add(key, samples, fields)
        writer.close()
    return path


def write_tones(path: Path, *, n: int, seed: int = 0) -> Path:
    """Each word is a tone of 0.2 s; every fourth example is told what came before, every fifth is silence."""
    rng = random.Random(seed)  # noqa: S311 (a test)
    examples = []
    for number in range(n):
        words = [] if number % 5 == 4 else rng.choices(WORDS, k=rng.randint(1, 4))
        clock = np.arange(SAMPLE_RATE // 5) / SAMPLE_RATE
        tones = [0.3 * np.sin(2 * np.pi * 200 * (1 + WORDS.index(word)) * clock) for word in words]
        samples = np.concatenate([*tones, np.zeros(SAMPLE_RATE // 2)]).astype(np.float32)
        text = " ".join(words)
        told = {"previous_text": "one two", "use_previous_text": number % 4 == 3, "use_timestamps": number % 2 == 0}
        examples.append((f"{path.stem}-{number:03d}", samples, fields_of(text, len(samples) / SAMPLE_RATE, **told)))
    return write_shard(path, examples)


def write_real(path: Path, data: Path, *, n: int) -> Path:
    """The first short English clips of the development recordings whose words are plain."""
    rows = [json.loads(line) for line in (data / "manifest.jsonl").read_text().splitlines()]
    chosen = [
        row
        for row in rows
        if row["dataset"] == "common_voice_6.1" and row["language"] == "en" and row["duration"] < 5
        and '"' not in row["text"] and len(row["text"]) > 20
    ][:n]  # fmt: skip
    examples = []
    for row in chosen:
        waveform = load_audio(data / row["path"])
        fields = fields_of(row["text"], round(waveform.duration, 3), use_timestamps=False)
        examples.append((row["id"].replace(".", "-"), waveform.samples, fields))
    return write_shard(path, examples)
