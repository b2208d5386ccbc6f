"""The engine in this process. In: one audio file. Out: ``Reply``. Torch is loaded with the model, not before."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from asr.errors import AuricleError
from asr.options import Quantization, TranscribeOptions
from eval.errors import ClipError, TargetUnavailableError
from eval.targets.types import PhaseTimes, Reply, package_version

if TYPE_CHECKING:
    from asr.transcriber import Transcriber

__all__ = ["LocalTarget"]

T = TypeVar("T")


class LocalTarget:
    """A loaded model as a ``Target``."""

    n_parallel = 8  # the engine decodes their windows side by side

    def __init__(self, transcriber: "Transcriber") -> None:
        self._transcriber = transcriber

    @classmethod
    def load(cls, model: str, quantization: Quantization = Quantization.AUTO) -> Self:
        """Load a model by name or path. Raises TargetUnavailableError."""
        from asr.transcriber import Transcriber

        try:
            return cls(Transcriber.load(model, quantization=quantization))
        except AuricleError as error:
            raise TargetUnavailableError(f"--model {model}: {error}") from error

    def describe(self) -> Mapping[str, Any]:
        """Model, its digest, and the versions that can change a result."""
        return {
            "target": "local",
            "model": self._transcriber.model_name,
            "model_hash": self._transcriber.model_hash,
            "precision": self._transcriber.precision,
            "versions": {"auricle": package_version("auricle"), "torch": package_version("torch")},
        }

    def settings(self, options: TranscribeOptions) -> Mapping[str, Any]:
        """Every option, as it is."""
        return asdict(options)

    def transcribe(self, path: Path, options: TranscribeOptions) -> Reply:
        """Transcribe in this process; whatever fails, fails this clip alone."""
        transcript = _or_clip_error(path, lambda: self._transcriber.transcribe(path, options))
        timing = transcript.timing
        words = tuple(word for segment in transcript.segments for word in segment.words)
        return Reply(
            text=transcript.text,
            language=transcript.language,
            duration=transcript.duration,
            times=PhaseTimes(audio=timing.decode_audio, encode=timing.encode, decode=timing.decode),
            words=words if options.word_timestamps else None,
            languages=transcript.languages,
            suppressed=transcript.suppressed,
        )

    def detect_language(self, path: Path) -> Reply:
        """Detect in this process; whatever fails, fails this clip alone."""
        detection = _or_clip_error(path, lambda: self._transcriber.detect_language(path))
        return Reply(text="", language=detection.language)


def _or_clip_error(path: Path, work: Callable[[], T]) -> T:
    try:
        return work()
    except AuricleError as error:
        raise ClipError(error.code, str(error)) from error
    except OSError as error:
        raise ClipError("unreadable_file", f"{path.name}: {error.strerror or error}") from error
    except Exception as error:  # a defect that one clip brings out must not cost the hours of a whole corpus
        raise ClipError("internal_error", f"{type(error).__name__}: {error}") from error
