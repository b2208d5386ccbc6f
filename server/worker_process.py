"""One worker process seen from the API side. In: jobs. Out: its messages, handed to the event loop as they come.

Knows nothing of queues, HTTP or when to restart.
"""

import asyncio
import multiprocessing
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import cast

from server.messages import FromWorker, Shutdown, ToWorker
from server.worker import Place, RecognizerFactory, run_worker

__all__ = ["WorkerProcess"]

EXIT_PATIENCE_S = 3.0  # a worker told to leave does so in milliseconds; one that swaps may take longer


class WorkerProcess:
    """A started child process; ``gone`` is set after its last message was delivered."""

    def __init__(
        self,
        factory: RecognizerFactory,
        place: Place,
        *,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[FromWorker], None],
    ) -> None:
        # Spawn, not fork: a fork of a process with threads may deadlock, and CUDA refuses it.
        context = multiprocessing.get_context("spawn")
        self.gone = asyncio.Event()
        self._loop = loop
        self._deliver = deliver
        self._outbox: SimpleQueue[ToWorker | None] = SimpleQueue()
        self._connection, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=run_worker, args=(theirs, factory, place), name="auricle-worker", daemon=True
        )
        try:
            self._process.start()
        finally:
            theirs.close()  # else the pipe would stay open here after the child died
        threading.Thread(target=self._read, name="auricle-worker-reader", daemon=True).start()
        threading.Thread(target=self._write, name="auricle-worker-writer", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Negative: the signal that ended the child; None while it lives."""
        return self._process.exitcode

    def send(self, message: ToWorker) -> None:
        """Hand over one message. Does not block, even where the child has stopped reading."""
        self._outbox.put(message)

    def ask_to_exit(self) -> None:
        """Tell the child to leave at once."""
        self._outbox.put(Shutdown())

    def kill(self) -> None:
        """End the child without asking."""
        self._process.kill()

    def reap(self) -> None:
        """Wait for the child's end and free what it held. Blocks: call it in a thread, once ``gone`` is set."""
        self._process.join(EXIT_PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._outbox.put(None)

    def _write(self) -> None:
        while (message := self._outbox.get()) is not None:
            with suppress(OSError):  # the child is dead; the reader sees the end of the pipe and sets `gone`
                self._connection.send(message)
        self._connection.close()

    def _read(self) -> None:
        try:
            _pump(self._connection, self._loop, self._deliver)
        finally:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self.gone.set)


def _pump(connection: Connection, loop: asyncio.AbstractEventLoop, deliver: Callable[[FromWorker], None]) -> None:
    while not loop.is_closed():
        try:
            message = cast("FromWorker", connection.recv())
        except (EOFError, OSError):
            return
        loop.call_soon_threadsafe(deliver, message)
