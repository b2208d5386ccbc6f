"""The configuration of nginx, as far as it can be judged without a service behind it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from server.settings import Settings
from server.uploads import FORM_ALLOWANCE_BYTES

CONFIG = Path(__file__).parents[2] / "docker" / "nginx" / "auricle.conf"
CLUSTER = CONFIG.parent / "cluster" / "default.conf"
SETTINGS = Settings.model_construct()


def seconds(config: Path, directive: str) -> float:
    (value,) = re.findall(rf"^\s*{directive} (\d+)s;", config.read_text(), re.MULTILINE)
    return float(value)


@pytest.mark.parametrize("config", [CONFIG, CLUSTER], ids=["auricle", "cluster"])
def test_limits_leave_the_last_word_to_the_service(config):
    (size,) = re.findall(r"client_max_body_size (\d+)m;", config.read_text())
    assert int(size) * 2**20 == SETTINGS.max_upload_bytes + FORM_ALLOWANCE_BYTES
    assert seconds(config, "proxy_read_timeout") > SETTINGS.request_timeout_s
    assert seconds(config, "client_body_timeout") > SETTINGS.upload_idle_timeout_s


@pytest.mark.parametrize("source", [CONFIG, CLUSTER], ids=["auricle", "cluster"])
def test_nginx_takes_it(source, tmp_path):
    nginx, openssl = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin"), shutil.which("openssl")
    if nginx is None or openssl is None:
        pytest.skip("nginx or openssl is not installed")
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    keys = ["-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem"]
    subprocess.run([*make, *keys], check=True, capture_output=True)
    config = re.sub(r"api-\d", "127.0.0.1", source.read_text())  # names that Docker knows
    config = config.replace("/etc/ssl/auricle", str(tmp_path)).replace("/var/log/nginx", str(tmp_path))
    (tmp_path / "auricle.conf").write_text(config)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
        f"http {{ client_body_temp_path {tmp_path}/body; include {tmp_path}/auricle.conf; }}\n"
    )
    done = subprocess.run([nginx, "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
