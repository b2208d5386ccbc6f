from collections.abc import Callable, Mapping
from typing import Any

import pytest

from eval.hypotheses import Hypothesis, Reference, StoredRun

MakeRun = Callable[..., StoredRun]


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    def make(*clips: tuple[Mapping[str, Any], str | Mapping[str, Any] | None], **config: Any) -> StoredRun:
        """Clips as (reference fields, hypothesis): its text or its fields; None: the clip failed."""
        references, hypotheses = {}, {}
        for number, (fields, answer) in enumerate(clips):
            clip_id = f"clip-{number}"
            references[clip_id] = Reference(**{"key": "k", "audio": "a.wav", "language": "en", **fields})
            made = {"text": answer} if isinstance(answer, str) else dict(answer or {})
            error = {"code": "undecodable_audio", "message": "no"} if answer is None else None
            made = {"id": clip_id, "key": "k", "text": "", "seconds": 0.5, "error": error, **made}
            hypotheses[clip_id] = Hypothesis(**made)
        return StoredRun(config={"model": "base", **config}, references=references, hypotheses=hypotheses)

    return make
