"""A run as one page. In: the folder of a finished run. Out: ``report.html``, which asks for nothing else.

The page is auricle-eval's: its tables, plots and players. Which samples it shows is drawn by their ids, so that the
same run gives the same page.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from heapq import nsmallest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from asr.audio import SAMPLE_RATE
from asr.shards import read_shard
from data_pipeline.audio import AudioLimits, AudioReader
from data_pipeline.chunks import RunFolder
from data_pipeline.report_plots import draw_lengths, draw_remaining
from data_pipeline.shards import encode_flac
from data_pipeline.storage import place_from_json, read_lines, whole_file
from data_pipeline.summing_up import packed_lines
from data_pipeline.types import Drop
from eval.report.document import (
    Bar,
    Chapter,
    Chart,
    Column,
    Fact,
    KeyFigure,
    Report,
    Section,
    Table,
    WorstClip,
    count_cell,
    counted,
    number_cell,
    percent,
    text_cell,
)
from eval.report.html import render_html

__all__ = ["write_report"]

N_KEPT, N_PER_REASON = 6, 3
MAX_DECODED_S = 600.0  # of a dropped recording, to play its beginning
PLAYED_S = 30.0
UNKNOWN_LANGUAGE = "und"  # as BCP 47 has it
NAMES = {
    "list": "listing", "captions": "caption files", "audio": "audio", "clean": "cleaning",
    "machine": "machine-made", "repeats": "repeats", "timing": "timing", "duplicates": "duplicates",
    "contamination": "evaluation texts", "language": "language", "agreement": "agreement", "segment": "windows",
}  # fmt: skip


def write_report(folder: RunFolder, n_chunks: int) -> Path:
    """Write the page of a run whose chunks are all packed; returns its path."""
    funnel = json.loads((folder.path / "funnel.json").read_bytes())
    config = json.loads((folder.path / "run.json").read_bytes())
    with TemporaryDirectory() as sounds:
        chapter = Chapter(
            title=folder.path.name,
            facts=_facts(config),
            figures=_figures(funnel),
            warnings=(),
            sections=(
                _funnel_section(funnel),
                _reasons_section(funnel),
                _sources_section(funnel),
                _windows_section(folder),
                Section(heading="Kept", clips=tuple(_kept(folder, Path(sounds)))),
                Section(heading="Dropped", clips=tuple(_dropped(folder, n_chunks, Path(sounds)))),
            ),
        )
        report = Report(title="Training data", summary=None, chapters=(chapter,))
        page = render_html(report, with_audio=True, on_step=lambda _: None)
    path = folder.path / "report.html"
    with whole_file(path) as file:
        file.write(page.encode("utf-8", "backslashreplace"))
    return path


def _facts(config: Mapping[str, Any]) -> tuple[Fact, ...]:
    recipe = config["recipe"]
    sources = "; ".join(f"{each['name']} ({each['kind']}, {each['licence']})" for each in recipe["sources"])
    first = config["first_items"]
    facts = [
        Fact(name="Sources", value=sources),
        Fact(name="Seed", value=str(config["seed"])),
        Fact(name="Stages left out", value=", ".join(recipe["skip"]) or "none"),
    ]
    return (*facts, Fact(name="Dry run", value=f"the first {first} of each source")) if first else tuple(facts)


def _figures(funnel: Mapping[str, Any]) -> tuple[KeyFigure, ...]:
    total, kept = funnel["total"], funnel["kept"]
    share = kept["hours"] / total["hours"] if total["hours"] else None
    silent = funnel["without_speech"]
    return (
        KeyFigure(
            name="Audio in", value=_hours(total["hours"]), interval=None, meaning=counted(total["rows"], "recording")
        ),
        KeyFigure(
            name="Audio kept",
            value=_hours(kept["hours"]),
            interval=None,
            meaning=f"{percent(share)} of it, in {counted(kept['rows'], 'window')}",
        ),
        KeyFigure(
            name="Of it without speech",
            value=_hours(silent["hours"]),
            interval=None,
            meaning=f"{counted(silent['rows'], 'window')} that teach to say nothing",
        ),
    )


def _funnel_section(funnel: Mapping[str, Any]) -> Section:
    total_h = left_h = funnel["total"]["hours"]
    rows, points = [], [("in", left_h)]
    for stage in funnel["stages"]:
        dropped_h = stage["hours"]
        of_total, of_left = _share(dropped_h, total_h), _share(dropped_h, left_h)
        left_h -= dropped_h
        points.append((NAMES[stage["stage"]], left_h))
        rows.append((
            text_cell(NAMES[stage["stage"]]),
            count_cell(stage["rows"]),
            number_cell(dropped_h, _hours(dropped_h), Bar(value=of_total or 0.0)),
            number_cell(of_total, percent(of_total)),
            number_cell(of_left, percent(of_left)),
            number_cell(left_h, _hours(max(left_h, 0.0))),
        ))  # fmt: skip
    names = ("rows", "dropped", "of all", "of what came", "left")
    columns = (_named("stage"), *map(_column, names))
    return Section(
        heading="Funnel",
        remarks=(
            "Rows are recordings, in the last stage windows. Recordings that could not be decoded have no hours.",
        ),
        charts=(
            Chart(
                title="Hours left after each stage",
                description=", ".join(f"{name}: {_hours(max(hours, 0.0))}" for name, hours in points),
                draw=lambda: draw_remaining(points),
            ),
        ),
        tables=(Table(caption="What each stage drops", columns=columns, rows=tuple(rows)),),
    )


def _reasons_section(funnel: Mapping[str, Any]) -> Section:
    rows = [
        (
            text_cell(reason),
            text_cell(NAMES[stage["stage"]]),
            count_cell(amount["rows"]),
            number_cell(amount["hours"], _hours(amount["hours"])),
        )
        for stage in funnel["stages"]
        for reason, amount in stage["reasons"].items()
    ]
    columns = (_named("reason"), _named("stage"), _column("rows"), _column("hours"))
    return Section(heading="Reasons", tables=(Table(caption="Why", columns=columns, rows=tuple(rows)),))


def _sources_section(funnel: Mapping[str, Any]) -> Section:
    rows = [
        (
            text_cell(name),
            count_cell(source["total"]["rows"]),
            number_cell(source["total"]["hours"], _hours(source["total"]["hours"])),
            number_cell(source["kept"]["hours"], _hours(source["kept"]["hours"])),
            number_cell(source["wer"], percent(source["wer"])),
            number_cell(source["error_hours"], f"{source['error_hours']:.3f}"),
        )
        for name, source in funnel["sources"].items()
    ]
    names = ("recordings", "in", "kept", "error rate", "error × hours")
    columns = (_named("source"), *map(_column, names))
    remark = "By error rate times hours, where a model was asked: on top is where listening is worth most."
    return Section(
        heading="Sources",
        remarks=(remark,),
        tables=(Table(caption="By source", columns=columns, rows=tuple(rows)),),
    )


def _windows_section(folder: RunFolder) -> Section:
    lengths = [line["duration"] for line in read_lines(folder.path / "manifest.jsonl") if line["text"]]
    if not lengths:
        return Section(heading="Windows", remarks=("None is kept.",))
    chart = Chart(
        title="Length of the windows with speech",
        description=f"{counted(len(lengths), 'window')}, median {sorted(lengths)[len(lengths) // 2]:.1f} s",
        draw=lambda: draw_lengths(lengths),
    )
    return Section(heading="Windows", charts=(chart,))


def _kept(folder: RunFolder, sounds: Path) -> Iterator[WorstClip]:
    chosen = nsmallest(N_KEPT, read_lines(folder.path / "manifest.jsonl"), key=lambda line: _draw(line["key"]))
    for line in sorted(chosen, key=lambda line: line["key"]):
        shard = folder.path / "shards" / line["shard"]
        example = next(example for example in read_shard(shard) if example.key == line["key"])
        path = sounds / f"{line['key']}.flac"
        path.write_bytes(encode_flac(example.waveform.samples))
        what = "no speech" if not line["text"] else f"{line['task']}{', timestamps' * line['use_timestamps']}"
        summary = f"{line['record']} from {line['start']:.1f} s: {what}"
        yield _clip(line["key"], line["language"], line["source"], summary, line["text"], path)


def _dropped(folder: RunFolder, n_chunks: int, sounds: Path) -> Iterator[WorstClip]:
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for line in packed_lines(folder, n_chunks):
        if "drop" in line and "audio" in line:
            reason = line["drop"]["reason"]
            by_reason[reason] = nsmallest(
                N_PER_REASON, [*by_reason.get(reason, []), line], key=lambda line: _draw(line["id"])
            )
    reader = AudioReader(AudioLimits(max_duration_s=MAX_DECODED_S))
    for number, line in enumerate(line for lines in by_reason.values() for line in lines):
        drop = Drop(**line["drop"])
        samples = reader.read(place_from_json(line["audio"]))
        path = sounds / f"dropped-{number}.flac"
        if not isinstance(samples, Drop):
            path.write_bytes(encode_flac(samples[: round(PLAYED_S * SAMPLE_RATE)]))
        limit = "" if drop.limit is None else f", limit {drop.limit}"
        summary = f"{drop.reason}{'' if drop.value is None else f': {drop.value}'}{limit}"
        yield _clip(line["id"], UNKNOWN_LANGUAGE, line["source"], summary, line["text"], path)


def _clip(identity: str, language: str | None, source: str, summary: str, text: str, path: Path) -> WorstClip:
    return WorstClip(
        id=identity,
        language=language,
        dataset=source,
        summary=summary,
        reference=text,
        hypothesis=None,
        audio=str(path),
    )


def _draw(identity: str) -> bytes:
    return blake2b(identity.encode("utf-8", "surrogatepass")).digest()


def _column(name: str) -> Column:
    return Column(name=name)


def _named(name: str) -> Column:
    return Column(name=name, numeric=False)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _hours(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 10 else f"{hours:.2f} h" if hours >= 1 else f"{60 * hours:.1f} min"
