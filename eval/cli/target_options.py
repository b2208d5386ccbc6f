"""From command-line options to clips, a target and its decoding options, for every command that transcribes.

The ``…Option`` aliases annotate the parameters of commands, whose defaults are None: what was not said differs from
what was said and happens to be the default.
"""

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from asr.errors import InvalidOptionError
from asr.options import DEFAULT_TEMPERATURES, AudioContext, Plan, Quantization, TranscribeOptions
from eval.errors import TargetUnavailableError
from eval.runner import LanguageMode
from eval.targets import LocalTarget, OpenAITarget, ServerTarget, Target

__all__ = [
    "ApiKeyOption",
    "BeamSizeOption",
    "ContextOption",
    "CpusPerWorkerOption",
    "LanguageOption",
    "ModelOption",
    "NoVadOption",
    "OnlyOption",
    "OpenAIOption",
    "PeerOption",
    "PlanOption",
    "QuantizationOption",
    "RayOption",
    "SeedOption",
    "ServerOption",
    "TemperatureOption",
    "WordTimestampsOption",
    "decoding_options",
    "make_ray_target",
    "make_target",
]

DEFAULT_MODEL = "base"
DEFAULT_LADDER = ",".join(f"{temperature:g}" for temperature in DEFAULT_TEMPERATURES)
DEFAULT_CPUS_PER_WORKER = 2
DEFAULT_SEED = 0  # an evaluation is repeatable unless told otherwise
DEFAULT_KEY = "OPENAI_API_KEY"

ModelOption = Annotated[
    str | None,
    typer.Option(help=f"Name or path of a model.  [default: {DEFAULT_MODEL}, or what --server serves]"),
]
ServerOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Ask a running Auricle service instead of loading a model here.")
]
OpenAIOption = Annotated[
    str | None,
    typer.Option(
        "--openai", metavar="URL", help="Ask any OpenAI-compatible address, such as https://api.openai.com/v1."
    ),
]
ApiKeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key-env",
        metavar="NAME",
        help=f"Environment variable that holds the key for --openai.  [default: {DEFAULT_KEY}, where it is set]",
    ),
]
BeamSizeOption = Annotated[
    int | None, typer.Option(help=f"Beams at temperature 0; 1 is greedy.  [default: {TranscribeOptions().beam_size}]")
]
TemperatureOption = Annotated[
    str | None,
    typer.Option(
        help=f"A number, or several with commas: the ladder of the fallback.  [default: {DEFAULT_LADDER}]",
    ),
]
LanguageOption = Annotated[
    LanguageMode, typer.Option(help="manifest: tell the model each clip's language; auto: let it detect.")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(metavar="FIELD=VALUES", help="Only these clips: language, dataset, kind, speaker or id; repeatable."),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        help=f"Of the samples that the fallback draws: the same run, the same text.  [default: {DEFAULT_SEED}]"
    ),
]
PeerOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=PYTHON",
        help="Ask another engine, installed for that interpreter, which gets our weights: openai-whisper (as its "
        "command line decodes), faster-whisper, faster-whisper-batched (float32, beam 5, else its defaults).",
    ),
]
PlanOption = Annotated[
    Plan | None, typer.Option(help=f"How long recordings are walked.  [default: {TranscribeOptions().plan.value}]")
]
ContextOption = Annotated[
    AudioContext | None,
    typer.Option(
        help="auto: short windows get little silence; exact: always 30 s; fit: none, for a model trained for it.  "
        f"[default: {TranscribeOptions().context.value}]"
    ),
]
NoVadOption = Annotated[bool, typer.Option("--no-vad", help="Decode also where nobody seems to speak.")]
RayOption = Annotated[
    bool,
    typer.Option(
        "--ray",
        help="Share the clips out over the Ray cluster of RAY_ADDRESS, or one of this machine: a worker for each GPU, "
        "or for so many CPUs. The clips and the model have the same paths on all machines.",
    ),
]
CpusPerWorkerOption = Annotated[
    int | None, typer.Option(min=1, help=f"With --ray, and threads of each.  [default: {DEFAULT_CPUS_PER_WORKER}]")
]
QuantizationOption = Annotated[
    Quantization | None,
    typer.Option(help="int8 or none; auto: int8 on a CPU with AVX-512 VNNI.  [default: auto]"),
]
WordTimestampsOption = Annotated[bool, typer.Option("--word-timestamps", help="Ask for each word's time, and keep it.")]


