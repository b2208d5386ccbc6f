"""One decoding process seen from the API side. In: open files and a request. Out: what it reports of each.

Knows nothing of uploads, HTTP or when to restart; ``server.decoder_zygote`` is the process itself.
"""

import asyncio
import os
import socket
import subprocess
import sys
from typing import Self

from server.decoder_protocol import DecodeRequest, Ready, Report, encode, parse_report

__all__ = ["DecoderProcess"]

MAX_ANSWER_BYTES = 2**20
GRACE_S = 5.0  # that the process gets beyond a request's own limit before it is taken for stuck
EXIT_PATIENCE_S = 1.0
INHERITED = ("LD_LIBRARY_PATH",)  # without it, some interpreters do not start


class DecoderProcess:
    """A started process; ``gone`` is set when it has died. Belongs to one event loop."""

    def __init__(self, control: socket.socket, process: "subprocess.Popen[bytes]") -> None:
        self.gone = asyncio.Event()
        self._control = control
        self._process = process
        self._ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        control.setblocking(False)
        asyncio.get_running_loop().add_reader(control, self._on_readable)

    @classmethod
    async def start(cls) -> Self:
        """Start it; does not wait until it is ready. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                return cls(ours, await asyncio.to_thread(_spawn, theirs))
            except BaseException:
                ours.close()
                raise

    @property
    def pid(self) -> int:
        """Of the process that forks."""
        return self._process.pid

    async def ready(self) -> Ready:
        """What it says when decoding can begin. Raises ConnectionError when it dies instead."""
        return await asyncio.shield(self._ready)

    async def decode(self, source: int, output: int, request: DecodeRequest) -> list[Report]:
        """Everything reported on one request, ``Ended`` at the end; nothing when the process died over it.

        Cancelling ends the decoding. Raises ValueError for what no honest process says, TimeoutError for a stuck one.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            try:
                socket.send_fds(self._control, [encode(request)], [source, output, theirs.fileno()])
            except OSError as error:
                ours.close()
                if isinstance(error, ConnectionError):
                    self._lose()
                return []
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            async with asyncio.timeout(request.limits.timeout_s + GRACE_S):
                answer = await _read_all(reader)
        finally:
            writer.close()
        if not answer:
            self._lose()  # now, since the next request may come before its socket tells
        return [parse_report(line) for line in answer.splitlines()]

    def kill(self) -> None:
        """End it, and with it whatever it is decoding."""
        self._process.kill()
        self._lose()

    async def stop(self) -> None:
        """End it and free what it held."""
        self._lose()
        await asyncio.to_thread(self._reap)

    def _on_readable(self) -> None:
        try:
            line = self._control.recv(MAX_ANSWER_BYTES)
            report = parse_report(line) if line else None
        except (OSError, ValueError):
            report = None
        if isinstance(report, Ready) and not self._ready.done():
            self._ready.set_result(report)
        else:
            self._lose()

    def _lose(self) -> None:
        if self.gone.is_set():
            return
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()  # which tells it to leave, if it lives
        self.gone.set()
        if not self._ready.done():
            self._ready.set_exception(ConnectionError("the decoding process died before it was ready"))
            self._ready.exception()  # nobody may be waiting for it

    def _reap(self) -> None:
        try:
            self._process.wait(EXIT_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _spawn(control: socket.socket) -> "subprocess.Popen[bytes]":
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # One thread each: a fork would not have the others. The process empties its environment when all is loaded.
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(  # noqa: S603  (our own module)
        [sys.executable, "-m", "server.decoder_zygote", str(control.fileno())],
        pass_fds=(control.fileno(),),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # Ctrl-C is for the API process, which ends this one. No session of its own: Linux shares the processor among
        # sessions first (sched(7), autogroups), and a decoder's niceness would mean nothing there.
        process_group=0,
    )


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    while chunk := await reader.read(MAX_ANSWER_BYTES):
        answer += chunk
        if len(answer) > MAX_ANSWER_BYTES:
            raise ValueError(f"got more than {MAX_ANSWER_BYTES} bytes of reports")
    return bytes(answer)
