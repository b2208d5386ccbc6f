"""The machinery under every mode: windows of all recordings decoded side by side. Knows no recording."""

from asr.engine.engine import Engine, cancelled_on_error

__all__ = ["Engine", "cancelled_on_error"]
