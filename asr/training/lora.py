"""Low-rank adapters (Hu et al., arXiv:2106.09685). In: a model. Out: the same, whose linear layers learn W + s B A.

Parameters keep their names, and the adapters stand beside them as ``lora_a`` and ``lora_b``: a merged state dict is an
ordinary one. B begins as zero, so that the first update begins at the model itself.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name that every torch code base uses)

__all__ = ["LoraLinear", "adapt", "merged"]

SCALE = 2.0  # alpha / rank, with alpha twice the rank as is common


class LoraLinear(nn.Linear):
    """A frozen linear layer and its adapter of some rank."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        nn.Module.__init__(self)  # not Linear's: the weights are there
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight = linear.weight
        self.weight.requires_grad_(False)
        self.bias = linear.bias
        if self.bias is not None:
            self.bias.requires_grad_(False)
        self.lora_a = nn.Parameter(linear.weight.new_empty(rank, self.in_features))
        self.lora_b = nn.Parameter(linear.weight.new_zeros(self.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (Linear's own name)
        """(…, in) → (…, out)."""
        return super().forward(input) + SCALE * F.linear(F.linear(input, self.lora_a), self.lora_b)


def adapt(part: nn.Module, rank: int) -> None:
    """Give every linear layer inside ``part`` an adapter: attention's query, key, value and out, and the MLPs."""
    for module in list(part.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear) and not isinstance(child, LoraLinear):
                setattr(module, name, LoraLinear(child, rank))


def merged(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a plain model that computes the same."""
    plain = {name: tensor for name, tensor in state_dict.items() if ".lora_" not in name}
    for name, lora_a in state_dict.items():
        if name.endswith(".lora_a"):
            weight = f"{name.removesuffix('lora_a')}weight"
            lora_b = state_dict[f"{name.removesuffix('lora_a')}lora_b"]
            plain[weight] = (plain[weight].double() + SCALE * (lora_b.double() @ lora_a.double())).to(torch.float32)
    return plain
