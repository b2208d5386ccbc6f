"""Corpora: whatever lies on disk → ``Corpus`` of ``Utterance``. Knows no model, target or normalizer."""

from eval.corpora.manifest import read_manifest
from eval.corpora.types import Corpus, Utterance

__all__ = ["Corpus", "Utterance", "read_manifest"]
