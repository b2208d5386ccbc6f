"""Learning to draft: a CTC head over the frozen encoder's features. In: a batch. Out: the loss of its text tokens.

The shards' texts should be what the model itself says of their audio, so that a draft is what its decoder would accept:
no label by people is needed (docs/training.md). Nothing of the model itself learns.

Rows go through the encoder one by one, and what is said of one depends on no other. Shapes as in ``asr.draft_head``;
L labels.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name that every torch code base uses)

from asr.draft_head import BLANK, DraftHead
from asr.errors import TrainingError
from asr.model import Whisper
from asr.tokenizer import Tokenizer
from asr.training.loader import Batch
from asr.training.remembering import FeatureMemory
from asr.training.targets import Fields, encode_example

__all__ = ["MAX_VOCABULARY", "CtcDraft", "frequent_tokens"]

MAX_VOCABULARY = 8192  # tokens that can be drafted; each is a product at every position


def frequent_tokens(texts: Iterable[Mapping[str, Any]], tokenizer: Tokenizer, *, n_text_ctx: int) -> Tensor:
    """The text tokens of examples (their fields) that are worth drafting: the most frequent, in order of their ids."""
    counts: Counter[int] = Counter()
    for fields in texts:
        row = encode_example(Fields.read(fields), tokenizer, n_text_ctx=n_text_ctx)
        counts.update(token for token in (row.targets if row else ()) if 0 <= token < tokenizer.eot)
    if not counts:
        raise TrainingError("objective: got no text in the shards, expected what a draft could be learned from")
    return torch.tensor(sorted(token for token, _ in counts.most_common(MAX_VOCABULARY)))


class CtcDraft(nn.Module):
    """CTC (Graves et al., ICML 2006) of the text tokens; timestamps and what the vocabulary lacks are left out.

    ``memory`` keeps what the encoder has heard.
    """

    def __init__(self, whisper: Whisper, vocabulary: Tensor, *, text_end: int, memory: FeatureMemory | None) -> None:
        super().__init__()
        self.whisper = whisper.requires_grad_(False)
        self.draft_head = DraftHead(whisper, vocabulary)
        self._text_end = text_end
        self._classes = {token: place for place, token in enumerate(vocabulary.tolist(), start=BLANK + 1)}
        self._memory = memory

    def count(self, batch: Batch) -> int:
        """Text tokens that are to be drafted."""
        return sum(len(self._labels(targets_M)) for targets_M in batch.targets_BM)

    def forward(self, batch: Batch) -> Tensor:
        """CTC loss in nats, summed over the rows; that of a text with no room in the positions is 0."""
        total = torch.zeros((), device=batch.mel_BFT.device)
        for mel_FT, targets_M in zip(batch.mel_BFT, batch.targets_BM, strict=True):
            labels_L = torch.tensor([self._labels(targets_M)], device=mel_FT.device)
            logprobs_1PV = self.draft_head(self._features(mel_FT[None]))
            n_positions, n_labels = torch.tensor([logprobs_1PV.shape[1]]), torch.tensor([labels_L.shape[1]])
            total = total + F.ctc_loss(
                logprobs_1PV.transpose(0, 1).float(), labels_L, n_positions, n_labels, blank=BLANK, reduction="sum",
                zero_infinity=True,
            )  # fmt: skip
        return total

    def _labels(self, targets_M: Tensor) -> list[int]:
        text = (token for token in targets_M.tolist() if 0 <= token < self._text_end)
        return [self._classes[token] for token in text if token in self._classes]

    def _features(self, mel_1FT: Tensor) -> Tensor:
        """(1, S, C)."""
        return self._memory.encode(mel_1FT, self._hear) if self._memory else self._hear(mel_1FT)

    @torch.no_grad()
    def _hear(self, mel_1FT: Tensor) -> Tensor:
        features: Tensor = self.whisper.encoder(mel_1FT)
        return features.float()
