"""From command-line options to a target and its decoding options, for every command that transcribes."""

from asr.errors import InvalidOptionError
from asr.options import DEFAULT_TEMPERATURES
from eval.targets import LocalTarget, ServerTarget, Target

__all__ = ["DEFAULT_LADDER", "DEFAULT_MODEL", "make_target", "parse_temperatures"]

DEFAULT_MODEL = "base"
DEFAULT_LADDER = ",".join(f"{temperature:g}" for temperature in DEFAULT_TEMPERATURES)


def parse_temperatures(value: str) -> tuple[float, ...]:
    """Numbers between commas. Raises InvalidOptionError."""
    try:
        return tuple(float(number) for number in value.split(","))
    except ValueError as error:
        message = f"temperature: got {value!r}, expected a number, or several with commas"
        raise InvalidOptionError(message, param="temperature") from error


def make_target(model: str | None, server: str | None) -> Target:
    """The service at an address, or a model loaded here. Raises TargetUnavailableError."""
    if server is not None:
        return ServerTarget(server, model=model)
    return LocalTarget.load(model or DEFAULT_MODEL)
