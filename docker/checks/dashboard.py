"""Every query of the dashboard against a real Prometheus that scrapes a loaded service.

In: a recording with the words that are said in it; ``prometheus`` on the path. Out: what each query answers, and exit
status 1 where one answers nothing. ``python docker/checks/dashboard.py clip.flac "Ask not"``
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from exercise import Service
from queries import dashboard_queries

SERVICE, PROMETHEUS = "127.0.0.1:8010", "127.0.0.1:9091"
PATIENCE_S = 180.0
CLIENTS = 4
WINDOW = "30s"  # $__rate_interval at a scrape a second
CONFIG = f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: auricle
    static_configs: [{{targets: ["{SERVICE}"]}}]
"""


@contextmanager
def running(command: list[str], probe: str, log: Path, **environment: str) -> Iterator[None]:
    """A process, ready when ``probe`` answers 200, until the context ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | environment)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not _answers(probe):
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{command[0]} does not get ready:\n{log.read_text()[-2000:]}")
                time.sleep(0.5)
            yield
        finally:
            process.terminate()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def load(service: Service, until: threading.Event) -> None:
    """Do what clients do, over and over, until told to stop."""
    steps: tuple[Callable[[], str], ...] = (
        service.transcribe,
        service.events,
        service.live,
        service.job,
        service.refusal,
    )
    while not until.is_set():
        for step in steps:
            step()


def values(expression: str) -> list[float]:
    """What Prometheus answers now, a number for each series that has one."""
    answer = httpx.get(f"http://{PROMETHEUS}/api/v1/query", params={"query": expression}).raise_for_status().json()
    found = [float(series["value"][1]) for series in answer["data"]["result"]]
    return [value for value in found if not math.isnan(value)]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("words", help="what is said in it")
    parser.add_argument("--seconds", type=float, default=45, help="how long the service is under load")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "prometheus.yml").write_text(CONFIG)
        serve = [sys.executable, "-m", "server.cli", "--port", SERVICE.split(":")[1]]
        state = str(folder / "state")
        stack.enter_context(running(serve, f"http://{SERVICE}/readyz", folder / "service.log", AURICLE_STATE_DIR=state))
        scrape = [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={PROMETHEUS}",
        ]
        stack.enter_context(running(scrape, f"http://{PROMETHEUS}/-/ready", folder / "prometheus.log"))
        assert given.words.lower() in Service(f"http://{SERVICE}", given.clip).transcribe().lower()
        enough = threading.Event()
        with ThreadPoolExecutor(CLIENTS) as clients:
            loads = [clients.submit(load, Service(f"http://{SERVICE}", given.clip), enough) for _ in range(CLIENTS)]
            time.sleep(given.seconds)
            answers = [(panel, expression, values(expression)) for panel, expression in dashboard_queries(WINDOW)]
            enough.set()
        for client in loads:
            client.result()
    empty = 0
    for panel, expression, found in answers:
        empty += not found
        shown = ", ".join(f"{value:.4g}" for value in found[:6]) or "EMPTY: " + expression
        print(f"{panel:45} {len(found):3} series  {shown}")
    print(f"{len(answers)} queries, {empty} without an answer")
    sys.exit(empty > 0)


if __name__ == "__main__":
    main()
