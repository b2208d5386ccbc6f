"""What clients do, once each, against a running service: answer, events, job, live stream, refusal.

In: its address, and a recording with the words that are said in it. Out: a line for each, and exit status 1 where one
is wrong. ``python docker/checks/exercise.py http://localhost:8000 clip.flac "Ask not"``
"""

import argparse
import json
import ssl
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from websockets.sync.client import connect

from asr.audio import load_audio

PATIENCE_S = 300.0


class Service:
    """A running service and a recording to send to it."""

    def __init__(self, url: str, clip: Path, certificate: Path | None = None) -> None:
        self.url = url
        self.clip = clip
        self._ssl = ssl.create_default_context(cafile=certificate) if certificate else None
        self.client = httpx.Client(base_url=url, timeout=PATIENCE_S, verify=self._ssl or True)

    def post(self, route: str, **fields: str) -> httpx.Response:
        """Send the recording with these fields; anything but success is an error."""
        with self.clip.open("rb") as file:
            return self.client.post(route, files={"file": file}, data=fields).raise_for_status()

    def transcribe(self) -> str:
        """POST /transcribe."""
        text: str = self.post("/transcribe").json()["text"]
        return text

    def events(self) -> str:
        """POST /transcribe with stream=true: the text of its server-sent events."""
        with (
            self.clip.open("rb") as file,
            self.client.stream("POST", "/transcribe", files={"file": file}, data={"stream": "true"}) as answer,
        ):
            answer.raise_for_status()
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = list(answer.iter_lines())
        assert "event: done" in lines, lines
        segments = (data for name, data in pairwise(lines) if name == "event: segment")
        return "".join(str(json.loads(data.removeprefix("data: "))["text"]) for data in segments)

    def job(self) -> str:
        """POST /jobs, its events until the end, then its result."""
        job_id = self.post("/jobs").json()["id"]
        with self.client.stream("GET", f"/jobs/{job_id}/events") as answer:
            kinds = {line for line in answer.iter_lines() if line.startswith("event: ")}
        assert "event: done" in kinds, kinds
        text: str = self.client.get(f"/jobs/{job_id}/result").raise_for_status().json()["text"]
        return text

    def live(self) -> str:
        """WS /stream: the finals."""
        samples = load_audio(self.clip).samples
        sound = (samples * 32767).astype("<i2").tobytes()
        parts = urlsplit(self.url)
        address = f"{parts.scheme.replace('http', 'ws')}://{parts.netloc}/stream"
        with connect(address, ssl=self._ssl) as socket:
            for start in range(0, len(sound), 32_000):
                socket.send(sound[start : start + 32_000])
            socket.send('{"type": "stop"}')
            events = [json.loads(message) for message in socket]
        assert events[-1]["type"] == "done", events[-1]
        return "".join(event["text"] for event in events if event["type"] == "final")

    def refusal(self) -> str:
        """What is no recording is refused, in the service's own words."""
        answer = self.client.post("/transcribe", files={"file": b"this is not sound"})
        assert answer.status_code == 415, answer.text
        return str(answer.json()["error"]["code"])


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("clip", type=Path)
    parser.add_argument("words", help="what is said in it")
    parser.add_argument("--certificate", type=Path, help="of the service, where it is not a public one")
    given = parser.parse_args()
    service = Service(given.url, given.clip, given.certificate)
    wrong = False
    checks: tuple[Callable[[], str], ...] = (service.transcribe, service.events, service.job, service.live)
    for check in checks:
        started = time.monotonic()
        text = check()
        is_right = given.words.lower() in text.lower()
        wrong |= not is_right
        print(
            f"{'ok' if is_right else 'WRONG':5} {check.__name__:10} {time.monotonic() - started:6.2f} s  {text.strip()}"
        )
    print(f"ok    refusal    {service.refusal()}")
    sys.exit(wrong)


if __name__ == "__main__":
    main()
