"""How time and memory grow with a recording's length. In: a recording and lengths. Out: numbers, fits and a plot.

Each length is transcribed in a process of its own, on the CPU, so that none inherits what another holds:

    python -m eval.lengths MODEL RECORDING OPTIONS      a JSON line after each batch of windows, at last one of results

Memory is what the process alone holds (RssAnon): weights, windows and text, but not the decoded samples, which are
mapped from a file. Beside the clock's time stands the processor's, since machines are shared. Knows no corpus.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

import numpy as np

from asr.options import Plan, TranscribeOptions
from eval.ceilings import cpu_name
from eval.errors import EvaluationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "LengthCost",
    "LineFit",
    "fit_line",
    "growth_mb_per_hour",
    "length_text",
    "lengths_as_json",
    "measure_lengths",
    "plot_lengths",
    "write_length",
]

SAMPLING_S = 0.05  # between two looks at memory
BLOCK_FRAMES = 1 << 16
FULL_BATCH_S = 600  # from here on every batch of windows is full; below, memory grows with the batch
SAID = ("beam_size", "temperatures", "seed", "plan", "vad", "word_timestamps")  # options that the child is told
UNITS = ((3600, "h"), (60, "min"), (1, "s"))
WIDTH_IN, HEIGHT_IN, DPI = 10.0, 4.0, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthCost:
    """What the transcription of one length needed."""

    length_s: float
    load_s: float
    """To load libraries and model."""
    wall_s: float
    """Transcription alone, by the clock."""
    cpu_s: float
    """The same, of all threads together, by the processor."""
    loaded_mb: float
    """Anonymous memory after loading."""
    peak_mb: float
    """The most while transcribing."""
    n_segments: int
    last_start: float | None
    """Of the last segment, in seconds; None: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFit:
    """y = slope * x + intercept."""

    slope: float
    intercept: float
    r_squared: float
    """Of the values as they are; 1 where all are equal."""
    max_relative_residual: float
    """The largest distance between a value and the line, over the line."""


def measure_lengths(
    recording: Path,
    model: str,
    options: TranscribeOptions,
    lengths_s: Sequence[float],
    *,
    on_progress: Callable[[int, float], None],
) -> tuple[list[LengthCost], dict[str, Any]]:
    """Transcribe a recording cut or repeated to each length; also the facts of model and machine.

    ``on_progress`` hears the place of the length under way and the seconds of it that are done. Raises EvaluationError.
    """
    costs: list[LengthCost] = []
    facts: dict[str, Any] = {}
    for place, length_s in enumerate(lengths_s):
        on_progress(place, 0.0)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recording.flac"
            written_s = write_length(recording, length_s, path)
            result = _run_child(path, model, options, partial(on_progress, place))
        facts = result.pop("facts")
        costs.append(LengthCost(length_s=written_s, **result))
    return costs, facts


def write_length(recording: Path, length_s: float, path: Path) -> float:
    """Write a recording as FLAC of 16 bits, repeated end to end and cut to a length; a block at a time is in memory.

    Returns the exact length in seconds. Raises EvaluationError.
    """
    import soundfile  # type: ignore[import-untyped]

    if not recording.is_file():
        raise EvaluationError(f"{recording}: no such file")
    try:
        facts = soundfile.info(recording)
        if not facts.frames:
            raise EvaluationError(f"{recording}: got no samples, expected a recording")
        n_left = n_frames = round(length_s * facts.samplerate)
        with soundfile.SoundFile(path, "w", facts.samplerate, facts.channels, subtype="PCM_16", format="FLAC") as file:
            for source in cycle([recording]):
                for block in soundfile.blocks(source, BLOCK_FRAMES, dtype="int16"):
                    file.write(block[:n_left])
                    n_left -= len(block[:n_left])
                if n_left == 0:
                    break
    except (OSError, soundfile.LibsndfileError) as error:
        raise EvaluationError(
            f"{recording}: {error}; expected WAV, FLAC, Ogg or MP3, and room in {path.parent}"
        ) from error
    return float(n_frames / facts.samplerate)


def _run_child(
    path: Path, model: str, options: TranscribeOptions, on_progress: Callable[[float], None]
) -> dict[str, Any]:
    said = json.dumps({name: getattr(options, name) for name in SAID})
    command = [sys.executable, "-m", "eval.lengths", model, str(path), said]
    result: dict[str, Any] = {}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as child:  # noqa: S603
            for line in child.stdout or ():
                result = json.loads(line)
                if "done" in result:
                    on_progress(result["done"])
        if child.returncode:
            errors.seek(0)
            raise EvaluationError(f"--model {model}: the transcription failed: {errors.read().strip()[-800:]}")
    return result


def fit_line(xs: Sequence[float], ys: Sequence[float]) -> LineFit:
    """The line of the least squared residuals relative to the values, so that short recordings count as long ones do.

    ``ys``: positive, of two ``xs`` at least. Raises EvaluationError.
    """
    if len(set(xs)) < 2:
        raise EvaluationError(f"got {len(set(xs))} length, expected two or more to fit a line")
    x, y = np.asarray(xs, np.float64), np.asarray(ys, np.float64)
    slope, intercept = np.polyfit(x, y, 1, w=1 / y)
    line = slope * x + intercept
    spread = float(((y - y.mean()) ** 2).sum())
    return LineFit(
        slope=float(slope),
        intercept=float(intercept),
        r_squared=1 - float(((y - line) ** 2).sum()) / spread if spread else 1.0,
        max_relative_residual=float(np.abs((y - line) / line).max()),
    )


