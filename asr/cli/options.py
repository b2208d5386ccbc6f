"""The options of ``auricle transcribe``, one alias each, and what their text becomes. Knows no command and no model.

Their defaults stand in ``TranscribeOptions``, their ranges too.
"""

from pathlib import Path
from typing import Annotated

import typer

from asr.formats import FORMATS
from asr.options import DEFAULT_TEMPERATURES, MAX_HOTWORDS, AudioContext, Channels, Plan
from asr.tasks import Task

__all__ = [
    "DEFAULT_LADDER",
    "BeamSizeOption",
    "BestOfOption",
    "CarryPromptOption",
    "ChannelsOption",
    "ClipTimestampsOption",
    "CompressionRatioOption",
    "ConditionOption",
    "DetectionThresholdOption",
    "FormatOption",
    "HotwordsOption",
    "LanguageOption",
    "LanguageThresholdOption",
    "LanguagesOption",
    "LengthPenaltyOption",
    "LogprobOption",
    "MaxInitialTimestampOption",
    "MaxLineCountOption",
    "MaxLineWidthOption",
    "MaxWordsPerLineOption",
    "NoSpeechOption",
    "OutputDirOption",
    "PatienceOption",
    "PlanOption",
    "PromptOption",
    "SeedOption",
    "SuppressTokensOption",
    "TaskOption",
    "TemperatureOption",
    "TimestampsOption",
    "VadOption",
    "VadThresholdOption",
    "WordTimestampsOption",
]

SPEECH = "What is spoken"
RECORDING = "Which parts of the recording"
CONTEXT = "What the model is told"
TIMES = "Times"
SEARCH = "How text is searched for"
DOUBT = "When text is doubted"
OUTPUT = "Output"

DEFAULT_LADDER = ",".join(f"{temperature:g}" for temperature in DEFAULT_TEMPERATURES)

TaskOption = Annotated[Task, typer.Option(rich_help_panel=SPEECH, help="translate: into English.")]
LanguageOption = Annotated[
    str | None,
    typer.Option(rich_help_panel=SPEECH, help="Code or name, such as de or German.  [default: detected]"),
]
LanguagesOption = Annotated[
    list[str] | None,
    typer.Option(
        rich_help_panel=SPEECH,
        metavar="LIST",
        help="Detect only among these, such as de,fr,it: related languages are then not mistaken for them. Repeatable.",
    ),
]
LanguageThresholdOption = Annotated[
    float,
    typer.Option(
        rich_help_panel=SPEECH,
        help="A detection less probable than this abstains: the language is kept where one was known. 0: never.",
    ),
]
DetectionThresholdOption = Annotated[
    float, typer.Option(help="Name no language if the best is less probable than this; 0: always name one.")
]

ClipTimestampsOption = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=RECORDING,
        metavar="SECONDS",
        help="Transcribe these stretches only: 10-20.5,60- is from 10 s to 20.5 s, then from 60 s to the end. "
        "openai-whisper's start,end,start,end is read too.",
    ),
]
ChannelsOption = Annotated[
    Channels,
    typer.Option(
        rich_help_panel=RECORDING,
        help="mix: their mean; split: each by itself, merged by time, for calls with one speaker a channel.",
    ),
]
VadOption = Annotated[
    bool,
    typer.Option(
        rich_help_panel=RECORDING,
        help="Leave out where nobody speaks (voice activity detection); models invent text there.",
    ),
]
VadThresholdOption = Annotated[
    float,
    typer.Option(
        rich_help_panel=RECORDING,
        help="A 32 ms frame above this probability is speech. Lower keeps faint voices, and more noise.",
    ),
]
PlanOption = Annotated[
    Plan,
    typer.Option(
        rich_help_panel=RECORDING,
        help="sequential: window after window, each knows the text before; parallel: cut at pauses, fastest; "
        "hybrid: parallel, then weak stretches again with their neighbours' text.",
    ),
]
ContextOption = Annotated[
    AudioContext,
    typer.Option(
        rich_help_panel=RECORDING,
        help="auto: a window shorter than 30 s is heard with little silence after it, and again with all where its "
        "text is doubtful; exact: always padded to 30 s, as the model was trained; fit: with none, for a model that "
        "was trained for it.",
    ),
]

