import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from asr.audio import SAMPLE_RATE
from data_pipeline.chunks import ChunkSummary, Step


class Silent:
    """Progress that nobody looks at."""

    def start(self, step: str, n_chunks: int, n_done: int) -> None:
        self.step = step

    def advance(self, summary: ChunkSummary) -> None:
        assert summary.n_items or summary.audio_s == 0


class InThisProcess:
    """An executor without any process."""

    def run(self, step: Step, numbers: Sequence[int]) -> None:
        for number in numbers:
            step.run(number)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """What no two seeds have in common, as 16-bit samples; noise at the beginning alone, which is quick to encode."""
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.int16)
    samples[:SAMPLE_RATE] = np.random.default_rng(seed).integers(-3000, 3000, len(samples[:SAMPLE_RATE]), np.int16)
    return samples


def write_audio(path: Path, seconds: float = 2.0, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(seconds, seed), SAMPLE_RATE, subtype="PCM_16")
    return path


def srt(cues: Sequence[tuple[float, float, str]]) -> str:
    def clock(time_s: float) -> str:
        ms = round(time_s * 1000)
        return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"

    return "\n".join(f"{n}\n{clock(a)} --> {clock(b)}\n{text}\n" for n, (a, b, text) in enumerate(cues, start=1))


SENTENCES = (
    "The ferry leaves at nine, and the last one back is at six.",
    "Nobody had told her that the bridge was closed, so she walked.",
    "In the evening, when the shop is empty, he writes to his brother.",
    "Some of the apples were red, but most of them were still green.",
    "We counted the stars until the clouds came, and then we slept.",
    "First you warm the milk, then you add the flour and a little salt.",
)
LEAKED = "Every morning the postman cycles past the old mill with two heavy bags."


def talk(voice: int) -> list[tuple[float, float, str]]:
    """Six cues in 32 s, their words in an order that no other voice has."""
    draw = np.random.default_rng(voice)
    cues = []
    for n, text in enumerate(SENTENCES):
        words = text.split()
        mixed = " ".join(words[place] for place in draw.permutation(len(words)))
        cues.append((5.6 * n, 5.6 * n + 4, f"Voice {voice}, {mixed}"))
    return cues


def make_heap(folder: Path, n_talks: int = 6) -> Path:
    """A folder of talks with one defect of several kinds, and its recipe."""
    heap = folder / "heap"
    for voice in range(n_talks):
        write_audio(heap / f"talk{voice}.flac", 34.0, voice)
        (heap / f"talk{voice}.srt").write_text(srt(talk(voice)))
    write_audio(heap / "upper.wav", 5.0, 100).with_suffix(".txt").write_text("GOOD EVENING, THIS IS THE NEWS.")
    write_audio(heap / "copy.wav", 34.0, 0).with_suffix(".srt").write_text((heap / "talk0.srt").read_text())
    write_audio(heap / "beyond.wav", 10.0, 101).with_suffix(".srt").write_text(srt(talk(50)))
    write_audio(heap / "lonely.wav", 1.0, 102)
    write_audio(heap / "leak.wav", 10.0, 103).with_suffix(".txt").write_text(f"Well. {LEAKED}")
    (heap / "broken.wav").write_bytes(b"RIFF")
    (heap / "broken.txt").write_text("Hello, world.")
    corpus = folder / "corpus"
    write_audio(corpus / "e.wav", 1.0)
    line = {"id": "e", "path": "e.wav", "text": LEAKED, "language": "en"}
    (corpus / "manifest.jsonl").write_text(json.dumps(line))
    recipe = folder / "recipe.toml"
    recipe.write_text(
        'chunk_items = 3\n[[sources]]\nname = "talks"\nkind = "folder"\npath = "heap"\nlicence = "CC0-1.0"\n'
        'language = "en"\n[evaluation]\nsuites = ["development"]\ndata = "corpus"\n[segments]\nsilence_share = 0.5\n'
    )
    return recipe


def contents(run: Path) -> Mapping[str, bytes]:
    """What a run's folder has by name, but for how long it took and who did it."""
    files = {path.relative_to(run): path for path in run.rglob("*") if path.is_file()}
    apart = {"seconds.json", "run.lock", "summaries", "executor"}
    return {name.as_posix(): path.read_bytes() for name, path in files.items() if name.parts[0] not in apart}
