"""What takes a process with it: a decoder, as native code does, and a system. Imported by name in the one that dies."""

import os
import signal
from unittest import mock

from data_pipeline.audio import AudioReader
from data_pipeline.chunks import ChunkSummary, RunFolder
from data_pipeline.recipe import Recipe
from data_pipeline.screening import screen_chunk
from data_pipeline.types import AudioPlace


def screen_with_a_decoder_that_dies(number: int, folder: RunFolder, recipe: Recipe) -> ChunkSummary:
    """At every recording that is named deadly."""
    read = AudioReader.read

    def read_or_die(self: AudioReader, place: AudioPlace):
        if place.blob.path.stem == "deadly":
            os.kill(os.getpid(), signal.SIGSEGV)
        return read(self, place)

    with mock.patch.object(AudioReader, "read", read_or_die):
        return screen_chunk(number, folder, recipe)


def screen_where_memory_is_short(number: int, folder: RunFolder, recipe: Recipe) -> ChunkSummary:
    """At the second chunk the system kills the process that waits for this one."""
    if number == 1:
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()
    return screen_chunk(number, folder, recipe)
