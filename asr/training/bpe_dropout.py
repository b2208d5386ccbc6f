"""BPE dropout: text spelled in other tokens than the usual ones (Provilkov et al., arXiv:1910.13267). Out: token ids.

Each merge is left out with a probability, anew wherever it applies. ``tokenizers`` can do this too, but draws from a
generator that nobody can seed, and a run that was killed would go on with other tokens than one that was not.
"""

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import tokenizers

from asr.errors import TrainingError

__all__ = ["BpeDropout"]


class BpeDropout:
    """The merges of one tokenizer.json."""

    def __init__(self, path: Path) -> None:
        bpe = tokenizers.Tokenizer.from_file(str(path))
        model: dict[str, Any] = json.loads(path.read_text())["model"]
        merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in model.get("merges", ())]
        if model.get("type") != "BPE" or bpe.normalizer is not None or bpe.pre_tokenizer is None:
            raise TrainingError(f"{path.name}: BPE dropout takes a byte-level BPE tokenizer without a normalizer")
        self._pre_tokenizer = bpe.pre_tokenizer
        self._ids: dict[str, int] = model["vocab"]
        self._rank = {(left, right): rank for rank, (left, right) in enumerate(merges)}

    def encode(self, text: str, *, dropout: float, rng: random.Random) -> list[int]:
        """Ids of ``text``; with ``dropout`` 0 those of ``Tokenizer.encode``."""
        words = (word for word, _ in self._pre_tokenizer.pre_tokenize_str(text))
        return [self._ids[piece] for word in words for piece in self._split(list(word), dropout, rng)]

    def _split(self, pieces: list[str], dropout: float, rng: random.Random) -> list[str]:
        while True:
            candidates = [
                (rank, place)
                for place, pair in enumerate(pairwise(pieces))
                if (rank := self._rank.get(pair)) is not None and rng.random() >= dropout
            ]
            if not candidates:
                return pieces
            _, place = min(candidates)
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
