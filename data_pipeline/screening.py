"""What can be said of a recording alone. In: a chunk of the plan. Out: its records, repaired, or why they are dropped.

A chunk's file is written last and whole, so that a chunk is done or is not. Which item is being opened stands in a file
meanwhile: a decoder may take the whole process with it, and ``guarding`` wants to know at which.
"""

from dataclasses import asdict
from functools import partial
from typing import Any

from asr.audio import SAMPLE_RATE
from data_pipeline.audio import AudioReader, samples_sha256
from data_pipeline.chunks import ChunkSummary, RunFolder, drop_fields
from data_pipeline.readers import Captions, parse_captions, untimed
from data_pipeline.readers.captions import MAX_CAPTION_BYTES
from data_pipeline.readers.finding import language_or_none
from data_pipeline.recipe import Recipe
from data_pipeline.stages.clean import clean_captions
from data_pipeline.stages.duplicates import fingerprint
from data_pipeline.stages.machine import drop_machine_made
from data_pipeline.stages.repeats import drop_repeated
from data_pipeline.stages.timing import check_timing
from data_pipeline.storage import item_from_json, read_lines, write_lines
from data_pipeline.types import Blob, Drop, Item, Record, Stage

__all__ = ["screen_chunk"]


def screen_chunk(number: int, folder: RunFolder, recipe: Recipe) -> ChunkSummary:
    """Plan → a line for every item: a record with its fingerprint, or a drop with its stage."""
    summary = ChunkSummary()
    reader = AudioReader(recipe.audio)
    deadly = {line["place"] for line in read_lines(folder.deadly(number))} if folder.deadly(number).exists() else set()
    begun = folder.begun(number)
    begun.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for place, fields in enumerate(read_lines(folder.chunk("plan", number))):
        item = item_from_json(fields)
        if place in deadly:
            lines.append(_about(item) | drop_fields("audio", Drop(reason="decoder_died")))
        else:
            begun.write_text(str(place), encoding="ascii")
            lines.append(_screen(item, reader, recipe, summary))
        summary.count(lines[-1])
    begun.unlink(missing_ok=True)
    write_lines(folder.chunk("screened", number), lines)
    return summary


def _screen(item: Item, reader: AudioReader, recipe: Recipe, summary: ChunkSummary) -> dict[str, Any]:
    line = _about(item)
    if item.refused or item.audio is None:
        return line | drop_fields("list", item.refused or Drop(reason="missing_audio"))
    with summary.timed("captions"):
        captions = _captions(item)
    if isinstance(captions, Drop):
        return line | drop_fields("captions", captions)
    with summary.timed("audio"):
        samples = reader.read(item.audio)
    if isinstance(samples, Drop):
        return line | drop_fields("audio", samples)
    duration = len(samples) / SAMPLE_RATE
    record = Record(
        id=item.id,
        source=item.source,
        licence=item.licence,
        audio=item.audio,
        audio_sha256=samples_sha256(samples),
        duration=duration,
        cues=captions.cues,
        timed=captions.timed,
        language=language_or_none(captions.language) or item.language,
    )
    line["duration"] = round(duration, 3)
    for name, stage in _stages(recipe):
        with summary.timed(name):
            outcome = stage(record)
        if isinstance(outcome, Drop):
            return line | drop_fields(name, outcome, record)
        record = outcome
    with summary.timed("duplicates"):
        return line | {"record": record, "fingerprint": asdict(fingerprint(record))}


def _about(item: Item) -> dict[str, Any]:
    return {"id": item.id, "source": item.source, "licence": item.licence}


def _stages(recipe: Recipe) -> list[tuple[str, Stage]]:
    stages: list[tuple[str, Stage]] = [
        ("clean", clean_captions),
        ("machine", partial(drop_machine_made, limits=recipe.machine)),
        ("repeats", partial(drop_repeated, limits=recipe.repeats)),
        ("timing", partial(check_timing, limits=recipe.timing)),
    ]
    return [(name, stage) for name, stage in stages if name not in recipe.skip]


def _captions(item: Item) -> Captions | Drop:
    if item.captions is None or item.format is None:
        return untimed(item.text or "")
    try:
        return parse_captions(_bytes(item.captions), item.format)
    except OSError as error:
        return Drop(reason="unreadable_captions", value=str(error.strerror or error)[:200])


def _bytes(blob: Blob) -> bytes:
    with blob.path.open("rb") as file:
        file.seek(blob.offset)
        return file.read(MAX_CAPTION_BYTES + 1 if blob.size is None else min(blob.size, MAX_CAPTION_BYTES + 1))
