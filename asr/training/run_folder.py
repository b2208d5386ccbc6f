"""What a run leaves on disk. In: facts, states, losses. Out: a folder from which it goes on, exactly. Knows no model.

    run.json              what the run was begun with, and the tokenizer.json beside it
    losses.jsonl          a line an update
    tensorboard/          the same as curves
    checkpoints/step-N/   model, optimizer, step and position, in torch's distributed format
    model/                what was learned, for everything else

A checkpoint is written beside its place and renamed: whatever kills a run, what is there is whole.
"""

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from asr.errors import TrainingError

__all__ = ["RunFolder", "load_state", "read_facts"]

FACTS = "run.json"
LOSSES = "losses.jsonl"
STEP = "step-"


class RunFolder:
    """The folder of one run, made by ``begin``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def tensorboard(self) -> Path:
        """Folder of the curves."""
        return self.path / "tensorboard"

    @property
    def model(self) -> Path:
        """Folder of what was learned."""
        return self.path / "model"

    def begin(self, facts: Mapping[str, Any], tokenizer: Path, *, resume: bool) -> None:
        """Write facts and tokenizer, or hold the facts against those of the run that is to go on.

        A folder without a run is begun with ``resume`` too, so that one command serves for both. Raises TrainingError,
        OSError.
        """
        written = _plain(facts)
        if not (self.path / FACTS).exists():
            if self.path.exists() and any(self.path.iterdir()):
                raise TrainingError(f"out: {self.path} is not empty and has no {FACTS}; expected a new folder or a run")
            self.path.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(tokenizer, self.path / "tokenizer.json")
            partial = self.path / f"{FACTS}.partial"
            partial.write_text(json.dumps(written, indent=1) + "\n")
            partial.rename(self.path / FACTS)
            return
        if not resume:
            raise TrainingError(
                f"out: there is a run in {self.path}; --resume continues it, another folder begins anew"
            )
        began = _flat(read_facts(self.path))
        for name, value in _flat(written).items():
            if began.get(name) != value:
                raise TrainingError(
                    f"resume: {name}: got {value!r}, the run in {self.path} began with {began.get(name)!r}; "
                    f"keep it, or begin another run"
                )

    def checkpoints(self) -> list[tuple[int, Path]]:
        """(step, folder) of those that are whole, in order."""
        found = (self.path / "checkpoints").glob(f"{STEP}*")
        return sorted((int(path.name.removeprefix(STEP)), path) for path in found)

    def save(self, step: int, state: dict[str, Any], *, is_first: bool) -> Path:
        """Write a checkpoint; all processes call it, and each writes what it has. Not in its place yet: ``publish``."""
        partial = self.path / "checkpoints" / f".{STEP}{step:08d}"
        if is_first:
            shutil.rmtree(partial, ignore_errors=True)
        with _alone_is_fine():
            save(state, checkpoint_id=partial)
        return partial

    def publish(self, partial: Path, *, keep: int) -> None:
        """Put a checkpoint that all processes have written in its place, and delete all but the last ``keep``."""
        whole = partial.with_name(partial.name.removeprefix("."))
        shutil.rmtree(whole, ignore_errors=True)
        partial.rename(whole)
        for _, path in self.checkpoints()[:-keep] if keep else ():
            shutil.rmtree(path)

    def log(self, line: Mapping[str, Any]) -> None:
        """Append to the losses."""
        with (self.path / LOSSES).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the losses of updates that will be made again."""
        losses = self.path / LOSSES
        lines = losses.read_text().splitlines() if losses.exists() else []
        # The last line may have been cut by what stopped the run; it is beyond every checkpoint.
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        partial = losses.with_suffix(".partial")
        partial.write_text("".join(f"{line}\n" for line in kept))
        partial.rename(losses)


def load_state(checkpoint: Path, state: dict[str, Any], *, alone: bool = False) -> None:
    """Fill a state of the same shape from a checkpoint, whoever wrote it. Raises TrainingError.

    All processes call it together, unless one does ``alone``.
    """
    try:
        with _alone_is_fine():
            load(state, checkpoint_id=checkpoint, no_dist=alone)
    except (OSError, RuntimeError, CheckpointException) as error:
        raise TrainingError(f"{checkpoint}: not a checkpoint of this run: {error}") from error


def read_facts(run: Path) -> dict[str, Any]:
    """What a run was begun with. Raises TrainingError."""
    try:
        facts: dict[str, Any] = json.loads((run / FACTS).read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{run}: no run of `auricle train` here: {error}") from error
    return facts


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return plain


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


@contextmanager
def _alone_is_fine() -> Iterator[None]:
    """Without torch's warning that one process is one process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
