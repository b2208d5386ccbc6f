"""API keys on disk. In: a file. Out: who a key belongs to and what it may ask; keys made and revoked.

The file holds digests, never keys, and is replaced as a whole. Knows nothing of HTTP or of counting requests.
"""

import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.limits import Limits

__all__ = ["KEY_PREFIX", "ApiKey", "KeyFile", "KeyFileError", "KeyRing"]

logger = logging.getLogger("auricle.keys")

KEY_PREFIX = "ak_"  # so that people and secret scanners know one when they see it
KEY_BYTES = 32  # 256 bits: no slow hash is needed, since nobody can guess
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")  # goes into logs and labels as it is

_Count = Annotated[int, Field(ge=1)]


class KeyFileError(Exception):
    """The key file cannot be read, or does not hold what was asked of it."""


class ApiKey(BaseModel):
    """One key as the file has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created_at: datetime
    requests_per_minute: _Count | None = None
    burst: _Count | None = None
    concurrent: _Count | None = None

    @property
    def limits(self) -> Limits:
        """What its bearer may ask."""
        return Limits(requests_per_minute=self.requests_per_minute, burst=self.burst, concurrent=self.concurrent)


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    keys: tuple[ApiKey, ...] = ()


class KeyFile:
    """The file as its operator sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[ApiKey, ...]:
        """Every key. Raises KeyFileError."""
        try:
            return _Document.model_validate_json(self.path.read_bytes()).keys
        except OSError as error:
            raise KeyFileError(f"{self.path}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise KeyFileError(f"{self.path}: not a key file; {where}: {first['msg']}") from error

    def create(self, name: str, limits: Limits) -> str:
        """Add a key and return it: the only time that it is seen. Raises KeyFileError."""
        if not NAME.fullmatch(name):
            raise KeyFileError(f"name: got {name!r}, expected 1 to 64 of the characters A-Z a-z 0-9 . _ -")
        secret = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
        key = ApiKey(
            name=name,
            sha256=_digest(secret),
            created_at=datetime.now(UTC).replace(microsecond=0),
            requests_per_minute=limits.requests_per_minute,
            burst=limits.burst,
            concurrent=limits.concurrent,
        )
        with self._locked():
            keys = self.read() if self.path.exists() else ()
            if any(other.name == name for other in keys):
                raise KeyFileError(f"name: {name!r} has a key already; revoke it first, or choose another name")
            self._write((*keys, key))
        return secret

    def revoke(self, name: str) -> None:
        """Remove a key. Raises KeyFileError for a name that has none."""
        with self._locked():
            keys = self.read()
            kept = tuple(key for key in keys if key.name != name)
            if kept == keys:
                raise KeyFileError(
                    f"name: got {name!r}, expected one of {', '.join(key.name for key in keys) or 'none'}"
                )
            self._write(kept)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # The folder, since the file itself is replaced: two operators at once must not lose each other's key.
        try:
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise KeyFileError(f"{self.path.parent}: {error.strerror}") from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _write(self, keys: tuple[ApiKey, ...]) -> None:
        text = _Document(keys=keys).model_dump_json(indent=2, exclude_none=True) + "\n"
        staging = self.path.with_name(f".{self.path.name}.new")  # one writer at a time: the folder is locked
        try:
            staging.unlink(missing_ok=True)
            with os.fdopen(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            staging.replace(self.path)
        except OSError as error:
            raise KeyFileError(f"{self.path}: {error.strerror}") from error


class KeyRing:
    """The keys of a running service, read again when the file changes. Raises KeyFileError if it cannot be read now."""

    def __init__(self, path: Path) -> None:
        self._file = KeyFile(path)
        self._seen = self._signature()
        self._keys = self._file.read()

    def find(self, secret: str) -> ApiKey | None:
        """Whose key this is; None for nobody's."""
        self._reload_if_changed()
        digest = _digest(secret)
        found: ApiKey | None = None
        for key in self._keys:  # all of them, so that the time tells nothing
            if hmac.compare_digest(digest, key.sha256):
                found = key
        return found

    def _reload_if_changed(self) -> None:
        signature = self._signature()
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._keys = self._file.read()
        except KeyFileError as error:
            # Half an edit must neither lock everybody out nor let everybody in.
            logger.error("the key file cannot be read, the keys read before stay valid: %s", error)
        else:
            logger.info("the key file was read again: %d keys", len(self._keys))

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            status = self._file.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
