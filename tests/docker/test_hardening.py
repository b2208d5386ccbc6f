"""Containers as they are fenced in: what their files must say, and what they must not."""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("Dockerfile*"))
SERVICES = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
SECRET = re.compile(r"PASSW|TOKEN|SECRET|CREDENTIAL|API_?KEY|PRIVATE", re.IGNORECASE)
HOST_SHARED = ("network_mode", "pid", "ipc", "userns_mode", "devices", "cap_add", "privileged", "group_add")


def instructions(path: Path) -> list[tuple[str, str]]:
    """Instruction and argument, continued lines joined, comments left out."""
    kept = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(kept).replace("\\\n", " ")
    return [(line.split(maxsplit=1)[0].upper(), line.split(maxsplit=1)[1]) for line in joined.splitlines()]


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.name)
def dockerfile(request):
    return instructions(request.param)


def arguments(dockerfile, name):
    return [argument for instruction, argument in dockerfile if instruction == name]


def last_stage(dockerfile):
    begins = max(index for index, (name, _) in enumerate(dockerfile) if name == "FROM")
    return dockerfile[begins:]


def test_the_last_word_on_the_user_is_a_number_that_is_not_root(dockerfile):
    *_, user = arguments(last_stage(dockerfile), "USER")
    uid, gid = map(int, user.split(":"))  # by number, so that Kubernetes' runAsNonRoot can see it
    assert uid > 0
    assert gid > 0


def test_what_runs_as_the_user_is_not_the_user_s_to_change(dockerfile):
    copied = [argument.split() for argument in arguments(last_stage(dockerfile), "COPY")]
    (program,) = [words for words in copied if words[-1] == "/opt/auricle"]
    assert not any(word.startswith(("--chown", "--chmod")) for word in program)


def test_every_package_is_installed_by_digest_but_our_own(dockerfile):
    commands = [command.strip() for run in arguments(dockerfile, "RUN") for command in run.split("&&")]
    installs = [command for command in commands if "pip install" in command]
    own = [command for command in installs if command.endswith(" .")]
    assert [command.split("pip install ")[1] for command in own] == ["--no-deps --no-build-isolation ."]
    others = [command for command in installs if command not in own]
    assert others
    for command in others:
        assert "--require-hashes" in command, command
        assert "--only-binary=:all:" in command, command  # a source package runs code of its own to be built


def test_nothing_is_fetched_in_ways_that_nobody_checks(dockerfile):
    assert arguments(dockerfile, "ADD") == []
    assert not re.search(r"\b(curl|wget|git clone)\b", " ".join(arguments(dockerfile, "RUN")))
    assert not any(":latest" in argument for _, argument in dockerfile)


def test_no_secret_stays_in_an_image(dockerfile):
    for name in ("ARG", "ENV"):
        for argument in arguments(dockerfile, name):
            assert not SECRET.search(argument), argument
    for run in arguments(dockerfile, "RUN"):  # a registry's settings are there for one command
        assert "pip.conf" not in run.replace("--mount=type=secret,id=pip.conf,target=/etc/pip.conf", ""), run


def test_an_image_ends_well_and_says_how_it_is(dockerfile):
    stage = last_stage(dockerfile)
    (entrypoint,) = arguments(stage, "ENTRYPOINT")
    assert json.loads(entrypoint)[0] == "/usr/bin/tini"  # reaps processes that others have left, hands signals on
    (check,) = arguments(stage, "HEALTHCHECK")
    assert "/readyz" in check
    assert re.search(r"--timeout=\d+s", check)
    assert arguments(stage, "STOPSIGNAL") == ["SIGTERM"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_shares_what_is_the_host_s(name):
    service = SERVICES[name]
    assert [key for key in HOST_SHARED if key in service] == []
    for volume in service.get("volumes", ()):
        source, _, rest = volume.partition(":")
        assert not source.startswith("/"), volume  # Docker's socket above all
        assert not source.startswith(".") or rest.endswith(":ro"), volume
    for entry in service.get("tmpfs", ()):
        assert entry.startswith("/"), entry


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "build" in service])
def test_the_service_s_own_containers_cannot_fill_the_host(name):
    service = SERVICES[name]
    assert service["memswap_limit"] == service["mem_limit"]  # or it may swap as much again
    assert [entry for entry in service["tmpfs"] if "size=" not in entry] == []
    assert service["logging"] == {"driver": "local"}  # which rotates


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_written_in_compose(name):
    environment = SERVICES[name].get("environment") or {}
    # A default for a development cluster would be everybody's password.
    written = {key: value for key, value in environment.items() if SECRET.search(key) and isinstance(value, str)}
    assert {
        key: value for key, value in written.items() if value.lower() not in {"true", "false"} and "${" not in value
    } == {}
