"""Corpora: whatever lies on disk → ``Corpus`` of ``Utterance``. Knows no model, target or normalizer."""

from eval.corpora.manifest import read_manifest
from eval.corpora.opening import open_corpus
from eval.corpora.types import Corpus, Part, Utterance

__all__ = ["Corpus", "Part", "Utterance", "open_corpus", "read_manifest"]
