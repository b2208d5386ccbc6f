"""The same recording, or the same text, twice. In: fingerprints of all records in order. Out: who repeats whom.

Near duplicates by MinHash over word 5-grams, 14 bands of 8 rows (OLMoASR; FineWeb, arXiv:2406.17557, appendix E.1):
two texts that share half of their 5-grams are found in one case of twenty, at 0.75 in three of four, at 0.85 nearly
always. The first in order stays. Drops: ``duplicate`` (value: the record that stays), ``near_duplicate`` (the same).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from data_pipeline.stages.language import text_language
from data_pipeline.stages.ngrams import hash64, ngrams, words_of
from data_pipeline.types import Drop, Record

__all__ = ["Fingerprint", "drop_duplicate", "find_duplicates", "fingerprint"]

N, N_BANDS, N_ROWS = 5, 14, 8
MIN_WORDS = 20  # shorter texts are said by many people: "Thank you very much."
PRIME = np.uint64((1 << 61) - 1)
SEED = 14_008
AT_ONCE = 10_000  # n-grams; each takes 3 kB, and a text of 8 MB has millions


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What is compared of one record."""

    id: str
    exact: str
    """Of the samples and the text's language: a recording may have captions in several."""
    bands: tuple[int, ...]
    """One number a band; empty for a text too short to tell."""


def fingerprint(record: Record) -> Fingerprint:
    """Of a record with clean captions."""
    words = words_of(record.text)
    exact = f"{record.audio_sha256} {text_language(record.text) or record.language or ''}"
    bands = _bands(ngrams(words, N)) if len(words) >= MIN_WORDS else ()
    return Fingerprint(id=record.id, exact=exact, bands=bands)


def find_duplicates(fingerprints: Iterable[Fingerprint]) -> dict[str, Drop]:
    """Why each record that repeats an earlier one is dropped, by id; a chain of likenesses is one group."""
    first_exact: dict[str, str] = {}
    first_in_band: dict[tuple[int, int], str] = {}
    repeats: dict[str, Drop] = {}
    original: dict[str, str] = {}
    for each in fingerprints:
        keys = list(enumerate(each.bands))
        same = first_exact.get(each.exact)
        alike = next((first_in_band[key] for key in keys if key in first_in_band), None)
        found = same or alike
        if found is not None:
            original[each.id] = original.get(found, found)
            reason = "duplicate" if same else "near_duplicate"
            repeats[each.id] = Drop(reason=reason, value=original[each.id])
        first_exact.setdefault(each.exact, each.id)
        for key in keys:
            first_in_band.setdefault(key, each.id)
    return repeats


def drop_duplicate(record: Record, repeats: Mapping[str, Drop]) -> Record | Drop:
    """The stage, with what ``find_duplicates`` found."""
    return repeats.get(record.id, record)


def _bands(grams: Iterable[str]) -> tuple[int, ...]:
    hashes = np.array(sorted({hash64(gram) for gram in grams}), np.uint64) % PRIME
    a, b = _permutations()
    # Modulo 2^64 and then the prime is no universal family in theory; the mixing by hash64 carries it in practice.
    parts = (hashes[first : first + AT_ONCE, np.newaxis] for first in range(0, len(hashes), AT_ONCE))
    minima = np.minimum.reduce([((part * a + b) % PRIME).min(axis=0) for part in parts])
    return tuple(hash64(row.tobytes().hex()) for row in minima.reshape(N_BANDS, N_ROWS).astype("<u8"))


@cache
def _permutations() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    generator = np.random.Generator(np.random.PCG64(SEED))
    a = generator.integers(1, int(PRIME), N_BANDS * N_ROWS, dtype=np.uint64) | np.uint64(1)
    b = generator.integers(0, int(PRIME), N_BANDS * N_ROWS, dtype=np.uint64)
    return a, b
