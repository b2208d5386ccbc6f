"""How a process that reads strangers' files is fenced in, on Linux. In: limits. Out: a process that can do little.

``isolate`` once, for a process and all that it forks; ``confine`` for each fork. What needs a right that the process
does not have, or that its container forbids, is left out: ``isolate`` says what took effect. Knows no audio.
"""

import ctypes
import fcntl
import math
import os
import resource
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress

from server.decoder_protocol import DecodeLimits

__all__ = ["KEPT_FROM", "confine", "isolate"]

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38  # linux/prctl.h
CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
NOBODY = 65_534
KEPT_FROM = 3  # the first descriptor of those that a confined process keeps, after the standard three

_libc = ctypes.CDLL(None, use_errno=True)


def isolate() -> tuple[str, ...]:
    """Leave network, file system and privileges behind; returns which of them could be left.

    For a process of one thread that needs no further file. Its environment is emptied too.
    """
    os.environ.clear()
    isolated_from = []
    # Root needs no user namespace; everybody else gets the rights for the rest in one of their own.
    if _unshare(CLONE_NEWNET) or _unshare(CLONE_NEWUSER | CLONE_NEWNET):
        isolated_from.append("network")
    with suppress(OSError):
        _enter_empty_folder()
        isolated_from.append("files")
    if os.geteuid() == 0:
        with suppress(OSError):
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
    if _drop_capabilities() and _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 and os.geteuid() != 0:
        isolated_from.append("privileges")
    _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # nobody of the same user may look into it
    return tuple(isolated_from)


def confine(limits: DecodeLimits, kept: Sequence[int], *, parent: int, base_bytes: int) -> None:
    """Keep only these descriptors, as KEPT_FROM and up, and set every limit; ends with ``parent``.

    ``base_bytes``: address space that the process begins with.
    """
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before it could take us along
    _keep_only(kept)
    seconds = math.ceil(limits.timeout_s) + 1  # the clock on the wall strikes first
    for which, limit in (
        (resource.RLIMIT_AS, base_bytes + limits.memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, limits.max_decoded_bytes),
        (resource.RLIMIT_NOFILE, KEPT_FROM + len(kept)),  # all taken: nothing can be opened, no socket either
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hardest = resource.getrlimit(which)
        lowest = limit if hardest == resource.RLIM_INFINITY else min(limit, hardest)
        resource.setrlimit(which, (lowest, lowest))


def _unshare(flags: int) -> bool:
    return bool(_libc.unshare(flags) == 0)


def _enter_empty_folder() -> None:
    """Make a folder that is deleted already the root: nothing is in it, and nothing can be created there."""
    path = tempfile.mkdtemp(prefix="auricle-")
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.rmdir(path)
        os.fchdir(folder)
        os.chroot(".")
    finally:
        os.close(folder)


def _drop_capabilities() -> bool:
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    return bool(_libc.capset(header, none) == 0)


def _keep_only(kept: Sequence[int]) -> None:
    """Move the descriptors to KEPT_FROM and up, the standard three to nowhere, and close all others."""
    out_of_the_way = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 64) for descriptor in kept]
    for place, descriptor in enumerate(out_of_the_way):
        os.dup2(descriptor, KEPT_FROM + place)
    for standard in (1, 2):
        os.dup2(0, standard)  # standard input is /dev/null
    os.closerange(KEPT_FROM + len(kept), os.sysconf("SC_OPEN_MAX"))
