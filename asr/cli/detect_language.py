"""``auricle detect-language``. In: recordings. Out: a line about the language of each."""

import sys
from pathlib import Path

from asr.cli.console import (
    Device,
    DeviceOption,
    FilesArgument,
    ModelOption,
    QuantizationOption,
    each,
    load,
    told_plainly,
)
from asr.cli.options import DetectionThresholdOption, LanguagesOption
from asr.languages import LANGUAGES
from asr.option_text import split_list
from asr.options import Quantization, TranscribeOptions
from asr.transcript import LanguageDetection

__all__ = ["detect_language"]

N_SHOWN = 3


def detect_language(
    files: FilesArgument,
    *,
    languages: LanguagesOption = None,
    language_threshold: DetectionThresholdOption = 0.0,
    model: ModelOption = "base",
    device: DeviceOption = Device.AUTO,
    quantization: QuantizationOption = Quantization.AUTO,
) -> None:
    """Name the language of recordings: the best ones with their probabilities, one line a file.

    Where none is probable enough the line says so. A file that cannot be read is reported and the others go on; the
    exit code is then 1.
    """
    with told_plainly():
        options = TranscribeOptions(
            languages=split_list(languages or (), param="languages"), language_threshold=language_threshold
        )
        transcriber = load(model, device, quantization, files)

    def detect_one(file: Path) -> None:
        detection = transcriber.detect_language(
            file, languages=options.languages, language_threshold=options.language_threshold
        )
        sys.stdout.write(f"{file}: {_in_words(detection, options.language_threshold)}\n")
        sys.stdout.flush()

    each(files, detect_one)


def _in_words(detection: LanguageDetection, threshold: float) -> str:
    probabilities = detection.language_probs
    best = sorted(probabilities, key=probabilities.__getitem__, reverse=True)[:N_SHOWN]
    shown = ", ".join(f"{LANGUAGES.get(code, code)} ({code}) {probabilities[code]:.1%}" for code in best)
    return shown if detection.language else f"no language reaches {threshold:.0%}; the best: {shown}"
