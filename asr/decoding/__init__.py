"""Audio windows in, tokens out: the loop, its rules and its search strategies. Knows no recording longer than 30 s."""

from asr.decoding.types import (
    BeamSearch,
    DecodeRequest,
    DecodingOptions,
    DecodingResult,
    Greedy,
    Sampling,
    Strategy,
    TokenTime,
    WindowDecoder,
)

__all__ = [
    "BeamSearch",
    "DecodeRequest",
    "DecodingOptions",
    "DecodingResult",
    "Greedy",
    "Sampling",
    "Strategy",
    "TokenTime",
    "WindowDecoder",
]
