"""Model files in, one internal form out. In: a name or a path. Out: ``Checkpoint``. Knows no audio and no decoding.

Four formats are read: the CTranslate2 container, Hugging Face safetensors, OpenAI's ``.pt`` and our own safetensors.
"""

from asr.checkpoint.loading import load_model, read_checkpoint, save_checkpoint
from asr.checkpoint.store import ModelStore
from asr.checkpoint.types import Checkpoint
from asr.installed_models import SUMS

__all__ = ["SUMS", "Checkpoint", "ModelStore", "load_model", "read_checkpoint", "save_checkpoint"]