PromptOption = Annotated[
    str, typer.Option(rich_help_panel=CONTEXT, help="Text taken to come before the recording: names, spelling, style.")
]
CarryPromptOption = Annotated[
    bool, typer.Option(rich_help_panel=CONTEXT, help="Tell every window the prompt, not only the first.")
]
HotwordsOption = Annotated[
    list[str] | None,
    typer.Option(
        rich_help_panel=CONTEXT,
        metavar="LIST",
        help=f"Names and terms that every window is told, such as Auricle,Whisper. Past about ten they crowd out "
        f"the context; at most {MAX_HOTWORDS}. Repeatable.",
    ),
]
ConditionOption = Annotated[
    bool,
    typer.Option(
        rich_help_panel=CONTEXT,
        help="Give each window the text of the one before. Off: loops cannot spread, names are spelled less evenly.",
    ),
]

TimestampsOption = Annotated[
    bool, typer.Option(rich_help_panel=TIMES, help="Let the model predict segment times. Off: one segment a window.")
]
WordTimestampsOption = Annotated[
    bool,
    typer.Option(rich_help_panel=TIMES, help="Place each word in time; vtt, lrc and json then hold word times."),
]
MaxInitialTimestampOption = Annotated[
    float, typer.Option(rich_help_panel=TIMES, help="The first timestamp of a window is at most this, in seconds.")
]

BeamSizeOption = Annotated[
    int, typer.Option(rich_help_panel=SEARCH, help="Beams at temperature 0; 1 is greedy: faster.")
]
PatienceOption = Annotated[
    float, typer.Option(rich_help_panel=SEARCH, help="Wait for beam-size × patience finished hypotheses.")
]
LengthPenaltyOption = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=SEARCH,
        help="Exponent of the length penalty, 0 to 1; higher favours long text.  [default: rank by mean probability]",
    ),
]
BestOfOption = Annotated[int, typer.Option(rich_help_panel=SEARCH, help="Samples at temperatures above 0.")]
TemperatureOption = Annotated[
    str,
    typer.Option(rich_help_panel=SEARCH, help="One number, or a ladder to climb while text is doubted."),
]
SeedOption = Annotated[int | None, typer.Option(rich_help_panel=SEARCH, help="Makes sampling reproducible.")]
SuppressTokensOption = Annotated[
    str,
    typer.Option(
        rich_help_panel=SEARCH,
        metavar="IDS",
        help="Tokens that never appear, such as -1,50259; -1 stands for the signs of what is not spoken (♪, brackets). "
        "none: any may appear.",
    ),
]

CompressionRatioOption = Annotated[
    str,
    typer.Option(
        rich_help_panel=DOUBT,
        metavar="NUMBER",
        help="Text that zlib compresses better is a loop: next temperature. none: no such test.",
    ),
]
LogprobOption = Annotated[
    str,
    typer.Option(
        rich_help_panel=DOUBT,
        metavar="NUMBER",
        help="A lower average log-probability is a guess: next temperature. none: no such test.",
    ),
]
NoSpeechOption = Annotated[
    str,
    typer.Option(
        rich_help_panel=DOUBT,
        metavar="NUMBER",
        help="A higher no-speech probability, with a log-probability below its threshold, is silence. "
        "none: no such test.",
    ),
]

FormatOption = Annotated[
    str, typer.Option("--format", rich_help_panel=OUTPUT, help=f"One of {', '.join(FORMATS)}; json holds everything.")
]
OutputDirOption = Annotated[
    Path | None, typer.Option(rich_help_panel=OUTPUT, help="Write one file a recording here instead of stdout.")
]
MaxLineWidthOption = Annotated[
    int | None,
    typer.Option(rich_help_panel=OUTPUT, help="Characters in a line of txt, srt, vtt, lrc; 42 is usual on television."),
]
MaxLineCountOption = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=OUTPUT,
        help="Lines in a cue of srt and vtt, the rest becomes more cues; 2 is usual. Needs one of the other limits.",
    ),
]
MaxWordsPerLineOption = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=OUTPUT,
        help="Words in a line of txt, srt, vtt, lrc; with --max-line-count 1 and --word-timestamps: karaoke.",
    ),
]
