"""Jobs as the columns of a database, of either kind. In: rows. Out: jobs; and segments and results as text, both ways.

Knows no SQL.
"""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import TypeAdapter

from asr.transcript import Segment
from server.errors import ApiError
from server.jobs.store import Job, JobError, JobStatus
from server.responses import Answered

__all__ = ["Row", "answered_of", "job_of", "key_reused", "packed_answered", "packed_segment", "segment_of"]

_SEGMENT = TypeAdapter(Segment)
_ANSWERED = TypeAdapter(Answered)


class Row(Protocol):
    """One row by the names of its columns."""

    def __getitem__(self, name: str, /) -> Any:
        """The column's value."""


def job_of(row: Row | Mapping[str, Any]) -> Job:
    """A row of the table of jobs."""
    return Job(
        id=row["id"],
        status=JobStatus(row["status"]),
        model=row["model"],
        fields=tuple((name, value) for name, value in json.loads(row["fields"])),
        request_id=row["request_id"],
        attempt=row["attempt"],
        n_deaths=row["n_deaths"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        attempted_at=row["attempted_at"],
        ended_at=row["ended_at"],
        expires_at=row["expires_at"],
        is_expired=bool(row["is_expired"]),
        done_s=row["done_s"],
        resumed_s=row["resumed_s"],
        duration_s=row["duration_s"],
        error=JobError(**json.loads(row["error"])) if row["error"] else None,
    )


def packed_segment(segment: Segment) -> str:
    """A segment as text of ASCII characters only, so that every database takes it."""
    return json.dumps(_SEGMENT.dump_python(segment, mode="json"))


def segment_of(payload: str) -> Segment:
    """What ``packed_segment`` has packed."""
    return _SEGMENT.validate_python(json.loads(payload))


def packed_answered(answered: Answered) -> str:
    """A result as text."""
    return json.dumps(_ANSWERED.dump_python(answered, mode="json"))


def answered_of(payload: str) -> Answered:
    """What ``packed_answered`` has packed."""
    return _ANSWERED.validate_python(json.loads(payload))


def key_reused() -> ApiError:
    """The refusal of an Idempotency-Key that stands for another job."""
    message = "Idempotency-Key: used before with another recording or other fields; take a new key for a new job"
    return ApiError(422, "idempotency_key_reused", message, param="Idempotency-Key")
