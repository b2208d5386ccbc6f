"""Everything that can go wrong for a reason the user can act on.

Each error says what was got, what was expected and where. ``code`` is the stable name that the service and the
command line show. Knows nothing of HTTP: ``server.errors`` maps these classes to status codes.
"""

from typing import ClassVar

__all__ = [
    "AudioError",
    "AudioTooLongError",
    "AudioTooShortError",
    "AuricleError",
    "CheckpointError",
    "CorruptAudioError",
    "DigestMismatchError",
    "EmptyAudioError",
    "InvalidOptionError",
    "ShardError",
    "TrainingError",
    "UnknownModelError",
    "UnsupportedLanguageError",
    "UnsupportedMediaError",
]


class AuricleError(Exception):
    """Base of every error that Auricle raises on purpose."""

    code: ClassVar[str] = "auricle_error"


class AudioError(AuricleError):
    """The audio cannot be used."""

    code = "invalid_audio"


class EmptyAudioError(AudioError):
    """The file has no bytes."""

    code = "empty_file"


class UnsupportedMediaError(AudioError):
    """The bytes are not a container that Auricle reads, or hold no audio stream."""

    code = "unsupported_media"


class CorruptAudioError(AudioError):
    """A known container whose audio cannot be decoded."""

    code = "undecodable_audio"


class AudioTooShortError(AudioError):
    """Less audio than one can recognize anything in."""

    code = "audio_too_short"


class AudioTooLongError(AudioError):
    """More audio than the caller allowed."""

    code = "audio_too_long"


class InvalidOptionError(AuricleError):
    """An option has a value outside its range, or does not fit the other options. ``param`` names it."""

    code = "invalid_value"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class UnsupportedLanguageError(InvalidOptionError):
    """The language is unknown, or the model does not speak it."""

    code = "unsupported_language"


class CancelledError(AuricleError):
    """Nobody waits for this transcription any more."""

    code = "cancelled"


class UnknownModelError(AuricleError):
    """No model of this name or at this path."""

    code = "model_not_found"


class CheckpointError(AuricleError):
    """A model file is damaged, incomplete or of an unknown format."""

    code = "invalid_checkpoint"


class DigestMismatchError(CheckpointError):
    """A model file is not the one it should be."""

    code = "digest_mismatch"

    def __init__(self, where: str, *, expected: str, got: str) -> None:
        super().__init__(f"{where}: sha256 is {got}, expected {expected}; refused. Delete the file and fetch it again.")
        self.expected = expected
        self.got = got


class ShardError(AuricleError):
    """A training shard is damaged, or was written by something else."""

    code = "invalid_shard"


class TrainingError(AuricleError):
    """A training run cannot begin, continue or go on."""

    code = "training_failed"
