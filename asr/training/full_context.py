"""Learning to hear a short clip without silence after it. In: a batch. Out: how far what is said of it is off.

A frozen copy of the model hears each window padded to 30 s, as Whisper was trained; the model hears it bare. Both
decoders read the same tokens, and the model learns to have the copy's hidden states. No label is needed: the tokens may
be what the model itself has said. After futo-org/whisper-acft (2024), which takes plain squares of the difference.

Rows go through one by one, since each has a length of its own: what is computed of one depends on no other.
Shapes: B examples, F Mel channels, T frames, M text positions, C width.
"""

import torch
from torch import Tensor

from asr.errors import TrainingError
from asr.model import Whisper
from asr.training.loader import Batch
from asr.training.objective import TeacherForced
from asr.training.remembering import FeatureMemory
from asr.training.targets import IGNORED

__all__ = ["FullContext"]


class FullContext(TeacherForced):
    """The squared distance between hidden states and the teacher's, as a share of the teacher's, mean over the layers.

    0: the same; 1: as far off as saying nothing. ``teacher`` stays as it is, and is in no checkpoint: the run's
    beginning gives it back. ``memory``: where the teacher keeps what it has heard, on a CPU.
    """

    def __init__(
        self, whisper: Whisper, *, teacher: Whisper, memory: FeatureMemory, stochastic_depth: float, recompute: bool
    ) -> None:
        super().__init__(whisper, stochastic_depth=stochastic_depth, recompute=recompute)
        self._teacher = _Teacher(teacher, memory)

    def forward(self, batch: Batch) -> Tensor:
        """Summed over the tokens that ``count`` counts; ``batch`` has the windows with all 30 s too."""
        if batch.full_BFT is None:
            raise TrainingError(f"the examples {', '.join(batch.keys)}: got none of them with 30 s, for the teacher")
        total = torch.zeros((), device=batch.mel_BFT.device)
        for row, n_frames in enumerate(batch.n_frames):
            is_learned_M = batch.targets_BM[row] != IGNORED
            n_tokens = max(int(is_learned_M.nonzero().max()) + 1 if is_learned_M.any() else 0, 1)
            tokens_1M = batch.tokens_BM[row : row + 1, :n_tokens]
            wanted_LMC = self._teacher.states(batch.full_BFT[row : row + 1], tokens_1M)
            features_1SC = self.encode(batch.mel_BFT[row : row + 1, :, :n_frames])
            states_LMC = _stacked(self.read_layers(features_1SC, tokens_1M))
            distance_LM = (states_LMC - wanted_LMC).square().sum(dim=-1) / wanted_LMC.square().sum(dim=-1)
            total = total + distance_LM.mean(dim=0)[is_learned_M[:n_tokens]].sum()
        return total


class _Teacher:
    """No module, so that it is in no checkpoint, no optimizer and no process group."""

    def __init__(self, whisper: Whisper, memory: FeatureMemory) -> None:
        self._model = TeacherForced(whisper.requires_grad_(False), memory=memory).eval()

    @torch.no_grad()
    def states(self, mel_1FT: Tensor, tokens_1M: Tensor) -> Tensor:
        """(layers, M, C) of one example."""
        model = self._model.to(mel_1FT.device)
        return _stacked(model.read_layers(model.encode(mel_1FT), tokens_1M))


def _stacked(layers: list[Tensor]) -> Tensor:
    return torch.cat(layers).float()
