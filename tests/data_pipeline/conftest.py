import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_pipeline.types import AudioPlace, Blob, Cue, Record

sys.path.insert(0, str(Path(__file__).parent))  # for heap_making; tests/ has no packages


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """A record of cues as (start, end, text), or of texts that last 4 s each."""

    def make(*cues: str | tuple[float, float, str], **fields: Any) -> Record:
        timed = [(4.0 * n, 4.0 * n + 4, cue) if isinstance(cue, str) else cue for n, cue in enumerate(cues)]
        defaults: dict[str, Any] = {
            "id": "talks/a.wav",
            "source": "talks",
            "licence": "CC0-1.0",
            "audio": AudioPlace(blob=Blob(path=Path("a.wav"))),
            "audio_sha256": "0" * 64,
            "duration": max((end for _, end, _ in timed), default=1.0),
            "cues": tuple(Cue(start=start, end=end, text=text) for start, end, text in timed),
            "timed": True,
        }
        return Record(**defaults | fields)

    return make
