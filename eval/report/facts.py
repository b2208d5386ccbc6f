"""What every chapter says about its run, whatever was measured. In: a run's configuration and scores. Out: facts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from asr.options import TranscribeOptions
from eval.jobs import Job
from eval.report.document import (
    NO_VALUE,
    Cell,
    Column,
    Fact,
    KeyFigure,
    Section,
    Share,
    Table,
    count_cell,
    counted,
    number_cell,
    text_cell,
)
from eval.runner import LanguageMode
from eval.scoring.types import NormalizerUse, RealTime

__all__ = [
    "clips_cell",
    "columns",
    "decoding_in_short",
    "failed_clips",
    "model_title",
    "normalizer_in_short",
    "run_facts",
    "run_title",
    "speed_figure",
    "speed_section",
    "unfinished",
]

SECONDS_PER_HOUR = 3600
SHOWN_DIGITS = 12  # of a digest
SAID_APART = frozenset({"language", "task", "beam_size", "temperatures", "seed"})
JOBS = {Job.TRANSCRIBE: "transcription", Job.TRANSLATE: "translation", Job.DETECT_LANGUAGE: "language identification"}
LANGUAGE_MODES = {LanguageMode.MANIFEST: "the model was told each clip's", LanguageMode.AUTO: "detected by the model"}


def columns(first: str, *names: str, texts: Collection[str] = ()) -> tuple[Column, ...]:
    """Heads of columns; the first one is for text, and so are those in ``texts``."""
    return (Column(name=first, numeric=False), *(Column(name=name, numeric=name not in texts) for name in names))


def model_title(config: Mapping[str, Any]) -> str:
    """The model, and where it was asked when that was not here: the same model may answer otherwise there."""
    model, target = config.get("model"), config.get("target")
    return str(model or target) if _is_local(config) or not model else f"{model} at {target}"


def normalizer_in_short(use: NormalizerUse) -> str:
    """Name, version and digest."""
    return f"{use.name} ({use.version}, sha256 {use.sha256[:SHOWN_DIGITS]})"


def run_title(config: Mapping[str, Any]) -> str:
    """Model, corpus and job."""
    title = f"{model_title(config)} on {config.get('corpus')}"
    job = config.get("job", Job.TRANSCRIBE)
    return title if job == Job.TRANSCRIBE else f"{title}: {JOBS.get(job, job)}"


def run_facts(
    config: Mapping[str, Any], *, n_clips: int, real_time: RealTime, normalizers: Sequence[NormalizerUse]
) -> tuple[Fact, ...]:
    """Everything that decides the numbers."""
    job = config.get("job", Job.TRANSCRIBE)
    facts = [
        Fact(name="Model", value=_with_digest(config.get("model"), config.get("model_hash"))),
        Fact(name="Ran", value="in the evaluation's process" if _is_local(config) else f"at {config.get('target')}"),
        Fact(name="Corpus", value=_with_digest(config.get("corpus"), config.get("corpus_sha256"))),
        Fact(name="Job", value=JOBS.get(job, str(job))),
        Fact(name="Clips", value=f"{n_clips:,}, {real_time.audio_s / SECONDS_PER_HOUR:.2f} hours of audio"),
    ]
    if job != Job.DETECT_LANGUAGE:
        mode = config.get("language")
        facts += [
            Fact(name="Language", value=LANGUAGE_MODES.get(LanguageMode(mode), str(mode)) if mode else "not recorded"),
            Fact(name="Decoding", value=decoding_in_short(config)),
            *_seed(config),
        ]
    facts += [Fact(name="Normalizer", value=normalizer_in_short(use)) for use in normalizers]
    versions = config.get("versions") or {}
    said = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    return (*facts, *((Fact(name="Versions", value=said),) if said else ()))


def decoding_in_short(config: Mapping[str, Any]) -> str:
    """Search and temperatures, then whatever else is not as by default."""
    options = config.get("options") or {}
    if config.get("job") == Job.DETECT_LANGUAGE:
        return NO_VALUE
    if "beam_size" not in options:  # an endpoint that was told some options, or none
        return ", ".join(f"{name} {value}" for name, value in options.items()) or "the target's own"
    beams, temperatures = options.get("beam_size"), options.get("temperatures") or ()
    defaults = asdict(TranscribeOptions())
    parts = ["greedy" if beams == 1 else f"{beams} beams"]
    if list(temperatures) == list(defaults["temperatures"]):
        parts.append("temperature fallback")
    elif list(temperatures) != [0.0]:
        parts.append("temperatures " + ", ".join(f"{temperature:g}" for temperature in temperatures))
    parts += [
        f"{name} {value}"
        for name, value in options.items()
        if name not in SAID_APART and name in defaults and _as_in_json(value) != _as_in_json(defaults[name])
    ]
    return ", ".join(parts)


def _as_in_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def unfinished(n_missing: int) -> tuple[str, ...]:
    """A warning, when clips are missing."""
    if not n_missing:
        return ()
    return (
        f"The run is not finished: {counted(n_missing, 'clip')} without a hypothesis yet, in none of these numbers. "
        "Repeat the auricle-eval run command to finish.",
    )


def speed_figure(real_time: RealTime) -> tuple[KeyFigure, ...]:
    """How fast the run was, where it took any time."""
    if real_time.x_real_time is None:
        return ()
    return (
        KeyFigure(
            name="Speed",
            value=f"{real_time.x_real_time:.2f} × real time",
            interval=None,
            meaning=f"{real_time.audio_s:,.0f} s of audio took {real_time.wall_s:,.0f} s, one clip after another.",
        ),
    )


def speed_section(real_time: RealTime) -> tuple[Section, ...]:
    """Where the time went; none where the target did not say."""
    total = sum(real_time.phases_s.values())
    if not total:
        return ()
    rows: Iterable[tuple[Cell, ...]] = (
        (
            text_cell(name),
            number_cell(seconds, f"{seconds:,.1f}"),
            number_cell(seconds / total, f"{100 * seconds / total:.1f} %"),
            number_cell(seconds, f"{1000 * seconds / real_time.audio_s:.1f}" if real_time.audio_s else NO_VALUE),
        )
        for name, seconds in real_time.phases_s.items()
    )
    table = Table(
        caption="Where the time went",
        columns=columns("phase", "seconds", "share", "ms for each second of audio"),
        rows=tuple(rows),
    )
    remark = "audio: file to samples; encode: samples to features of the encoder; decode: features to text."
    shares = tuple(Share(name=name, fraction=seconds / total) for name, seconds in real_time.phases_s.items())
    return (Section(heading="Time", remarks=(remark,), shares=shares, tables=(table,)),)


def failed_clips(errors: Mapping[str, Mapping[str, str]]) -> tuple[Section, ...]:
    """Clips that the target gave no answer for, by name."""
    if not errors:
        return ()
    table = Table(
        caption="Clips that failed",
        columns=columns("clip", "error", "message", texts=("error", "message")),
        rows=tuple(
            (text_cell(clip_id), text_cell(error.get("code", "")), text_cell(error.get("message", "")))
            for clip_id, error in sorted(errors.items())
        ),
    )
    remark = "Each counts as an empty text: all of its reference is deleted. None is left out."
    return (Section(heading="Failed clips", remarks=(remark,), tables=(table,)),)


def clips_cell(n_clips: int, n_failed: int) -> Cell:
    """Clips, and how many of them failed."""
    return count_cell(n_clips) if not n_failed else Cell(text=f"{n_clips:,} ({n_failed:,} failed)", order=n_clips)


def _seed(config: Mapping[str, Any]) -> tuple[Fact, ...]:
    seed = (config.get("options") or {}).get("seed")
    return () if seed is None else (Fact(name="Seed", value=f"{seed}, of what the fallback samples"),)


def _is_local(config: Mapping[str, Any]) -> bool:
    return bool(config.get("target", "local") == "local")


def _with_digest(name: object, digest: object) -> str:
    return f"{name} (sha256 {str(digest)[:SHOWN_DIGITS]})" if digest else str(name)
