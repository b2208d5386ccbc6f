"""Models whose error rates follow a known law: real checkpoints of nothing, and hypotheses with as many wrong words."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asr.checkpoint import Checkpoint, save_checkpoint
from asr.checkpoint.training_record import TrainingRecord, write_training_record
from asr.model import ModelDimensions, Whisper
from asr.options import TranscribeOptions
from eval.hypotheses import Hypothesis, HypothesisStore, Reference
from eval.scaling.points import read_points
from eval.scaling.study import ScalingStudy, fit_study

N_CLIPS, N_WORDS = 60, 50
WIDTHS = (16, 64, 256)
HOURS = (1.0, 10.0, 100.0)


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> dict[int, tuple[Path, int]]:
    """Folder and number of parameters of a model of each width."""
    made = {}
    for width in WIDTHS:
        folder = tmp_path_factory.mktemp("weights")
        (folder / "tokenizer.json").write_text("{}")
        dims = ModelDimensions(80, 4, width, 1, 1, 10, 4, width, 1, 1)
        with torch.device("meta"):
            state = Whisper(dims).state_dict()
        zeros = {name: torch.zeros(tensor.shape, dtype=torch.float16) for name, tensor in state.items()}
        checkpoint = Checkpoint(
            dims=dims, state_dict=zeros, tokenizer_path=folder / "tokenizer.json", source_sha256=f"{width:064d}"
        )
        save_checkpoint(checkpoint, folder)
        made[width] = folder, sum(tensor.numel() for tensor in zeros.values())
    return made


@dataclass
class Corpus:
    """Makes runs of one corpus."""

    folder: Path
    weights: dict[int, tuple[Path, int]]
    hard: np.ndarray = field(default_factory=lambda: np.random.default_rng(5).uniform(0.6, 1.4, N_CLIPS))
    """How much harder than the average each clip is, to every model alike."""

    def parameters(self, width: int) -> int:
        return self.weights[width][1]

    def run(self, width: int, hours: float, rate: float, *, name: str = "", **changes: Any) -> Path:
        """A run with this error rate, to within half a word; ``changes`` are of its configuration."""
        name = name or f"w{width}-{hours:g}h"
        model, digest = self.folder / "models" / name, f"{width}-{hours:g}-{name}".ljust(64, "0")
        shutil.copytree(self.weights[width][0], model, dirs_exist_ok=True)
        self._sign(model, digest)
        write_training_record(
            TrainingRecord(
                preset="nano", updates=100, examples=10, examples_seen=40, audio_hours=hours, audio_hours_seen=4 * hours
            ),
            model,
        )
        config = {
            "corpus": "made/manifest.jsonl", "job": "transcribe", "language": "manifest", "target": "local",
            "options": json.loads(json.dumps(asdict(TranscribeOptions()))), "model": str(model), "model_hash": digest,
            "versions": {"auricle": "0"}, **changes,
        }  # fmt: skip
        references = {
            f"clip-{number}": Reference(
                key="k", audio="a.wav", text=" ".join(["word"] * N_WORDS), language="en", duration=1.0, dataset="made",
                speaker=str(number),
            )
            for number in range(N_CLIPS)
        }  # fmt: skip
        with HypothesisStore(self.folder / name, config=config, references=references) as store:
            for clip_id, n_wrong in zip(references, self._n_wrong(rate), strict=True):
                words = ["wrong"] * min(n_wrong, N_WORDS) + ["word"] * (N_WORDS - n_wrong)
                words += ["more"] * (n_wrong - N_WORDS)
                store.append(Hypothesis(id=clip_id, key="k", text=" ".join(words), seconds=0.1))
        return self.folder / name

    def _sign(self, model: Path, digest: str) -> None:
        from safetensors import safe_open
        from safetensors.torch import load_file, save_file

        path = model / "model.safetensors"
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        save_file(load_file(path), path, metadata={**metadata, "source_sha256": digest})

    def _n_wrong(self, rate: float) -> list[int]:
        wanted = np.cumsum(rate * N_WORDS * self.hard / self.hard.mean())
        return [int(n) for n in np.diff(np.round(wanted), prepend=0)]


@pytest.fixture
def corpus(tmp_path, weights) -> Corpus:
    return Corpus(folder=tmp_path, weights=weights)


def with_floor(parameters: float, hours: float) -> float:
    return 0.1 + 0.1 * (parameters / 1e5) ** -0.35 + 0.08 * (hours / 10) ** -0.4


def by_law(corpus: Corpus, law: Callable[[float, float], float]) -> list[Path]:
    """3 sizes × 3 amounts whose rate is a function of parameters and hours."""
    return [corpus.run(width, hours, law(corpus.parameters(width), hours)) for width in WIDTHS for hours in HOURS]


@pytest.fixture
def straight_runs(corpus) -> list[Path]:
    """Exponents 0.2 and 0.1."""
    return by_law(corpus, lambda parameters, hours: 0.3 * (parameters / 1e5) ** -0.2 * (hours / 10) ** -0.1)


@pytest.fixture(scope="session")
def bent_runs(tmp_path_factory, weights) -> list[Path]:
    """Exponents 0.35 and 0.4, floor 10 %."""
    return by_law(Corpus(folder=tmp_path_factory.mktemp("bent"), weights=weights), with_floor)


@pytest.fixture(scope="session")
def bent_study(bent_runs) -> ScalingStudy:
    return fit_study(read_points(bent_runs))
