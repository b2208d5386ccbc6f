"""The service on this machine's Ray, under load and after it: replicas come, answer, and go.

In: a recording with the words that are said in it; a model. Out: a line whenever the number of replicas changes, what
clients got, and exit status 1 where an answer is wrong or the number stays. ``make ray-check``.
"""

import argparse
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
from exercise import Service

from server.ray_serve import ServeArguments, service

PORT = 8021
PATIENCE_S = 600.0
N_CLIENTS = 6
LOAD_S = 60.0


class Clients:
    """So many at once, each asking again as soon as it is answered."""

    def __init__(self, clip: Path, words: str) -> None:
        self._sound, self._words, self._over = clip.read_bytes(), words.lower(), threading.Event()
        self.answers: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        """Until the time is over and the last one is answered."""
        threads = [threading.Thread(target=self._ask) for _ in range(N_CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self._over.set()
        for thread in threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(timeout=PATIENCE_S) as client:
            while not self._over.is_set():
                answer = client.post(f"http://127.0.0.1:{PORT}/transcribe", files={"file": ("clip", self._sound)})
                right = answer.status_code == 200 and self._words in answer.json()["text"].lower()
                self.answers["right" if right else f"{answer.status_code} {answer.text[:200]}"] += 1


class Watch(threading.Thread):
    """Looks at the number of replicas, and tells when it changes."""

    def __init__(self, began: float) -> None:
        super().__init__(daemon=True)
        self._began, self._over = began, threading.Event()
        self.seen: list[int] = []

    def run(self) -> None:
        """See Thread."""
        from ray import serve

        while not self._over.wait(0.5):
            states = serve.status().applications["auricle"].deployments["auricle"].replica_states
            running = sum(n for state, n in states.items() if state == "RUNNING")
            if not self.seen or running != self.seen[-1]:
                self.seen.append(running)
                print(f"{time.monotonic() - self._began:6.1f} s  {running} replicas", flush=True)

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("clip", type=Path)
    parser.add_argument("words", help="what is said in it")
    given = parser.parse_args()
    import ray
    from ray import serve

    began = time.monotonic()
    ray.init(include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    arguments = ServeArguments(
        model=given.model,
        num_cpus=1,
        max_replicas=2,
        target_ongoing_requests=2,
        upscale_delay_s=1,
        downscale_delay_s=5,
    )
    serve.run(service(arguments), name="auricle")
    print(f"{time.monotonic() - began:6.1f} s  up", flush=True)
    alone = Service(f"http://127.0.0.1:{PORT}", given.clip)
    for ask in (alone.transcribe, alone.events, alone.job, alone.live):
        text = ask()
        assert given.words.lower() in text.lower(), text
        print(f"{ask.__name__:10} {text.strip()}", flush=True)
    print(f"refusal    {alone.refusal()}", flush=True)
    print(f"{time.monotonic() - began:6.1f} s  {N_CLIENTS} clients for {LOAD_S:g} s", flush=True)
    watch, clients = Watch(began), Clients(given.clip, given.words)
    watch.start()
    clients.run(LOAD_S)
    print(f"{time.monotonic() - began:6.1f} s  answers: {dict(clients.answers)}", flush=True)
    until = time.monotonic() + PATIENCE_S
    while watch.seen[-1] != 1 and time.monotonic() < until:
        time.sleep(0.5)
    watch.end()
    serve.shutdown()
    if watch.seen[:1] + watch.seen[-1:] != [1, 1] or 2 not in watch.seen or set(clients.answers) != {"right"}:
        sys.exit(f"got {watch.seen} replicas and {dict(clients.answers)}, expected 1, 2, 1 and right answers alone")


if __name__ == "__main__":
    main()
