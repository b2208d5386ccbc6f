"""One window of audio in, tokens out: algorithm, rules and search strategies. Knows nothing longer than 30 s."""

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
