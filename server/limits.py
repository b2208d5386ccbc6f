"""How much one key may ask. In: a key's name and its limits, at each request. Out: a decision, with when to come back.

A token bucket for the rate and a count for what runs at once, in memory. Knows nothing of HTTP, keys or files; the
clock is handed in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Decision", "Limiter", "Limits", "RateState"]

RUNNING_RETRY_S = 1.0  # when one of the caller's own requests will end is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one key may ask; None: as much as it likes."""

    requests_per_minute: int | None = None
    burst: int | None = None
    """Requests that may come at once after a pause; None: as many as a minute allows."""
    concurrent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateState:
    """A key's bucket after a decision."""

    limit: int
    """Requests per minute."""
    remaining: int
    reset_s: float
    """Until the bucket is full again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a request may go on; ``refused`` names the limit it met."""

    refused: Literal["rate", "concurrency"] | None = None
    retry_after_s: float = 0.0
    rate: RateState | None = None
    """None where the rate is unlimited."""


@dataclass(slots=True)
class _Usage:
    tokens: float
    updated_at: float
    n_running: int = 0


class Limiter:
    """Counts per key. Each ``acquire`` that was not refused needs one ``release``."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._usages: dict[str, _Usage] = {}

    def acquire(self, name: str, limits: Limits) -> Decision:
        """Take a place and a token, or neither."""
        usage = self._refilled(name, limits)
        if limits.concurrent is not None and usage.n_running >= limits.concurrent:
            return Decision(refused="concurrency", retry_after_s=RUNNING_RETRY_S, rate=_rate_state(usage, limits))
        if limits.requests_per_minute is not None:
            if usage.tokens < 1:
                wait_s = (1 - usage.tokens) * 60 / limits.requests_per_minute
                return Decision(refused="rate", retry_after_s=wait_s, rate=_rate_state(usage, limits))
            usage.tokens -= 1
        usage.n_running += 1
        return Decision(rate=_rate_state(usage, limits))

    def release(self, name: str) -> None:
        """Give the place back; the token is spent."""
        self._usages[name].n_running -= 1

    def _refilled(self, name: str, limits: Limits) -> _Usage:
        now, size = self._clock(), _bucket_size(limits)
        usage = self._usages.setdefault(name, _Usage(tokens=size, updated_at=now))
        earned = (now - usage.updated_at) * (limits.requests_per_minute or 0) / 60
        usage.tokens, usage.updated_at = min(size, usage.tokens + earned), now
        return usage


def _bucket_size(limits: Limits) -> float:
    return float(limits.burst or limits.requests_per_minute or 0)


def _rate_state(usage: _Usage, limits: Limits) -> RateState | None:
    if limits.requests_per_minute is None:
        return None
    reset_s = (_bucket_size(limits) - usage.tokens) * 60 / limits.requests_per_minute
    return RateState(limit=limits.requests_per_minute, remaining=int(usage.tokens), reset_s=reset_s)
