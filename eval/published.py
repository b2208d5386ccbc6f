"""The Whisper paper's figures. In: model, corpus, language and decoding of a run. Out: ``Published``, or None.

``published.json`` has the paper's tables as printed, in percent; a corpus is matched by name, and a corpus that is only
near the paper's says how it differs. Knows no score of ours.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import Any

__all__ = ["Decoding", "Published", "decoding_of", "published_language_accuracy", "published_rate", "published_source"]

FALLBACK_LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # section 4.5
FALLBACK_BEAMS = 5  # section 4.5


class Decoding(StrEnum):
    """The two ways of decoding that the paper has figures for, and every other."""

    GREEDY = "greedy"
    BEAM_FALLBACK = "beam with fallback"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One figure of the paper."""

    table: str
    """Its number, as the paper has it."""
    title: str
    value: float
    """As printed: percent, or BLEU."""
    decoding: str | None
    """How the paper decoded; None: it does not say at the table."""
    same_decoding: bool | None
    """Whether that is how the run decoded; None where the paper does not say."""
    difference: str | None
    """How the paper's corpus differs from the run's, known from the corpus' name; None: it is the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Names of a corpus, and where the paper has it."""

    pattern: str
    """Of the whole name, lower case, in full."""
    corpus: str
    """As ``published.json`` has it."""
    tables: tuple[str, ...]
    difference: str | None = None


SHORT_FORM = ("8", "9")
EXCERPT = "the paper transcribes whole recordings"
MATCHES = (
    Match(pattern=r"librispeech.*clean", corpus="librispeech_test-clean", tables=SHORT_FORM),
    Match(pattern=r"librispeech.*other", corpus="librispeech_test-other", tables=SHORT_FORM),
    Match(pattern=r"fleurs.*", corpus="fleurs", tables=(*SHORT_FORM, "13")),
    Match(pattern=r"(mls|multilingual_librispeech).*", corpus="mls", tables=("10",)),
    Match(pattern=r"covost.*", corpus="covost2", tables=("15",)),
    Match(pattern=r"common_?voice_5\.1", corpus="common_voice_5.1", tables=SHORT_FORM),
    Match(
        pattern=r"common_?voice(_\d.*)?",
        corpus="common_voice_5.1",
        tables=SHORT_FORM,
        difference="near match: the paper has Common Voice 5.1",
    ),
    Match(pattern=r"ted-?lium.*long.*", corpus="tedlium3", tables=("16",)),
    Match(pattern=r"ted-?lium.*", corpus="tedlium3", tables=SHORT_FORM),
    Match(pattern=r"earnings-?22.*", corpus="earnings22", tables=("16",), difference=EXCERPT),
    Match(pattern=r"earnings-?21.*", corpus="earnings21", tables=("16",), difference=EXCERPT),
    Match(pattern=r"coraal.*long.*", corpus="coraal", tables=("16",)),
    *(Match(pattern=name, corpus=name, tables=("16",)) for name in ("meanwhile", "kincaid46", "rev16")),
    *(
        Match(pattern=name, corpus=name, tables=SHORT_FORM)
        for name in ("wsj", "callhome", "switchboard", "artie", "coraal", "chime6", "ami_ihm", "ami_sdm1", "voxpopuli")
    ),
)


def decoding_of(config: Mapping[str, Any]) -> Decoding:
    """How a run decoded, from its configuration."""
    options = config.get("options") or {}
    beams, temperatures = options.get("beam_size"), tuple(options.get("temperatures") or ())
    if beams == 1 and temperatures == (0.0,):
        return Decoding.GREEDY
    if beams == FALLBACK_BEAMS and temperatures == FALLBACK_LADDER:
        return Decoding.BEAM_FALLBACK
    return Decoding.OTHER


def published_rate(model: str, corpus: str, language: str | None, decoding: Decoding) -> Published | None:
    """The paper's figure for a model on one language of a corpus; None where it has none.

    Where the paper has greedy and beam figures, the one that the run decoded like; the beam's for any other decoding.
    """
    match = _match(corpus)
    if match is None:
        return None
    found = []
    for number in match.tables:
        table = _data()["tables"][number]
        row = table["rows"].get(_model_name(model))
        column = f"{match.corpus}/{language}"
        if row is not None and column in table["columns"]:
            found.append((number, table, row[table["columns"].index(column)]))
    if not found:
        return None
    wanted = Decoding.GREEDY if decoding is Decoding.GREEDY else Decoding.BEAM_FALLBACK
    number, table, value = next((entry for entry in found if entry[1]["decoding"] == wanted), found[0])
    return Published(
        table=number,
        title=table["title"],
        value=value,
        decoding=table["decoding"],
        same_decoding=None if table["decoding"] is None else table["decoding"] == decoding,
        difference=match.difference,
    )


def published_language_accuracy(model: str, corpus: str) -> float | None:
    """The paper's accuracy of language identification in percent (section 3.5, zero-shot); FLEURS only."""
    match = _match(corpus)
    if match is None or match.corpus != "fleurs":
        return None
    accuracy: float | None = _data()["language_id_fleurs_accuracy"].get(_model_name(model))
    return accuracy


def published_source() -> str:
    """The paper, as a citation."""
    return str(_data()["source"])


def _match(corpus: str) -> Match | None:
    name = corpus.lower().replace(" ", "_")
    return next((match for match in MATCHES if re.fullmatch(match.pattern, name)), None)


def _model_name(model: str) -> str:
    return PurePath(model).name.removeprefix("whisper-")


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads((files("eval") / "published.json").read_text(encoding="utf-8"))
    return data
