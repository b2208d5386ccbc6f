"""Some of a corpus. In: ``Corpus`` and the command line's conditions. Out: ``Corpus`` of the clips that meet all.

Knows no file.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from eval.corpora.types import Corpus, Utterance
from eval.errors import CorpusError

__all__ = ["select"]

MAX_SHOWN = 20  # values of a field, in an error
FIELDS = ("language", "dataset", "kind", "speaker", "id")


def select(corpus: Corpus, conditions: Sequence[str]) -> Corpus:
    """The clips that meet every condition, each ``FIELD=VALUE,VALUE``: the field has one of the values.

    Raises CorpusError for a condition that cannot be read, and when no clip meets them all.
    """
    if not conditions:
        return corpus
    wanted = [_condition(condition) for condition in conditions]
    kept = tuple(clip for clip in corpus.utterances if all(_value(clip, field) in values for field, values in wanted))
    if not kept:
        message = f"--only {' --only '.join(conditions)}: no clip of {corpus.name} meets this"
        raise CorpusError("; ".join([message, *(_values_there(corpus, field) for field, _ in wanted)]))
    digest = hashlib.sha256("\n".join([corpus.sha256, *sorted(conditions)]).encode())
    return replace(corpus, utterances=kept, sha256=digest.hexdigest())


def _condition(condition: str) -> tuple[str, frozenset[str]]:
    field, equals, values = condition.partition("=")
    if not equals or field not in FIELDS:
        raise CorpusError(
            f"--only: got {condition!r}, expected FIELD=VALUE,VALUE with FIELD one of {', '.join(FIELDS)}"
        )
    return field, frozenset(values.split(","))


def _values_there(corpus: Corpus, field: str) -> str:
    values = sorted({_value(clip, field) for clip in corpus.utterances})
    return f"{field} is one of {', '.join(values[:MAX_SHOWN])}" + ", …" * (len(values) > MAX_SHOWN)


def _value(clip: Utterance, field: str) -> str:
    value: str | None = getattr(clip, field)
    return "none" if value is None else value
