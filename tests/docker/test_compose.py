"""The compose files: valid, pinned, fenced, and in step with the service's settings."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from server.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker" / "compose.yaml"
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]
OURS = ("auricle", "auricle-gpu")


@pytest.mark.parametrize("path", [ROOT / "compose.yaml", COMPOSE], ids=["compose.yaml", "docker/compose.yaml"])
def test_compose_files_follow_the_specification(path):
    if importlib.util.find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema, which carries the Compose specification's schema, is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_fenced_in(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    tag = service["image"].partition(":")[2]
    assert re.match(r"v?\d+\.\d+(\.\d+|-\w+)", tag), f"{service['image']} is not pinned"


def test_what_is_mounted_is_there():
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (COMPOSE.parent / source).is_dir(), source


def test_a_plain_up_starts_the_service_alone():
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["auricle"]
    assert {profile for service in SERVICES.values() for profile in service.get("profiles", ())} == {
        "cluster",
        "gpu",
        "observability",
    }


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_passed_on_but_those_that_the_image_decides(name):
    decided = {"host", "port", "spool_dir", "state_dir"}
    wanted = {f"AURICLE_{field.upper()}" for field in Settings.model_fields if field not in decided}
    assert SERVICES[name]["environment"] == dict.fromkeys(wanted)


def test_the_cluster_is_two_apis_and_two_workers_that_share_database_and_recordings():
    hosts = {name: service for name, service in SERVICES.items() if name.startswith(("api-", "worker-"))}
    assert {name: service["command"] for name, service in hosts.items()} == {
        "api-1": ["auricle-serve", "api"],
        "api-2": ["auricle-serve", "api"],
        "worker-1": ["auricle-serve", "worker"],
        "worker-2": ["auricle-serve", "worker"],
    }
    places = {"AURICLE_DATABASE_URL", "AURICLE_MEDIA_URL", "AURICLE_STATE_DIR"}
    for service in hosts.values():
        environment = service["environment"]
        assert environment.keys() == SERVICES["auricle"]["environment"].keys() | {"AURICLE_STATE_DIR"}
        assert {name for name, value in environment.items() if value is not None} == places
        folder = environment["AURICLE_MEDIA_URL"].removeprefix("file://")
        assert f"media:{folder}" in service["volumes"]
        for name in ("Dockerfile", "Dockerfile.cuda"):  # a volume has the owner of what the image has in its place
            assert f" {folder}" in (COMPOSE.parent / name).read_text()
        assert "state:/var/lib/auricle/state" not in service["volumes"]
        given = "${POSTGRES_PASSWORD:-auricle}"
        assert environment["AURICLE_DATABASE_URL"] == f"postgresql://auricle:{given}@postgres/auricle"
        assert SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"] == given
    assert "ports" not in SERVICES["postgres"]
    [scraped] = yaml.safe_load((COMPOSE.parent / "prometheus" / "cluster.yml").read_text())["scrape_configs"]
    assert scraped["static_configs"] == [{"targets": [f"{name}:8000" for name in sorted(hosts)]}]
