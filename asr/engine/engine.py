"""Windows of all recordings, decoded side by side (continuous batching). In: requests. Out: results.

One thread owns the backend. Every round it admits a window if there is room (several, where they are best encoded
together), encodes it, and extends all that are under way by one step: a window that is done makes room at once, and
nobody waits for the slowest. Knows no recording and no search: each window's algorithm is a generator
(``asr.decoding.window``), and this drives them.
"""

import atexit
import itertools
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from asr.decoding.steps import Candidate, Choice, Extend, Extended, Heard, Read
from asr.decoding.types import DecodeRequest, DecodingResult
from asr.decoding.window import decode_window, detect_language
from asr.engine.backend import AheadBackend, Backend, EncodedWindow, Part
from asr.engine.scheduler import Scheduler, Waiting
from asr.engine_counts import EngineCounts
from asr.errors import AuricleError, CancelledError
from asr.features import FRAMES_PER_SECOND, N_FRAMES
from asr.ticket import Ticket
from asr.tokenizer import Tokenizer

__all__ = ["Engine", "cancelled_on_error"]

REMEMBERED_ROUNDS = 2  # encoded windows that are kept: those under way, and as many for a second look
IDLE_S = 10.0  # after which the thread ends; the next request starts another
EXIT_S = 10.0  # for the round under way when the program ends; a round takes seconds at most

Program = Generator[Extend | Read, Extended | Heard, Any]


@dataclass(slots=True, eq=False, kw_only=True)
class _Job(Waiting):
    """One window on its way."""

    mel: Tensor
    heard_s: float
    """Of audio, padding left out."""
    program: Program
    width: int
    answer: Future[Any] = field(default_factory=Future)
    rows: list[int] = field(default_factory=list)
    window: EncodedWindow = None
    asked: Extend | None = None


