"""Text normalization before counting: text → text, by name and language. Knows no error counts."""

from collections.abc import Callable, Mapping
from enum import StrEnum

from eval.normalizers.types import CHARACTER_LANGUAGES, Normalizer, Rewrite, Unit, unit_for
from eval.normalizers.whisper import whisper_basic, whisper_english

__all__ = ["CHARACTER_LANGUAGES", "Normalizer", "NormalizerName", "Rewrite", "Unit", "normalizer_for", "unit_for"]


class NormalizerName(StrEnum):
    """What ``--normalizer`` takes."""

    WHISPER = "whisper"  # the paper's choice: whisper-english for English, whisper-basic for the rest
    WHISPER_ENGLISH = "whisper-english"
    WHISPER_BASIC = "whisper-basic"
    AURICLE = "auricle"  # ours: by language, with a reason for every rewrite


def _auricle() -> Normalizer:
    from eval.normalizers.auricle import AuricleNormalizer

    return AuricleNormalizer()


MAKERS: Mapping[NormalizerName, Callable[[], Normalizer]] = {
    NormalizerName.WHISPER_ENGLISH: whisper_english,
    NormalizerName.WHISPER_BASIC: whisper_basic,
    NormalizerName.AURICLE: _auricle,
}


def normalizer_for(name: NormalizerName, language: str | None) -> Normalizer:
    """The normalizer of that name; ``whisper`` decides by language code, None being where nobody speaks."""
    if name is NormalizerName.WHISPER:
        name = NormalizerName.WHISPER_ENGLISH if language == "en" else NormalizerName.WHISPER_BASIC
    return MAKERS[name]()
