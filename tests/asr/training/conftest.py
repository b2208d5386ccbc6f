"""What the tests of training share: shards, a byte tokenizer, and ``auricle`` as a process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parent))  # tests have no packages

from shard_making import write_tones

from asr.audio import SAMPLE_RATE
from asr.tokenizer import Tokenizer
from asr.training.vocabulary import train_vocabulary, vocabulary_size

REPOSITORY = Path(__file__).resolve().parents[3]
AURICLE = (sys.executable, "-c", "from asr.cli import main; main()")


@pytest.fixture(scope="session")
def bytes_path(tmp_path_factory) -> Path:
    """A tokenizer of bytes alone."""
    path = tmp_path_factory.mktemp("vocabulary") / "tokenizer.json"
    train_vocabulary([], path, n_text_tokens=256)
    return path


@pytest.fixture(scope="session")
def byte_tokenizer(bytes_path) -> Tokenizer:
    return Tokenizer(bytes_path, n_vocab=vocabulary_size(bytes_path))


@pytest.fixture(scope="session")
def tones(tmp_path_factory) -> Path:
    """A shard of twelve examples."""
    return write_tones(tmp_path_factory.mktemp("shards") / "tones.tar", n=12)


@pytest.fixture(scope="session")
def noises(tmp_path_factory) -> Path:
    """A folder of two recordings of noise."""
    folder = tmp_path_factory.mktemp("noises")
    for seed in range(2):
        noise = np.random.default_rng(seed).normal(0, 0.1, 5000 * (seed + 1))
        soundfile.write(folder / f"{seed}.wav", noise, SAMPLE_RATE)
    return folder


@pytest.fixture(scope="session")
def start_auricle() -> Callable[..., subprocess.Popen[str]]:
    """``auricle`` with arguments, on one thread, so that sums are the same in every process."""

    def start(*arguments: object, launcher: tuple[str, ...] = AURICLE) -> subprocess.Popen[str]:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
        return subprocess.Popen(
            [*launcher, *map(str, arguments)], env=environment, text=True, stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    return start
