"""Learning to hear a short clip without silence after it. In: a batch. Out: how far what is said of it is off.

A frozen copy of the model hears each window padded to 30 s, as Whisper was trained; the model hears it bare. Both
decoders read the same tokens, and the model learns to have the copy's hidden states. No label is needed: the tokens may
be what the model itself has said. After futo-org/whisper-acft (2024), which takes plain squares of the difference.

Rows go through one by one, since each has a length of its own: what is computed of one depends on no other.
Shapes: B examples, F Mel channels, T frames, M text positions, C width.
"""

from collections import OrderedDict
from collections.abc import Hashable

import torch
from torch import Tensor

from asr.errors import TrainingError
from asr.model import Whisper
from asr.training.loader import Batch
from asr.training.objective import TeacherForced
from asr.training.targets import IGNORED

__all__ = ["FullContext"]

MAX_REMEMBERED_BYTES = 1 << 30  # 5,000 clips of 30 tokens with tiny


class FullContext(TeacherForced):
    """The squared distance between hidden states and the teacher's, as a share of the teacher's, mean over the layers.

    0: the same; 1: as far off as saying nothing. ``teacher`` stays as it is, and is in no checkpoint: the run's
    beginning gives it back. ``remembers``: its states of an example are kept, up to 1 GiB of them; only right where an
    example is the same every time.
    """

    def __init__(
        self, whisper: Whisper, *, teacher: Whisper, remembers: bool, stochastic_depth: float, recompute: bool
    ) -> None:
        super().__init__(whisper, stochastic_depth=stochastic_depth, recompute=recompute)
        self._teacher = _Teacher(teacher, MAX_REMEMBERED_BYTES if remembers else 0)

    def forward(self, batch: Batch) -> Tensor:
        """Summed over the tokens that ``count`` counts; ``batch`` has the windows with all 30 s too."""
        if batch.full_BFT is None:
            raise TrainingError(f"the examples {', '.join(batch.keys)}: got none of them with 30 s, for the teacher")
        total = torch.zeros((), device=batch.mel_BFT.device)
        for row, (key, n_frames) in enumerate(zip(batch.keys, batch.n_frames, strict=True)):
            is_learned_M = batch.targets_BM[row] != IGNORED
            n_tokens = max(int(is_learned_M.nonzero().max()) + 1 if is_learned_M.any() else 0, 1)
            tokens_1M = batch.tokens_BM[row : row + 1, :n_tokens]
            name = (key, n_frames, *tokens_1M[0].tolist())  # shards of several runs may have the same keys
            wanted_LMC = self._teacher.states(name, batch.full_BFT[row : row + 1], tokens_1M)
            features_1SC = self.encode(batch.mel_BFT[row : row + 1, :, :n_frames])
            states_LMC = _stacked(self.read_layers(features_1SC, tokens_1M))
            distance_LM = (states_LMC - wanted_LMC).square().sum(dim=-1) / wanted_LMC.square().sum(dim=-1)
            total = total + distance_LM.mean(dim=0)[is_learned_M[:n_tokens]].sum()
        return total


class _Teacher:
    """No module, so that it is in no checkpoint, no optimizer and no process group."""

    def __init__(self, whisper: Whisper, max_bytes: int) -> None:
        self._model = TeacherForced(whisper.requires_grad_(False)).eval()
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._remembered: OrderedDict[Hashable, Tensor] = OrderedDict()

    @torch.no_grad()
    def states(self, name: Hashable, mel_1FT: Tensor, tokens_1M: Tensor) -> Tensor:
        """(layers, M, C) of one example."""
        if name in self._remembered:
            self._remembered.move_to_end(name)
            return self._remembered[name]
        model = self._model.to(mel_1FT.device)
        states_LMC = _stacked(model.read_layers(model.encode(mel_1FT), tokens_1M))
        self._remember(name, states_LMC)
        return states_LMC

    def _remember(self, name: Hashable, states_LMC: Tensor) -> None:
        if states_LMC.nbytes > self._max_bytes:
            return
        self._remembered[name] = states_LMC
        self._n_bytes += states_LMC.nbytes
        while self._n_bytes > self._max_bytes:
            self._n_bytes -= self._remembered.popitem(last=False)[1].nbytes


def _stacked(layers: list[Tensor]) -> Tensor:
    return torch.cat(layers).float()
