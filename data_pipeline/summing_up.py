"""The end of a run. In: every chunk's lines. Out: manifest, drops, funnel, and the proof about evaluation texts.

Everything is streamed, chunk by chunk in order, so that the same lines give the same bytes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from data_pipeline.chunks import RunFolder
from data_pipeline.evaluation import load_index
from data_pipeline.funnel import Funnel, count_funnel
from data_pipeline.recipe import Recipe
from data_pipeline.stages.contamination import MIN_WORDS, N, find_match
from data_pipeline.storage import read_lines, to_json, whole_file, write_lines

__all__ = ["packed_lines", "sum_up"]


def sum_up(folder: RunFolder, n_chunks: int, recipe: Recipe) -> Funnel:
    """Write ``manifest.jsonl``, ``drops.jsonl``, ``funnel.json`` and, with evaluation texts, ``contamination.json``."""
    write_lines(folder.path / "manifest.jsonl", _kept(folder, n_chunks))
    write_lines(folder.path / "drops.jsonl", _dropped(folder, n_chunks))
    if recipe.evaluation is not None:
        write_lines(folder.path / "contamination.json", [_proof(folder, n_chunks)])
    funnel = count_funnel(packed_lines(folder, n_chunks))
    with whole_file(folder.path / "funnel.json") as file:
        file.write(to_json(funnel.as_json()) + b"\n")
    return funnel


def packed_lines(folder: RunFolder, n_chunks: int) -> Iterator[dict[str, Any]]:
    """A line for every item of the plan, in order."""
    for number in range(n_chunks):
        yield from read_lines(folder.chunk("packed", number))


def _kept(folder: RunFolder, n_chunks: int) -> Iterator[Mapping[str, Any]]:
    for number in range(n_chunks):
        shard = folder.shard(number).name
        for line in read_lines(folder.chunk("packed", number)):
            yield from ({"shard": shard, **window} for window in line.get("windows", ()) if "drop" not in window)


def _dropped(folder: RunFolder, n_chunks: int) -> Iterator[Mapping[str, Any]]:
    for line in packed_lines(folder, n_chunks):
        about = {"record": line["id"], "source": line["source"], "licence": line["licence"]}
        if "drop" in line:
            yield about | {"stage": line["stage"], "duration": line.get("duration"), **line["drop"]}
        for window in line.get("windows", ()):
            if "drop" in window:
                stretch = {"start": window["start"], "next_start": window["next_start"]}
                yield about | {"stage": "segment", **stretch, **window["drop"]}


def _proof(folder: RunFolder, n_chunks: int) -> Mapping[str, Any]:
    """What was looked for, what was found and dropped, and that looking again in what was written finds nothing."""
    index = load_index(folder.evaluation)
    dropped, left, n_windows = [], [], 0
    for line in packed_lines(folder, n_chunks):
        if line.get("stage") == "contamination":
            dropped.append({"record": line["id"], "words": line["drop"]["value"], "evaluation": line["drop"]["limit"]})
        for window in line.get("windows", ()):
            if "drop" not in window:
                n_windows += 1
                match = find_match([cue["text"] for cue in window["cues"]] or [window["text"]], index)
                if match:
                    left.append({"key": window["key"], "words": match.words, "evaluation": match.where})
    return {
        "words_in_common": N,
        "least_words_of_a_text": MIN_WORDS,
        "corpora": next(read_lines(folder.path / "plan.jsonl"))["evaluation"],
        "n_grams": len(index.grams),
        "n_short_texts": len(index.whole),
        "n_texts_too_short": index.n_too_short,
        "dropped": dropped,
        "windows_written": n_windows,
        "windows_with_a_match": left,
    }
