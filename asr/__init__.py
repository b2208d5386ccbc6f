"""Speech recognition: bytes in, transcript out.

In: audio files, model checkpoints. Out: ``Transcript``. Knows nothing of HTTP, pydantic or corpora.
Importing this package imports no torch, so that the service's API process stays light; ``asr.transcriber`` does.
"""
