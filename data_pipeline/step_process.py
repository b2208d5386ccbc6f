"""A step's chunks, in a process of their own: ``python -m data_pipeline.step_process``. In: executor, step and numbers,
pickled, on its standard input. Out: the chunks' files.

Apart from the run, since executors fork, log and start servers. It leads a group of processes, and ends the whole group
as soon as its standard input does: a run that is stopped, or killed, leaves nothing at work behind it.
"""

import os
import pickle
import signal
import sys
import threading

from data_pipeline.executors import LocalExecutor, run_local, run_ray


def _end_with_input() -> None:
    os.read(sys.stdin.fileno(), 1)  # of the descriptor: a lock of sys.stdin would be held for ever in what is forked
    os.killpg(0, signal.SIGKILL)


def _main() -> None:
    executor, step, numbers = pickle.load(sys.stdin.buffer)  # noqa: S301 (from the run itself)
    threading.Thread(target=_end_with_input, daemon=True).start()
    if isinstance(executor, LocalExecutor):
        run_local(step, numbers)
    else:
        run_ray(executor, step, numbers)


if __name__ == "__main__":
    _main()
