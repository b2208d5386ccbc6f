"""Speech recognition: bytes in, transcript out.

In: audio files, model checkpoints. Out: ``Transcript``. Knows nothing of HTTP, pydantic or corpora.
Importing this package imports no torch, so that the service's API process stays light; ``asr.transcriber`` does.
"""

import os

# Threads of torch wait for each other between products. libgomp lets them spin for milliseconds,
# which on a machine with other work burns the core that the other one waits for: 3.5 s instead of 0.5 for a first clip,
# with one of two cores busy. It is read when torch is loaded, so it is set before; a value that is there stays.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
