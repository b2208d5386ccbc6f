"""The texts that are evaluated on. In: the recipe's choice of suites. Out: texts, and which corpora they come from."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from data_pipeline.errors import PipelineError
from data_pipeline.recipe import Evaluation
from data_pipeline.stages.contamination import EvaluationIndex, EvaluationText, build_index
from data_pipeline.storage import read_lines
from eval.corpora import Corpus, open_corpus
from eval.errors import CorpusError
from eval.suites import read_suites

__all__ = ["CorpusFact", "EvaluationTexts", "load_index", "read_evaluation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusFact:
    """What the proof says of a corpus."""

    name: str
    sha256: str | None
    """Of the files that list it; None: it was not there."""
    n_texts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationTexts:
    """Every text of the chosen suites, references and translations."""

    texts: tuple[EvaluationText, ...]
    corpora: tuple[CorpusFact, ...]


def read_evaluation(choice: Evaluation) -> EvaluationTexts:
    """Open every corpus of the suites, all of it, whatever part a suite takes.

    Raises PipelineError for one that is not there, unless the recipe allows it."""
    texts: dict[str, EvaluationText] = {}
    corpora: list[CorpusFact] = []
    for spec in _specs(choice):
        try:
            corpus = open_corpus(spec, root=choice.data)
        except CorpusError as error:
            if not choice.allow_missing:
                raise PipelineError(f"[evaluation]: {error}; or set allow_missing = true") from error
            corpora.append(CorpusFact(name=spec, sha256=None, n_texts=0))
            continue
        found = list(_texts(corpus))
        texts.update((f"{each.where} {each.text}", each) for each in found)
        corpora.append(CorpusFact(name=spec, sha256=corpus.sha256, n_texts=len(found)))
    return EvaluationTexts(texts=tuple(texts.values()), corpora=tuple(corpora))


@cache
def load_index(path: Path) -> EvaluationIndex:
    """The index of the texts that a run has written down; once in each process."""
    return build_index(EvaluationText(**fields) for fields in read_lines(path))


def _specs(choice: Evaluation) -> list[str]:
    suites = read_suites()
    unknown = sorted(set(choice.suites) - suites.keys())
    if unknown:
        raise PipelineError(f"[evaluation] suites: got {unknown[0]!r}, expected {', '.join(suites)}")
    rows = [row for name in choice.suites or suites for row in suites[name].rows]
    return list(dict.fromkeys([*(row.corpus for row in rows), *choice.corpora]))


def _texts(corpus: Corpus) -> Iterator[EvaluationText]:
    for clip in corpus.utterances:
        for text in (clip.text, clip.translation_en):
            if text:
                yield EvaluationText(where=f"{corpus.name} {clip.id}", text=text)
