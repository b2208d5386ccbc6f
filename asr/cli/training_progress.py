"""What a training run says while it goes. In: reports of updates. Out: a line on stderr, curves, a line of JSON each.

Losses only: error rates come from ``auricle-eval``, which reads checkpoints.
"""

from collections import deque
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from asr.cli.console import report as say
from asr.cli.console import stderr

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from asr.training.run_folder import RunFolder
    from asr.training.running import RunStart
    from asr.training.trainer import UpdateReport

__all__ = ["TrainingProgress"]

N_AVERAGED = 20  # updates that rates are taken over


class TrainingProgress:
    """An observer of one run."""

    def __init__(self, folder: "RunFolder", start: "RunStart", n_updates: int) -> None:
        from asr.training.throughput import peak_flops

        self._folder = folder
        self._curves = _curves(folder, start.step)
        peak = peak_flops(start.device)
        self._peak_flops = peak * start.world_size if peak else None
        self._recent: deque[UpdateReport] = deque(maxlen=N_AVERAGED)
        self._n_too_long = 0
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=stderr
        )
        self._row = self._bar.add_task("", total=n_updates, completed=start.step)
        say(_opening(start), "dim")
        self._bar.start()

    def updated(self, report: "UpdateReport") -> None:
        """See Observer."""
        self._recent.append(report)
        self._n_too_long += report.n_too_long
        seconds = sum(each.seconds for each in self._recent)
        hours_per_s = sum(each.audio_s for each in self._recent) / 3600 / seconds
        flops_per_s = sum(each.flops for each in self._recent) / seconds
        self._folder.log(
            {
                "step": report.step, "loss": report.loss, "learning_rate": report.learning_rate,
                "grad_norm": report.grad_norm, "n_targets": report.n_targets, "n_too_long": report.n_too_long,
                "audio_s": round(report.audio_s, 3), "seconds": round(report.seconds, 3),
            }
        )  # fmt: skip
        if self._curves is not None:
            curves = {
                "loss": report.loss, "learning_rate": report.learning_rate, "grad_norm": report.grad_norm,
                "audio_hours_per_s": hours_per_s, "flops_per_s": flops_per_s,
            }  # fmt: skip
            for name, value in curves.items():
                self._curves.add_scalar(name, value, report.step)
        self._bar.update(
            self._row,
            completed=report.step,
            description=f"loss {report.loss:.3f}  lr {report.learning_rate:.2e}  norm {report.grad_norm:.2f}  "
            f"{hours_per_s:.3f} h/s  {self._compute(flops_per_s)}",
        )

    def close(self) -> None:
        """See Observer."""
        self._bar.stop()
        if self._n_too_long:
            say(f"{self._n_too_long} times an example's text had no room in the decoder: not learned", "yellow")
        if self._curves is not None:
            self._curves.close()

    def _compute(self, flops_per_s: float) -> str:
        if self._peak_flops is None:
            return f"{flops_per_s / 1e12:.2f} TFLOP/s"
        return f"MFU {flops_per_s / self._peak_flops:.0%}"


def _opening(start: "RunStart") -> str:
    goes_on = f", goes on after update {start.step}" if start.step else ""
    processes = f" × {start.world_size}" if start.world_size > 1 else ""
    return (
        f"{start.n_examples} examples; {start.n_learning / 1e6:.2f} of {start.n_parameters / 1e6:.2f} M parameters "
        f"learn; {start.device}{processes}{goes_on}"
    )


def _curves(folder: "RunFolder", step: int) -> "SummaryWriter | None":
    """For tensorboard; none where it is not installed (``auricle[train]``)."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        say("no curves: tensorboard is not installed (pip install 'auricle[train]')", "yellow")
        return None
    return SummaryWriter(str(folder.tensorboard), purge_step=step + 1)
