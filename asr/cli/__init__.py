"""The ``auricle`` command. In: arguments and files. Out: text on stdout, progress on stderr. Knows no HTTP.

Torch is imported where a model is loaded, so that ``--help`` and bad arguments do without it.
"""

import typer

from asr.cli.detect_language import detect_language
from asr.cli.models import models_app
from asr.cli.train import export, train, train_tokenizer
from asr.cli.transcribe import transcribe

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
app.command()(transcribe)
app.command()(detect_language)
app.command()(train)
app.command()(export)
app.command()(train_tokenizer)
app.add_typer(models_app, name="models")


@app.callback()
def _auricle() -> None:
    """Speech to text with Whisper models.

    Try: `auricle transcribe talk.mp3`, or `auricle transcribe *.wav --format srt --output-dir subtitles`.
    """


def main() -> None:
    """Entry point of ``auricle``."""
    app()
