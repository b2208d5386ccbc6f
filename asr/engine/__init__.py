"""The machinery under every mode: windows of all recordings decoded side by side. Knows no recording."""

from asr.engine.engine import Engine, cancelled_on_error
from asr.engine.scheduler import Lane, Ticket

__all__ = ["Engine", "Lane", "Ticket", "cancelled_on_error"]
