"""A CTC loss on the encoder beside the next token. In: a batch. Out: both losses, weighted. Knows no files.

From nothing, a decoder learns its language long before it finds out where to listen. CTC has the encoder itself say the
text, in order, so that there is something to find: hybrid CTC/attention (Kim, Hori, Watanabe, arXiv:1609.06773;
Watanabe et al. 2017). Its head is a linear layer that is trained, and kept in checkpoints, but in no export.

Shapes: B examples, S audio positions, M text positions, K text tokens and the blank.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name that every torch code base uses)

from asr.model import Whisper
from asr.tokenizer import Tokenizer
from asr.training.loader import Batch
from asr.training.objective import TeacherForced
from asr.training.options import Recipe

__all__ = ["JointCtc"]


class JointCtc(TeacherForced):
    """``(1 - ctc_weight) · next token + ctc_weight · CTC``.

    CTC is in order of time, so translations have none of it; where nobody speaks, all of it is blank. The first token
    after the text tokens, which no text has, stands for the blank. A text with more tokens than its audio has
    positions has no CTC either.
    """

    def __init__(self, whisper: Whisper, tokenizer: Tokenizer, recipe: Recipe, *, recompute: bool = False) -> None:
        super().__init__(whisper, stochastic_depth=recipe.stochastic_depth, recompute=recompute)
        self.head = nn.Linear(whisper.dims.n_audio_state, tokenizer.eot + 1)
        generator = torch.Generator().manual_seed(recipe.seed)
        nn.init.normal_(self.head.weight, std=self.head.in_features**-0.5, generator=generator)
        nn.init.zeros_(self.head.bias)
        self._weight = recipe.ctc_weight
        self._blank = tokenizer.eot
        self._translate = tokenizer.translate

    def forward(self, batch: Batch) -> Tensor:
        """In nats, summed over the batch; its terms are the decoder's targets, as a text's CTC is about as large."""
        features_BSC = self.encode(batch.mel_BFT)
        by_decoder = self.cross_entropy(features_BSC, batch)
        return (1 - self._weight) * by_decoder + self._weight * self.ctc(features_BSC, batch)

    def ctc(self, features_BSC: Tensor, batch: Batch) -> Tensor:
        """The negative log likelihood of what is said, by the encoder alone, summed over the batch."""
        is_text_BM = (batch.targets_BM >= 0) & (batch.targets_BM < self._blank)
        n_text_B = is_text_BM.sum(dim=1)
        loss_B = F.ctc_loss(
            self.head(features_BSC).log_softmax(dim=-1).transpose(0, 1),
            batch.targets_BM[is_text_BM],  # one after another
            torch.full_like(n_text_B, features_BSC.shape[1]),
            n_text_B,
            blank=self._blank,
            reduction="none",
            zero_infinity=True,
        )
        is_translated_B = (batch.tokens_BM == self._translate).any(dim=1)
        return loss_B[~is_translated_B].sum()
