"""What a frozen encoder makes of audio, kept. In: log-Mel, and who hears it. Out: the same audio features.

Where the encoder does not learn it hears the same windows in every epoch, which is most of the work of training a
decoder on a CPU. Windows are known by their numbers, not by their names: what was augmented is another window.
"""

from collections.abc import Callable
from hashlib import blake2b

import torch
from torch import Tensor

__all__ = ["FeatureMemory"]

MAX_BYTES = 1 << 30  # 870 windows of `base` at 12 s, 350 at 30 s


class FeatureMemory:
    """Keeps the first windows that have room: each comes once an epoch, so that none is worth more than another."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._room = max_bytes
        self._kept: dict[bytes, Tensor] = {}

    def encode(self, mel_BFT: Tensor, hear: Callable[[Tensor], Tensor]) -> Tensor:
        """Log-Mel → audio features (B, S, C), without gradients; ``hear`` is asked for what is not kept.

        Nothing is kept of what lies on a GPU, where hearing is the cheaper.
        It hears one window at a time: sums of a batch differ in their last bits from those of a part of it, and a run
        that goes on from a checkpoint has kept others.
        """
        if mel_BFT.device.type != "cpu":
            return hear(mel_BFT)
        return torch.cat([self._one(mel_1FT, hear) for mel_1FT in torch.split(mel_BFT, 1)])

    @torch.no_grad()
    def _one(self, mel_1FT: Tensor, hear: Callable[[Tensor], Tensor]) -> Tensor:
        key = blake2b(mel_1FT.numpy().tobytes(), digest_size=16).digest()
        found = self._kept.get(key)
        if found is None:
            found = hear(mel_1FT)
            n_bytes = found.numel() * found.element_size()
            if n_bytes <= self._room:
                self._kept[key] = found
                self._room -= n_bytes
        return found
