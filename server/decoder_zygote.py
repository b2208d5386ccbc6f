"""The process that decodes uploads, by forking. In: requests and descriptors on a socket. Out: a report on each.

It has imported everything once and isolates itself (``server.sandbox``), so that a fork is ready in milliseconds and
reads one file only: input, output and answer come as descriptors, and nothing can be opened. It has one thread, which
makes forking safe. It watches its forks: one that is late, or whose answer nobody waits for any more, is killed. Knows
neither torch nor HTTP; ends when the other side of its socket does. Linux only.
"""

import errno
import gc
import io
import os
import resource
import selectors
import signal
import socket
import struct
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from asr.audio import store_audio
from asr.errors import AudioError
from server.decoder_protocol import (
    LASTING_AFTER_S,
    Crashed,
    Decoded,
    DecodeRequest,
    Ended,
    Interrupted,
    Limit,
    Ready,
    Refused,
    Report,
    encode,
    parse_request,
)
from server.sandbox import KEPT_FROM, confine, isolate

__all__ = ["main"]

MAX_REQUEST_BYTES = 4096
# Of the processor's seconds, and by how much nicer then: a seventh of the processor beside one that has just begun, a
# thirtieth at last.
STEPS_BACK = ((LASTING_AFTER_S, 8), (1.0, 7))
INPUT, OUTPUT, ANSWER = range(KEPT_FROM, KEPT_FROM + 3)  # descriptors in a fork
OUT_OF_MEMORY = encode(Interrupted(limit="memory"))  # made while there is some
LIMIT_OF_ERRNO: dict[int, Limit] = {
    errno.EFBIG: "size",
    errno.ENOSPC: "disk",
    errno.EDQUOT: "disk",
    errno.ENOMEM: "memory",
}


@dataclass(slots=True, kw_only=True)
class _Fork:
    pid: int
    pidfd: int
    answer: int
    """Descriptor of the socket that its report goes to."""
    deadline: float
    has_timed_out: bool = False


def main() -> None:
    """Entry point; the socket is the descriptor that the command line names."""
    control = socket.socket(fileno=int(sys.argv[1]))
    _warm_up()
    # Page size times the first field of statm: all address space, which the limit of a fork counts too.
    base_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    isolated_from = isolate()
    gc.freeze()  # else collections in forks would touch, and so copy, every page
    control.send(encode(Ready(isolated_from=isolated_from)))
    _Zygote(control, base_bytes).serve()


class _Zygote:
    """The loop over the control socket and the forks."""

    def __init__(self, control: socket.socket, base_bytes: int) -> None:
        self._control = control
        self._base_bytes = base_bytes
        self._forks: list[_Fork] = []
        # poll, not epoll, whose state forks would share
        self._selector = selectors.PollSelector()
        self._selector.register(control, selectors.EVENT_READ)

    def serve(self) -> None:
        """Fork for each request until the other side closes the socket; the forks end with this process."""
        while True:
            deadlines = [fork.deadline for fork in self._forks if not fork.has_timed_out]
            timeout_s = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
            for key, _ in self._selector.select(timeout_s):
                fork = key.data
                if fork is None:
                    if not self._accept():
                        return
                elif fork not in self._forks:
                    continue  # its end came in the same breath
                elif key.fd == fork.answer:
                    self._kill(fork)  # nobody writes there: it was closed, nobody waits any more
                    self._selector.unregister(fork.answer)
                else:
                    self._reap(fork)
            for fork in self._forks:
                if time.monotonic() >= fork.deadline and not fork.has_timed_out:
                    fork.has_timed_out = True
                    self._kill(fork)

    def _accept(self) -> bool:
        line, descriptors, _, _ = socket.recv_fds(self._control, MAX_REQUEST_BYTES, 3)
        if not line:
            return False
        request = parse_request(line)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _decode_and_exit(request, descriptors, parent, self._base_bytes)
        source, output, answer = descriptors
        os.close(source)
        os.close(output)
        fork = _Fork(
            pid=pid, pidfd=os.pidfd_open(pid), answer=answer, deadline=time.monotonic() + request.limits.timeout_s
        )
        self._forks.append(fork)
        self._selector.register(fork.pidfd, selectors.EVENT_READ, fork)
        self._selector.register(fork.answer, selectors.EVENT_READ, fork)
        return True

    def _kill(self, fork: _Fork) -> None:
        os.kill(fork.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own

    def _reap(self, fork: _Fork) -> None:
        _, status = os.waitpid(fork.pid, 0)
        ended = Ended(exit_code=os.waitstatus_to_exitcode(status), has_timed_out=fork.has_timed_out)
        with suppress(OSError):
            os.write(fork.answer, encode(ended))
        for descriptor in (fork.pidfd, fork.answer):
            with suppress(KeyError):
                self._selector.unregister(descriptor)
            os.close(descriptor)
        self._forks.remove(fork)


def _decode_and_exit(request: DecodeRequest, descriptors: list[int], parent: int, base_bytes: int) -> NoReturn:
    """What a fork does. No return and no exception: what the zygote has on its stack is not the fork's to clean up."""
    try:
        confine(request.limits, descriptors, parent=parent, base_bytes=base_bytes)
        _step_back_in_time()
        os.write(ANSWER, _report(request))
        os._exit(0)
    except BaseException:
        os._exit(1)


def _step_back_in_time() -> None:
    """Let those pass that have just begun: a few files of many hours must not hold up everybody's seconds."""
    steps = iter(STEPS_BACK)
    done_s = 0.0

    def arm() -> None:
        step = next(steps, None)
        if step is not None:
            signal.signal(signal.SIGPROF, lambda *_: back(*step))
            signal.setitimer(signal.ITIMER_PROF, step[0] - done_s)

    def back(after_s: float, by: int) -> None:
        nonlocal done_s
        done_s = after_s
        os.nice(by)
        arm()

    arm()


def _report(request: DecodeRequest) -> bytes:
    try:
        return encode(_decode(request))
    except MemoryError:
        return OUT_OF_MEMORY


def _decode(request: DecodeRequest) -> Report:
    try:
        with os.fdopen(INPUT, "rb") as source, os.fdopen(OUTPUT, "wb") as output:
            try:
                stored = store_audio(source, output, request.mode, max_duration_s=request.max_duration_s)
            except BaseException:
                # To free a gigabyte takes time: better that of this process, which has stepped back.
                with suppress(OSError):
                    os.ftruncate(output.fileno(), 0)
                raise
        return Decoded(n_channels=stored.n_channels, n_samples=stored.n_samples, warnings=stored.warnings)
    except AudioError as error:
        return Refused(code=error.code, message=str(error))
    except MemoryError:
        raise
    except OSError as error:
        limit = LIMIT_OF_ERRNO.get(error.errno or 0)
        return Interrupted(limit=limit) if limit else Crashed(traceback=traceback.format_exc())
    except Exception:
        return Crashed(traceback=traceback.format_exc())


def _warm_up() -> None:
    """Decode once what is fine and once what is not, so that whatever is loaded at first use is loaded here."""
    rate = 8_000
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, rate, 4 * rate, 4, 16)
    data = bytes(4 * rate)
    wav = struct.pack("<4sI4s", b"RIFF", 36 + len(data), b"WAVE") + form + struct.pack("<4sI", b"data", len(data))
    store_audio(io.BytesIO(wav + data), io.BytesIO(), "each")
    store_audio(io.BytesIO(wav + data), io.BytesIO(), "mean")
    with suppress(AudioError):
        store_audio(io.BytesIO(b"OggS" + bytes(100)), io.BytesIO(), "mean")


if __name__ == "__main__":
    main()
