"""Whisper's optimizer and schedule (Table 17). In: a module, a recipe. Out: AdamW, and each update's learning rate."""

from torch import nn
from torch.optim import AdamW

from asr.training.options import Recipe

__all__ = ["MAX_GRAD_NORM", "learning_rate", "make_optimizer", "set_learning_rate"]

BETAS = (0.9, 0.98)
EPSILON = 1e-6
WEIGHT_DECAY = 0.1
MAX_GRAD_NORM = 1.0


def make_optimizer(module: nn.Module) -> AdamW:
    """AdamW over what learns.

    Matrices decay; biases, LayerNorm and what else has one dimension do not: the paper does not say, and that is what
    is common since GPT-2.
    """
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in learning if each.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [each for each in learning if each.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=0.0, betas=BETAS, eps=EPSILON)


def learning_rate(recipe: Recipe, update: int) -> float:
    """Of update 0, 1, …: a line up to the peak over the warm-up, then a line down to 0 after the last update."""
    if update < recipe.warmup:
        return recipe.peak_lr * (update + 1) / recipe.warmup
    return recipe.peak_lr * (recipe.updates - update) / (recipe.updates - recipe.warmup)


def set_learning_rate(optimizer: AdamW, value: float) -> None:
    """For the next step."""
    for group in optimizer.param_groups:
        group["lr"] = value
