"""One example of each form field, for OpenAPI: a value that makes sense by itself. Knows no forms.

Apart from them, so that a form reads as its rules; every field needs one, else the description cannot be made.
"""

from typing import Any

__all__ = ["EXAMPLES"]

EXAMPLES: dict[str, Any] = {
    "beam_size": 5,
    "best_of": 5,
    "carry_prompt": False,
    "channels": "split",
    "chunking_strategy": "auto",
    "clip_timestamps": "10-20.5,60-",
    "compression_ratio_threshold": 2.4,
    "condition_on_previous_text": True,
    "context": "auto",
    "diarize": "false",
    "encode": True,
    "hotwords": ["Auricle", "Whisper"],
    "include": ["suppressed"],
    "initial_prompt": "A talk about Auricle.",
    "language": "en",
    "language_threshold": 0.5,
    "languages": ["en", "de"],
    "length_penalty": 0.6,
    "logprob_threshold": -1.0,
    "max_initial_timestamp_s": 1.0,
    "max_line_count": 2,
    "max_line_width": 42,
    "max_words_per_line": 8,
    "model": "whisper-1",
    "no_speech_threshold": 0.6,
    "output": "txt",
    "patience": 1.0,
    "plan": "hybrid",
    "priority": "low",
    "prompt": "A talk about Auricle.",
    "response_format": "json",
    "seed": 0,
    "stream": False,
    "suppress_tokens": [-1],
    "task": "transcribe",
    "temperature": [0.0, 0.4],
    "timestamp_granularities": ["segment"],
    "timestamps": "segment",
    "threshold": 0.5,
    "url": "https://media.example.org/talk.mp3",
    "vad": True,
    "vad_filter": True,
    "vad_threshold": 0.5,
    "webhook_url": "https://example.org/hooks/auricle",
    "word_timestamps": False,
}