class Engine:
    """Decodes windows with one backend; implements ``WindowDecoder``. Any number of threads may ask.

    ``max_windows`` are under way at once.
    """

    def __init__(self, backend: Backend, tokenizer: Tokenizer, *, max_windows: int = 8) -> None:
        self.tokenizer = tokenizer
        self.dims = backend.dims
        self.device = backend.device
        self.precision = backend.precision
        self._backend = backend
        self._ahead = backend if isinstance(backend, AheadBackend) else None
        self._max_windows = max_windows
        self._encoded: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._active: list[_Job] = []
        self._scheduler: Scheduler[_Job] = Scheduler(max_windows)
        self._changed = threading.Condition()  # guards the scheduler
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._is_abandoned = False
        self._round_began: float | None = None  # None between rounds
        self.counts = EngineCounts()
        """What was done so far; read by others while it grows."""
        _engines.add(self)

    def decode(self, requests: Sequence[DecodeRequest]) -> list[DecodingResult]:
        """See WindowDecoder. Results in the order of the requests."""
        ticket = Ticket()
        with cancelled_on_error(ticket):
            return [answer.result() for answer in self.submit(requests, ticket)]

    def detect_language(self, mels: Sequence[Tensor]) -> list[dict[str, float]]:
        """Each window's probability of every language."""
        ticket = Ticket()
        with cancelled_on_error(ticket):
            return [answer.result() for answer in self.submit_languages(mels, ticket)]

    def submit(self, requests: Sequence[DecodeRequest], ticket: Ticket) -> list["Future[DecodingResult]"]:
        """Put windows into the line; each answer comes when it is there, CancelledError if the ticket is cancelled."""
        programs = [decode_window(request, self.tokenizer, n_text_ctx=self.dims.n_text_ctx) for request in requests]
        return self._add(
            [
                self._job(request.mel, program, ticket, width=request.options.strategy.width, n_frames=request.n_frames)
                for request, program in zip(requests, programs, strict=True)
            ]
        )

    def submit_languages(self, mels: Sequence[Tensor], ticket: Ticket) -> list["Future[dict[str, float]]"]:
        """As ``submit``, for the probability of every language."""
        return self._add([self._job(mel, detect_language(self.tokenizer), ticket, width=1) for mel in mels])

    @property
    def stalled_s(self) -> float:
        """How long the round under way has taken, in seconds; 0 between rounds. A round takes seconds at most."""
        began = self._round_began
        return 0.0 if began is None else time.monotonic() - began

    def close(self) -> None:
        """End the thread once what was asked for is done."""
        self._end()

    def _end(self, *, after_round: bool = False) -> None:
        """``after_round``: the one under way is the last, and whatever else was asked for is not answered."""
        with self._changed:
            self._is_closed = True
            self._is_abandoned = after_round
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(EXIT_S if after_round else None)

    def _job(self, mel: Tensor, program: Program, ticket: Ticket, *, width: int, n_frames: int | None = None) -> _Job:
        if mel.shape[-1] % 2 or not 0 < mel.shape[-1] <= N_FRAMES:
            raise AuricleError(f"mel: got {mel.shape[-1]} frames, expected an even number of at most {N_FRAMES}")
        audio_s = mel.shape[-1] / FRAMES_PER_SECOND
        heard_s = audio_s if n_frames is None else n_frames / FRAMES_PER_SECOND
        return _Job(ticket, audio_s, time.monotonic(), mel=mel, heard_s=heard_s, program=program, width=width)

    def _add(self, jobs: Sequence[_Job]) -> list[Future[Any]]:
        with self._changed:
            for job in jobs:
                self._scheduler.add(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
                self._thread.start()
            self._changed.notify()
        return [job.answer for job in jobs]

    # --- the engine's thread ---

    def _serve(self) -> None:
        with torch.inference_mode():
            while self._wait_for_work():
                self._round_began = time.monotonic()
                try:
                    self._round()
                except Exception as error:  # whoever waits must hear of it
                    for job in list(self._active):
                        self._leave(job)
                        job.answer.set_exception(error)
                finally:
                    self._round_began = None

    def _wait_for_work(self) -> bool:
        """False when the thread is to end: a thread that waits for ever would keep the model in memory."""
        with self._changed:
            while not self._is_abandoned:
                if self._active or len(self._scheduler):
                    return True
                if self._is_closed or not self._changed.wait(IDLE_S):
                    break
            self._thread = None
            return False

    def _round(self) -> None:
        for job in [job for job in self._active if job.ticket.cancelled]:
            self._leave(job)
            job.answer.set_exception(CancelledError("the transcription was cancelled"))
        self._admit([job for job in (self._next() for _ in range(self._backend.max_encoded)) if job is not None])
        if self._active:
            started = time.perf_counter()
            jobs = list(self._active)
            self._step(jobs)
            took_s = time.perf_counter() - started
            for job in jobs:
                job.ticket.decode_s += took_s / len(jobs)
            self.counts.steps += 1
            self.counts.step_s += took_s
            self.counts.window_steps += len(jobs)

    def _next(self) -> _Job | None:
        with self._changed:
            for dropped in self._scheduler.drop_cancelled():
                dropped.answer.set_exception(CancelledError("the transcription was cancelled"))
            if len(self._active) == self._max_windows:
                return None
            job = self._scheduler.take(time.monotonic())
        if job is not None:
            self._active.append(job)
        return job

    def _admit(self, jobs: Sequence[_Job]) -> None:
        """Encode those of one length together, and begin them."""
        by_length: defaultdict[int, list[_Job]] = defaultdict(list)
        for job in jobs:
            by_length[job.mel.shape[-1]].append(job)
        for alike in by_length.values():
            started = time.perf_counter()
            try:
                windows = self._windows([job.mel for job in alike])
                for job, window in zip(alike, windows, strict=True):
                    job.window, job.rows = window, self._backend.take_rows(job.width)
            except Exception as error:  # their callers' error, not the others'
                for job in alike:
                    self._leave(job)
                    job.answer.set_exception(error)
                continue
            took_s = time.perf_counter() - started
            for job in alike:
                job.ticket.encode_s += took_s / len(alike)
                self.counts.heard_s += job.heard_s
                self.counts.padded_s += job.audio_s
            self.counts.windows += len(alike)
            self.counts.encode_s += took_s
            for job in alike:
                self._advance(job, None)

    def _windows(self, mels: Sequence[Tensor]) -> list[EncodedWindow]:
        """Encoded once while its mel lives, as long as it is among those last asked for."""
        new = list({id(mel): mel for mel in mels if mel not in self._encoded}.values())
        for mel, window in zip(new, self._backend.encode(new) if new else (), strict=True):
            self._encoded[mel] = window
        windows = []
        for mel in mels:
            window = self._encoded[mel]
            del self._encoded[mel]  # to come back as the last asked for
            self._encoded[mel] = window
            windows.append(window)
        while len(self._encoded) > REMEMBERED_ROUNDS * self._max_windows:
            del self._encoded[next(iter(self._encoded))]
        return windows

    def _step(self, jobs: Sequence[_Job]) -> None:
        """One step of every window under way; several where the backend can, and no window has to hear of each."""
        asked = [job.asked for job in jobs if job.asked is not None]
        parts = [_part(job, each) for job, each in zip(jobs, asked, strict=True)]
        ahead = [each.ahead for each in asked if each.ahead is not None]
        if self._ahead is not None and len(ahead) == len(asked):
            answers = [_answer_of(chosen) for chosen in self._ahead.run_ahead(parts, ahead)]
        else:
            answers = self._extend(parts, asked)
        for job, answer in zip(jobs, answers, strict=True):
            self._advance(job, answer)

    def _extend(self, parts: Sequence[Part], asked: Sequence[Extend]) -> list[Extended]:
        # The places of a part's wanted logits among all.
        firsts = list(itertools.accumulate((len(part.wanted) for part in parts), initial=0))
        logits = self._backend.extend(parts)
        probed: list[list[NDArray[Any]]] = []
        places: list[int] = []
        choices: list[Choice] = []
        for part, each, first in zip(parts, asked, firsts, strict=False):
            place_of = {wanted: first + i for i, wanted in enumerate(part.wanted)}
            last = len(each.tokens[0]) - 1
            probed.append([self._backend.logits(logits, place_of[0, place]) for place in each.probes])
            places += [place_of[choice.row, last] for choice in each.choices]
            choices += each.choices
        candidates = iter(self._backend.choose(logits, places, choices) if choices else ())
        return [
            Extended(candidates=[next(candidates) for _ in each.choices], logits=own)
            for each, own in zip(asked, probed, strict=True)
        ]

    def _advance(self, job: _Job, answer: Extended | Heard | None) -> None:
        """Tell a window what it asked for, until it asks for something that is worth a batch."""
        try:
            asked = next(job.program) if answer is None else job.program.send(answer)
            while isinstance(asked, Read):
                asked = job.program.send(self._backend.read(job.window, asked))
            job.asked = asked
        except StopIteration as stop:
            self._leave(job)
            self.counts.tokens += len(stop.value.tokens) if isinstance(stop.value, DecodingResult) else 0
            job.answer.set_result(stop.value)
        except Exception as error:  # one window's error is its caller's, not the others'
            self._leave(job)
            job.answer.set_exception(error)

    def _leave(self, job: _Job) -> None:
        self._active.remove(job)
        self._backend.free_rows(job.rows)
        job.window = None
        with self._changed:
            self._scheduler.done(job)


_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """A thread that comes back from torch to an interpreter that has ended takes the process down with SIGABRT."""
    for engine in list(_engines):
        engine._end(after_round=True)


def _part(job: _Job, asked: Extend) -> Part:
    last = len(asked.tokens[0]) - 1
    wanted = {(0, place) for place in asked.probes} | {(choice.row, last) for choice in asked.choices}
    return Part(
        window=job.window,
        rows=job.rows[: len(asked.tokens)],
        tokens=asked.tokens,
        position=asked.position,
        sources=None if asked.sources is None else [job.rows[source] for source in asked.sources],
        wanted=sorted(wanted),
    )


def _answer_of(chosen: Sequence[Candidate]) -> Extended:
    """Of one row's tokens, in a row."""
    first, *further = ([[candidate]] for candidate in chosen)
    return Extended(candidates=first, logits=[], further=further)


@contextmanager
def cancelled_on_error(ticket: Ticket) -> Iterator[None]:
    """Cancel a ticket when its caller fails or is interrupted: nobody waits for its other windows any more."""
    try:
        yield
    except BaseException:
        ticket.cancelled = True
        raise
