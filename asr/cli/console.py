"""What every command says on stderr, and how a model is loaded. Knows no command."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from asr.errors import AuricleError, InvalidOptionError
from asr.options import Quantization

if TYPE_CHECKING:
    from asr.transcriber import Transcriber

__all__ = [
    "Device",
    "DeviceOption",
    "FilesArgument",
    "ModelOption",
    "QuantizationOption",
    "each",
    "load",
    "report",
    "stderr",
    "told_plainly",
]

stderr = Console(stderr=True)
USAGE_ERROR = 2  # as typer's own


class Device(StrEnum):
    """Where the model runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


FilesArgument = Annotated[
    list[Path], typer.Argument(help="Recordings: wav flac ogg opus mp3 m4a mp4 webm …, any length.")
]
ModelOption = Annotated[str, typer.Option(help="Name (base, tiny.en, …) or path of a model.")]
QuantizationOption = Annotated[
    Quantization, typer.Option(help="auto: int8 on a CPU with AVX-512 VNNI; none: floating point.")
]
DeviceOption = Annotated[Device, typer.Option(help="auto: cuda where there is one.")]


def report(line: str, style: str) -> None:
    """One line on stderr, as it is."""
    stderr.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def told_plainly() -> Iterator[None]:
    """Errors that the user can act on are one line, which names the option, not a traceback; exit code 2 or 1."""
    try:
        yield
    except (AuricleError, OSError) as error:
        report(f"auricle: {_naming_the_option(error)}", "red")
        raise typer.Exit(USAGE_ERROR if isinstance(error, InvalidOptionError) else 1) from error


def each(files: Iterable[Path], do: Callable[[Path], None]) -> None:
    """Do it with every file: one that cannot be used is reported and the others go on; the exit code is then 1."""
    failed = 0
    for file in files:
        try:
            do(file)
        except (AuricleError, OSError) as error:
            failed += 1
            report(f"auricle: {file}: {error}", "red")
    if failed:
        raise typer.Exit(1)


def load(model: str, device: Device, quantization: Quantization, files: Sequence[Path]) -> "Transcriber":
    """The model, loaded while a spinner turns; not for files of which none is there. Raises AuricleError, OSError."""
    if not any(file.exists() for file in files):
        raise FileNotFoundError(f"{', '.join(map(str, files))}: no such file")
    from asr.transcriber import Transcriber

    with stderr.status(f"loading {model}"):
        return Transcriber.load(model, device=device.value, quantization=quantization)


def _naming_the_option(error: Exception) -> str:
    message, param = str(error), error.param if isinstance(error, InvalidOptionError) else None
    if param and message.startswith(f"{param}:"):
        # A field's unit is no part of the option's name.
        return f"--{param.removesuffix('_s').replace('_', '-')}{message.removeprefix(param)}"
    return message
