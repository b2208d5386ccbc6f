"""What can be evaluated: the model in this process, a running Auricle, any OpenAI-compatible URL, a peer."""

from eval.targets.local import LocalTarget
from eval.targets.openai import OpenAITarget
from eval.targets.peer import PeerTarget
from eval.targets.service import ServerTarget
from eval.targets.types import PhaseTimes, Reply, Target

__all__ = ["LocalTarget", "OpenAITarget", "PeerTarget", "PhaseTimes", "Reply", "ServerTarget", "Target"]
