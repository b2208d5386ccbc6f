"""``auricle transcribe``. In: recordings and options. Out: text on stdout or in files, progress on stderr."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from asr.cli import options as opt
from asr.cli.console import (
    Device,
    DeviceOption,
    FilesArgument,
    ModelOption,
    QuantizationOption,
    each,
    load,
    report,
    stderr,
    told_plainly,
)
from asr.errors import InvalidOptionError
from asr.formats import Layout, render
from asr.languages import LANGUAGES
from asr.option_text import parse_clips, parse_floats, parse_integers, parse_threshold, split_list
from asr.options import Quantization, TranscribeOptions
from asr.tasks import Task
from asr.transcript import Transcript

if TYPE_CHECKING:
    from asr.transcriber import Transcriber

__all__ = ["transcribe"]

DEFAULTS = TranscribeOptions()


def transcribe(  # noqa: PLR0913 (one parameter an option: it is what typer reads)
    files: FilesArgument,
    *,
    model: ModelOption = "base",
    device: DeviceOption = Device.AUTO,
    quantization: QuantizationOption = Quantization.AUTO,
    task: opt.TaskOption = Task.TRANSCRIBE,
    language: opt.LanguageOption = None,
    languages: opt.LanguagesOption = None,
    language_threshold: opt.LanguageThresholdOption = DEFAULTS.language_threshold,
    clip_timestamps: opt.ClipTimestampsOption = None,
    channels: opt.ChannelsOption = DEFAULTS.channels,
    vad: opt.VadOption = DEFAULTS.vad,
    vad_threshold: opt.VadThresholdOption = DEFAULTS.vad_threshold,
    plan: opt.PlanOption = DEFAULTS.plan,
    context: opt.ContextOption = DEFAULTS.context,
    prompt: opt.PromptOption = "",
    carry_prompt: opt.CarryPromptOption = False,
    hotwords: opt.HotwordsOption = None,
    condition_on_previous_text: opt.ConditionOption = True,
    timestamps: opt.TimestampsOption = True,
    word_timestamps: opt.WordTimestampsOption = False,
    max_initial_timestamp: opt.MaxInitialTimestampOption = DEFAULTS.max_initial_timestamp_s,
    beam_size: opt.BeamSizeOption = DEFAULTS.beam_size,
    patience: opt.PatienceOption = DEFAULTS.patience,
    length_penalty: opt.LengthPenaltyOption = None,
    best_of: opt.BestOfOption = DEFAULTS.best_of,
    temperature: opt.TemperatureOption = opt.DEFAULT_LADDER,
    seed: opt.SeedOption = None,
    suppress_tokens: opt.SuppressTokensOption = "-1",
    compression_ratio_threshold: opt.CompressionRatioOption = str(DEFAULTS.compression_ratio_threshold),
    logprob_threshold: opt.LogprobOption = str(DEFAULTS.logprob_threshold),
    no_speech_threshold: opt.NoSpeechOption = str(DEFAULTS.no_speech_threshold),
    format_: opt.FormatOption = "txt",
    output_dir: opt.OutputDirOption = None,
    max_line_width: opt.MaxLineWidthOption = None,
    max_line_count: opt.MaxLineCountOption = None,
    max_words_per_line: opt.MaxWordsPerLineOption = None,
) -> None:
    """Transcribe recordings: text to stdout, progress to stderr.

    A file that cannot be read is reported and the others go on; the exit code is then 1. A wrong option: 2.
    """
    with told_plainly():
        layout = Layout(
            max_line_width=max_line_width, max_line_count=max_line_count, max_words_per_line=max_words_per_line
        )
        layout.check_format(format_)
        compression, logprob, no_speech = (
            parse_threshold(text, param=f"{name}_threshold")
            for name, text in (
                ("compression_ratio", compression_ratio_threshold),
                ("logprob", logprob_threshold),
                ("no_speech", no_speech_threshold),
            )
        )
        options = TranscribeOptions(
            task=task, language=language, languages=split_list(languages or (), param="languages"),
            language_threshold=language_threshold,
            clip_timestamps=parse_clips(clip_timestamps) if clip_timestamps else (), channels=channels,
            vad=vad, vad_threshold=vad_threshold, plan=plan, context=context,
            prompt=prompt, carry_prompt=carry_prompt, hotwords=split_list(hotwords or (), param="hotwords"),
            condition_on_previous_text=condition_on_previous_text,
            timestamps=timestamps, word_timestamps=word_timestamps, max_initial_timestamp_s=max_initial_timestamp,
            beam_size=beam_size, patience=patience, length_penalty=length_penalty, best_of=best_of, seed=seed,
            temperatures=parse_floats(temperature, param="temperature"),
            suppress_tokens=parse_integers(suppress_tokens, param="suppress_tokens"),
            compression_ratio_threshold=compression, logprob_threshold=logprob, no_speech_threshold=no_speech,
        )  # fmt: skip
        targets = _targets(files, format_, output_dir)
        transcriber = load(model, device, quantization, files)

    def transcribe_one(file: Path) -> None:
        transcript = _with_progress(transcriber, file, options)
        _write(render(transcript, format_, layout), targets.get(file))

    each(files, transcribe_one)


def _targets(files: list[Path], format_: str, output_dir: Path | None) -> dict[Path, Path]:
    """File to write for each recording; none without an output folder. Two recordings never share one."""
    if output_dir is None:
        return {}
    targets = {file: output_dir / f"{file.stem}.{format_}" for file in files}
    if len(set(targets.values())) < len(targets):
        targets = {file: output_dir / f"{file.name}.{format_}" for file in files}
    if len(set(targets.values())) < len(targets):
        message = "--output-dir: two recordings have the same file name; transcribe them into different folders"
        raise InvalidOptionError(message, param="output_dir")
    output_dir.mkdir(parents=True, exist_ok=True)
    return targets


def _with_progress(transcriber: "Transcriber", file: Path, options: TranscribeOptions) -> Transcript:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        row = bar.add_task(file.name, total=None)
        transcript = transcriber.transcribe(
            file,
            options,
            on_progress=lambda progress: bar.update(row, completed=progress.done, total=progress.duration),
        )
    for warning in transcript.warnings:
        report(f"auricle: {file}: {warning}", "yellow")
    speed = transcript.duration / transcript.timing.total
    report(f"{file.name}: {transcript.duration:.1f} s in {transcript.language}, {speed:.1f} × real time", "dim")
    if remarks := _remarks(transcript):
        report(f"{file.name}: {'; '.join(remarks)}", "dim")
    return transcript


def _remarks(transcript: Transcript) -> list[str]:
    """What a reader of the text alone would miss: text that was left out, and changes of language."""
    remarks = []
    if reasons := Counter(suppressed.reason for suppressed in transcript.suppressed):
        counted = ", ".join(f"{count} × {reason}" for reason, count in reasons.most_common())
        remarks.append(f"text left out: {counted} (--format json shows it)")
    spoken = list(dict.fromkeys(span.language for span in transcript.languages))
    if len(spoken) > 1:
        remarks.append(f"languages: {', '.join(LANGUAGES.get(code, code) for code in spoken)}")
    return remarks


def _write(text: str, target: Path | None) -> None:
    if target is None:
        sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
        sys.stdout.flush()
    else:
        target.write_text(text, encoding="utf-8")