def decoding_options(  # noqa: PLR0913  (the options of a command)
    beam_size: int | None,
    temperature: str | None,
    seed: int | None,
    *,
    openai: str | None = None,
    plan: Plan | None = None,
    context: AudioContext | None = None,
    vad: bool = True,
    word_timestamps: bool = False,
) -> TranscribeOptions:
    """The options of a run; None: not said. Raises typer.BadParameter, also for what ``--openai`` cannot be told."""
    if openai is not None:
        several = temperature if temperature is not None and "," in temperature else None
        said = {"--beam-size": beam_size, "--seed": seed, "--temperature with several numbers": several}
        for name, value in said.items():
            if value is not None:
                raise typer.BadParameter(f"{name}: OpenAI's API has no field for it; leave it to the endpoint")
    elif seed is None:
        seed = DEFAULT_SEED
    try:
        return TranscribeOptions(
            beam_size=TranscribeOptions().beam_size if beam_size is None else beam_size,
            temperatures=DEFAULT_TEMPERATURES if temperature is None else _temperatures(temperature),
            seed=seed,
            plan=TranscribeOptions().plan if plan is None else plan,
            context=TranscribeOptions().context if context is None else context,
            vad=vad,
            word_timestamps=word_timestamps,
        )
    except InvalidOptionError as error:
        raise typer.BadParameter(str(error)) from error


def make_target(
    model: str | None,
    server: str | None = None,
    openai: str | None = None,
    *,
    api_key_env: str | None = None,
    peer: str | None = None,
    quantization: Quantization | None = None,
) -> Target:
    """A model loaded here, an Auricle service, an OpenAI-compatible address, or a peer.

    Raises typer.BadParameter for options that do not fit together, TargetUnavailableError.
    """
    addresses = {"server": server, "openai": openai, "peer": peer}
    given = [f"--{name} {value}" for name, value in addresses.items() if value is not None]
    if len(given) > 1:
        raise typer.BadParameter(f"got {' and '.join(given)}, expected one of them")
    if quantization is not None and given:
        raise typer.BadParameter(f"got --quantization with {given[0]}; only a model loaded here takes it")
    if api_key_env is not None and openai is None:
        raise typer.BadParameter("got --api-key-env without --openai; only that sends a key")
    if openai is not None:
        if model is None:
            raise typer.BadParameter(f"--openai {openai}: got no --model, expected the name that the endpoint gives it")
        return OpenAITarget(openai, model=model, api_key=_api_key(api_key_env))
    if server is not None:
        return ServerTarget(server, model=model)
    if peer is not None:
        from eval.peers import open_peer, split_peer

        return open_peer(*split_peer(peer), model or DEFAULT_MODEL)
    return LocalTarget.load(model or DEFAULT_MODEL, quantization or Quantization.AUTO)


def make_ray_target(
    model: str | None,
    cpus_per_worker: int | None,
    *,
    quantization: Quantization | None,
    others: Mapping[str, str | None],
) -> Target:
    """The model on a Ray cluster. ``others``: options that name another target, by name.

    Raises typer.BadParameter where one of them is given too, TargetUnavailableError.
    """
    for name, value in others.items():
        if value is not None:
            raise typer.BadParameter(f"got --ray with {name} {value}, expected one of them")
    from eval.targets.on_ray import RayTarget

    return RayTarget.load(
        model or DEFAULT_MODEL,
        quantization or Quantization.AUTO,
        cpus_per_worker=cpus_per_worker or DEFAULT_CPUS_PER_WORKER,
    )


def _temperatures(value: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in value.split(","))
    except ValueError as error:
        message = f"temperature: got {value!r}, expected a number, or several with commas"
        raise InvalidOptionError(message, param="temperature") from error


def _api_key(name: str | None) -> str | None:
    key = os.environ.get(name or DEFAULT_KEY, "").strip()  # a file's last line end often comes with it
    if not key and name is not None:
        raise TargetUnavailableError(f"--api-key-env {name}: got no such environment variable, expected the API key")
    if not (key.isascii() and key.isprintable()):  # or the error of the HTTP library would show it
        message = f"{name or DEFAULT_KEY}: got characters that no HTTP header can have, expected the API key alone"
        raise TargetUnavailableError(f"{message}; set the variable again")
    return key or None
