"""The key file: made, listed, revoked, read again; what it holds and what it never holds."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from server.cli import app
from server.keys import KEY_PREFIX, KeyFile, KeyFileError, KeyRing
from server.limits import Limits


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_found_by_what_was_printed_and_the_file_does_not_hold_it(path: Path) -> None:
    limits = Limits(requests_per_minute=60, burst=5, concurrent=2)
    secret = KeyFile(path).create("alice", limits)
    KeyFile(path).create("bob", Limits())
    assert secret.startswith(KEY_PREFIX)
    assert len(secret) == len(KEY_PREFIX) + 43  # 256 bits in base64
    assert secret.removeprefix(KEY_PREFIX) not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    found = KeyRing(path).find(secret)
    assert found is not None
    assert (found.name, found.limits) == ("alice", limits)
    for wrong in (secret[:-1], secret + "x", secret.upper(), "", "ak_ünïcode", "\udcff"):
        assert KeyRing(path).find(wrong) is None


def test_a_running_service_sees_new_and_revoked_keys(path: Path) -> None:
    first = KeyFile(path).create("alice", Limits())
    ring = KeyRing(path)
    second = KeyFile(path).create("bob", Limits())
    assert ring.find(second)
    KeyFile(path).revoke("alice")
    assert ring.find(first) is None
    assert ring.find(second)


@pytest.mark.parametrize("damage", ["", "{", '{"keys": [{"name": "x"}]}', '{"version": 2, "keys": []}'])
def test_a_damaged_or_missing_file_keeps_the_keys_read_before(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = KeyFile(path).create("alice", Limits())
    ring = KeyRing(path)
    path.write_text(damage)
    assert ring.find(secret)
    assert "cannot be read" in caplog.text
    path.unlink()
    assert ring.find(secret)
    with pytest.raises(KeyFileError, match=r"keys\.json"):
        KeyRing(path)


def test_operators_at_the_same_time_lose_no_key(path: Path) -> None:
    names = [f"user-{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: KeyFile(path).create(name, Limits()), names))
    assert sorted(key.name for key in KeyFile(path).read()) == sorted(names)
    assert os.listdir(path.parent) == ["keys.json"]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "naïve", "a\n"])
def test_names_that_could_not_stand_in_a_log_are_refused(path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="expected 1 to 64"):
        KeyFile(path).create(name, Limits())
    assert not path.exists()


def run(path: Path, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["keys", *arguments], env={"AURICLE_API_KEYS_FILE": str(path)})
    return done.exit_code, done.stdout, done.stderr


def test_the_command_makes_lists_and_revokes(path: Path) -> None:
    code, secret, note = run(path, "create", "alice", "--requests-per-minute", "60", "--concurrent", "4")
    assert (code, secret[:3]) == (0, KEY_PREFIX)
    assert "cannot be shown again" in note
    assert secret.strip() not in note
    assert KeyRing(path).find(secret.strip())
    code, listed, _ = run(path, "list")
    assert code == 0
    assert all(word in listed for word in ("alice", "60", "4"))
    assert json.loads(path.read_text())["keys"][0]["sha256"] not in listed
    assert run(path, "revoke", "alice")[0] == 0
    assert KeyFile(path).read() == ()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("create", "alice"), 1, "has a key already"),
        (("create", "a b"), 1, "expected 1 to 64"),
        (("create", "bob", "--concurrent", "0"), 2, "--concurrent"),
        (("revoke", "bob"), 1, "expected one of alice"),
    ],
)
def test_the_command_says_what_is_wrong(path: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    KeyFile(path).create("alice", Limits())
    before = path.read_text()
    got, _, told = run(path, *arguments)
    assert (got, path.read_text()) == (code, before)
    assert message in told


def test_the_command_needs_to_know_the_file() -> None:
    done = CliRunner().invoke(app, ["keys", "list"])
    assert done.exit_code == 2
    assert "AURICLE_API_KEYS_FILE" in done.stderr or "--file" in done.stderr
