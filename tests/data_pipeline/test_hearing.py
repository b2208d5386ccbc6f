import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from heap_making import InThisProcess, Silent, make_heap

from asr.audio import Waveform
from data_pipeline import hearing
from data_pipeline.recipe import ModelChoice, read_recipe
from data_pipeline.running import RunPlan, run_recipe
from data_pipeline.types import Cue, SpokenLanguage


class DeafListener:
    """Hears German, and of every other recording nothing at all."""

    def __init__(self, choice: ModelChoice) -> None:
        self.name = choice.name
        self.heard_s: list[float] = []

    def hear(self, recordings: Iterable[Waveform]) -> Iterator[tuple[SpokenLanguage | None, tuple[Cue, ...] | None]]:
        for number, recording in enumerate(recordings):
            self.heard_s.append(recording.duration)
            yield (SpokenLanguage(language="de", probability=0.9), ()) if number % 2 else (None, None)


def test_the_model_hears_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    listeners: list[DeafListener] = []

    def listen(choice: ModelChoice) -> DeafListener:
        listeners.append(DeafListener(choice))
        return listeners[-1]

    monkeypatch.setattr(hearing, "ModelListener", listen)
    hearing._model.cache_clear()
    recipe = make_heap(tmp_path)
    recipe.write_text(f'{recipe.read_text()}[model]\nname = "base"\n')
    plan = RunPlan(recipe=read_recipe(recipe))
    folder = run_recipe(plan, tmp_path / "out", executor=InThisProcess(), resume=False, progress=Silent()).path
    assert [listener.name for listener in listeners] == ["base"]
    # The copy, and five talks; what is dropped before is not listened to.
    assert listeners[0].heard_s == [34.0] * 6
    heard = [
        json.loads(line) for path in sorted((folder / "heard").iterdir()) for line in path.read_text().splitlines()
    ]
    assert [line["id"] for line in heard][:2] == ["talks/copy.wav", "talks/talk1.flac"]
    manifest = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    # English text over German speech is a translation, which no hypothesis is held against.
    assert {(line["task"], line["language"]) for line in manifest if line["text"]} == {
        ("transcribe", "en"),
        ("translate", "de"),
    }