def growth_mb_per_hour(costs: Sequence[LengthCost]) -> float | None:
    """How the peak grows from FULL_BATCH_S on; None: fewer than two lengths are so long."""
    long = [cost for cost in costs if cost.length_s >= FULL_BATCH_S]
    if len({cost.length_s for cost in long}) < 2:
        return None
    return 3600 * fit_line([cost.length_s for cost in long], [cost.peak_mb for cost in long]).slope


def lengths_as_json(costs: Sequence[LengthCost], facts: dict[str, Any]) -> dict[str, Any]:
    """Every number, the fits of time over length, and the growth of memory."""
    lengths_s = [cost.length_s for cost in costs]
    return {
        **facts,
        "lengths": [asdict(cost) for cost in costs],
        "fits": {
            "wall_s": asdict(fit_line(lengths_s, [cost.wall_s for cost in costs])),
            "cpu_s": asdict(fit_line(lengths_s, [cost.cpu_s for cost in costs])),
        },
        "memory_from_s": FULL_BATCH_S,
        "memory_mb_per_hour": growth_mb_per_hour(costs),
    }


# --- the plot ---


def plot_lengths(costs: Sequence[LengthCost], *, title: str) -> "Figure":
    """Time and memory over length: logarithmic but for memory, so that a line through the origin is one at 45°."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"text.parse_math": False}):  # a model's folder may have a dollar sign in its name
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), dpi=DPI, layout="constrained")
        time_axes, memory_axes = figure.subplots(1, 2)
        _draw_times(time_axes, costs)
        _draw_memory(memory_axes, costs)
        for axes in (time_axes, memory_axes):
            _finish(axes, [cost.length_s for cost in costs])
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _draw_times(axes: "Axes", costs: Sequence[LengthCost]) -> None:
    from eval.noise.plot import CLEAN_COLOUR, COLOURS, MARKERS

    lengths_s = [cost.length_s for cost in costs]
    cpu_s, wall_s = [cost.cpu_s for cost in costs], [cost.wall_s for cost in costs]
    fit = fit_line(lengths_s, cpu_s)
    along = np.geomspace(min(lengths_s), max(lengths_s), 100)
    label = f"{fit.slope:.3g} s a second + {fit.intercept:.2g} s, R² {fit.r_squared:.4f}"
    axes.plot(
        along, fit.slope * along + fit.intercept, color=CLEAN_COLOUR, linestyle=(0, (5, 4)), linewidth=1, label=label
    )
    axes.plot(lengths_s, wall_s, MARKERS[1], color=COLOURS[1], markersize=5, fillstyle="none", label="by the clock")
    axes.plot(lengths_s, cpu_s, MARKERS[0], color=COLOURS[0], markersize=5, label="by the processor")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")
    axes.set_title("time to transcribe, s", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def _draw_memory(axes: "Axes", costs: Sequence[LengthCost]) -> None:
    from eval.noise.plot import CLEAN_COLOUR, COLOURS, MARKERS

    lengths_s = [cost.length_s for cost in costs]
    growth = growth_mb_per_hour(costs)
    label = "most while transcribing" + ("" if growth is None else f": {growth:+.1f} MB an hour from 10 min on")
    axes.plot(
        lengths_s, [cost.peak_mb for cost in costs], color=COLOURS[0], marker=MARKERS[0], markersize=5, label=label
    )
    loaded_mb = [cost.loaded_mb for cost in costs]
    axes.plot(
        lengths_s, loaded_mb, color=CLEAN_COLOUR, marker=MARKERS[3], markersize=4, linewidth=1, label="model loaded"
    )
    axes.set_ylim(0, 1.35 * max(cost.peak_mb for cost in costs))
    axes.set_title("anonymous memory, MB", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def _finish(axes: "Axes", lengths_s: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(lengths_s, list(map(length_text, lengths_s)))
    axes.set_xticks([], minor=True)
    axes.set_xlabel("length of the recording")
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def length_text(length_s: float) -> str:
    """10 s, 1 min, 3 h."""
    size, unit = next((size, unit) for size, unit in UNITS if length_s >= size or size == 1)
    return f"{length_s / size:.3g} {unit}"


# --- the process that transcribes one length ---


class _MemoryWatch:
    """The most anonymous memory that this process holds meanwhile, by looking every SAMPLING_S."""

    def __init__(self) -> None:
        self.peak_mb = _anonymous_mb()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLING_S):
            self._look()

    def _look(self) -> None:
        self.peak_mb = max(self.peak_mb, _anonymous_mb())


def _anonymous_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]  # Linux always has it


def transcribe_length(model: str, path: str, said: str, *, out: TextIO) -> None:
    """What the child does: load, then transcribe and watch."""

    def tell(**values: Any) -> None:
        out.write(json.dumps(values) + "\n")
        out.flush()

    started = time.perf_counter()
    from asr.transcriber import Transcriber

    transcriber = Transcriber.load(model, device="cpu")
    load_s = time.perf_counter() - started
    options = _options(said)
    loaded_mb = _anonymous_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    with _MemoryWatch() as memory:
        transcript = transcriber.transcribe(Path(path), options, on_progress=lambda progress: tell(done=progress.done))
        wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    tell(
        load_s=load_s,
        wall_s=wall_s,
        cpu_s=cpu_s,
        loaded_mb=loaded_mb,
        peak_mb=memory.peak_mb,
        n_segments=len(transcript.segments),
        last_start=transcript.segments[-1].start if transcript.segments else None,
        facts={
            "model": model,
            "model_hash": transcriber.model_hash,
            "options": json.loads(said),
            "machine": _machine(),
        },
    )


def _options(said: str) -> TranscribeOptions:
    values = json.loads(said)
    return TranscribeOptions(**{**values, "plan": Plan(values["plan"]), "temperatures": tuple(values["temperatures"])})


def _machine() -> dict[str, Any]:
    import torch

    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries that print do so among the errors
    transcribe_length(*sys.argv[1:4], out=lines)
