"""The settings for people. In: ``Settings``. Out: help for a terminal, a page of Markdown, and what is misspelt.

Every field has a purpose and an example here; a test holds the two together, and docs/settings.md to this.
"""

import difflib
import textwrap
from collections.abc import Collection

from pydantic.fields import FieldInfo

from server.settings import Settings

__all__ = ["PURPOSES", "misspelt", "settings_help", "settings_markdown"]

# Purpose → field → examples.
PURPOSES: dict[str, dict[str, tuple[str, ...]]] = {
    "Network": {"host": ("0.0.0.0",), "port": ("9000",), "cors_origins": ("https://app.example.org",)},  # noqa: S104
    "Model": {
        "model": ("small", "/srv/models/mine"),
        "more_models": ("tiny.en,small",),
        "model_idle_s": ("0",),
        "workers": ("4",),
        "device": ("cuda",),
        "quantization": ("none",),
    },
    "Uploads": {
        "max_upload_bytes": ("26214400",),
        "max_duration_s": ("3600",),
        "upload_idle_timeout_s": ("10",),
        "upload_timeout_s": ("3600",),
        "allow_urls": ("media.example.org",),
        "url_timeout_s": ("30",),
    },
    "Decoding of uploads": {
        "max_decoders": ("4",),
        "decode_timeout_s": ("60",),
        "decode_memory_bytes": ("536870912",),
        "max_decoded_bytes": ("1073741824",),
    },
    "Queue": {"max_queued_requests": ("16",), "max_queued_audio_s": ("3600",), "request_timeout_s": ("600",)},
    "Live streams": {"max_streams": ("16",), "max_stream_s": ("3600",), "stream_idle_s": ("10",)},
    "Jobs": {"job_ttl": ("3600",), "max_running_jobs": ("4",)},
    "Webhooks": {
        "webhook_secret": ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
        "webhook_allowed_hosts": ("hooks.internal,10.0.0.7",),
    },
    "Several hosts": {
        "database_url": ("postgresql://auricle@db.internal/auricle",),
        "media_url": ("s3://bucket/recordings", "file:///mnt/auricle"),
    },
    "Files": {"spool_dir": ("/var/spool/auricle",), "state_dir": ("/var/lib/auricle",)},
    "Access": {"api_keys_file": ("/etc/auricle/keys.json",), "metrics_require_key": ("true",)},
    "Logs and traces": {
        "log_level": ("warning",),
        "log_format": ("json",),
        "traces_url": ("http://localhost:4318/v1/traces",),
    },
}

# Read by other parts of Auricle, under the same prefix.
ELSEWHERE = {
    "AURICLE_MODEL_DIR": "Folder of the models on this machine; ~/.cache/auricle/models if unset.",
    "AURICLE_OFFLINE": "1 or true: `auricle models pull` fetches nothing. The service itself never fetches a model.",
    "AURICLE_SHARED_DIR": "Folder of the development recordings; for the tests only.",
}

WIDTH = 78  # fits a terminal of 80 columns with click's indent


def settings_help() -> str:
    """Every setting by purpose, 80 columns wide; the form feed before a block keeps click from joining its lines."""
    blocks = ["\b\nSettings, as environment variables:"]
    for purpose, fields in PURPOSES.items():
        lines = [f"{purpose}:"]
        for name, examples in fields.items():
            field = Settings.model_fields[name]
            lines += [f"  {_variable(name)}  [default: {_default(field)}]", *_paragraph(field.description or "")]
            lines += [f"      Example: {_variable(name)}={example}" for example in examples]
        blocks.append("\b\n" + "\n".join(lines))
    lines = ["Read by other parts of Auricle:"]
    for variable, meaning in ELSEWHERE.items():
        lines += [f"  {variable}", *_paragraph(meaning)]
    return "\n\n".join([*blocks, "\b\n" + "\n".join(lines)])


def settings_markdown() -> str:
    """The page docs/settings.md."""
    parts = [
        "# Settings",
        "Made with `make settings` from `server/settings.py`; a test holds it to that.",
        "The service reads its settings from environment variables when it starts. A misspelt name is refused, and the "
        "nearest one named. `auricle-serve --help` shows the same on a terminal.",
    ]
    for purpose, fields in PURPOSES.items():
        rows = [_row(name, examples) for name, examples in fields.items()]
        parts.append(
            "\n".join([f"## {purpose}\n", "| variable | default | meaning | example |", "|---|---|---|---|", *rows])
        )
    rows = [f"| `{variable}` | {meaning} |" for variable, meaning in ELSEWHERE.items()]
    parts.append("\n".join(["## Read by other parts of Auricle\n", "| variable | meaning |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def misspelt(environment: Collection[str]) -> list[str]:
    """One message for each variable with our prefix that nobody reads."""
    known = {_variable(name) for name in Settings.model_fields} | ELSEWHERE.keys()
    unknown = sorted(name for name in environment if name.upper().startswith("AURICLE_") and name.upper() not in known)
    messages = []
    for name in unknown:
        near = difflib.get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.7)
        hint = f"did you mean {near[0]}?" if near else "`auricle-serve --help` lists them"
        messages.append(f"{name}: not a setting; {hint}")
    return messages


def _variable(name: str) -> str:
    return f"AURICLE_{name.upper()}"


def _default(field: FieldInfo) -> str:
    return (
        "unset"
        if field.default is None
        else str(field.default).lower()
        if field.annotation is bool
        else str(field.default)
    )


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False)


def _row(name: str, examples: tuple[str, ...]) -> str:
    field = Settings.model_fields[name]
    default = "unset" if field.default is None else f"`{_default(field)}`"
    shown = ", ".join(f"`{example}`" for example in examples)
    return f"| `{_variable(name)}` | {default} | {field.description} | {shown} |"
