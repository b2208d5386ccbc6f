"""Several hosts share jobs: over a database that goes away and comes back, over cables that are pulled, over kills.

``CHAOS=full`` takes a thousand faults in the place of ten, ``CHAOS=0.1`` that share of a thousand.
"""

import random
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from chaos_record import IS_SHORT, Measurement, count, measuring
from cluster_hosts import Cluster, Host, Namespace, Reconnects, namespaces_work, until
from postgres_server import NO_POSTGRES, PostgresServer, postgres_programs, running_postgres
from tcp_proxy import TcpProxy

N_FAULTS = count(1000, 10)
N_WINDOWS = 5
RECONNECT_S = 10.0
WORDS = {
    "cut": "networks cut",
    "connection": "sessions ended",
    "stop": "workers stopped for a while",
    "kill": "workers killed",
    "restart": "crashes of the database",
}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that may be stopped: no other test uses it."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip(NO_POSTGRES)
    with running_postgres(programs) as server:
        yield server


@pytest.fixture
def cluster(server: PostgresServer, tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(server, tmp_path)
    yield cluster
    cluster.close()


def all_ready(cluster: Cluster) -> None:
    for host in cluster.hosts:
        until(host.is_ready, f"{host.role} on {host.address}")


def works(cluster: Cluster, owner_before: set[str]) -> bool:
    """Whether an owner that was not known before, or any, holds a job."""
    owners = {name for (name,) in cluster.ask("SELECT owner FROM auricle_jobs WHERE status = 'running'")}
    return bool(owners - owner_before)


def check_ends(row: Measurement, cluster: Cluster) -> None:
    ends = cluster.ends(N_WINDOWS)
    row.check(f"jobs with a 202 that were lost or are not whole, of {ends.jobs}", ends.lost, at_most=0)
    row.check("jobs that were doubled or ended twice", ends.doubled, at_most=0)


@pytest.mark.skipif(IS_SHORT, reason="half a minute: `make chaos` runs it; the other tests cut, kill and restart too")
def test_hosts_are_cut_off_and_killed_and_the_database_is_restarted(cluster: Cluster) -> None:
    if not namespaces_work():
        pytest.skip("network namespaces cannot be made: this needs root and iproute2")
    part = "cables pulled"
    with measuring("postgres", part=part, n=1, asked=1, unit="round, three hosts") as row, ExitStack() as stack:
        networks = [Namespace() for _ in range(3)]
        for network in networks:
            stack.callback(network.remove)
        stack.callback(cluster.close)
        api = cluster.add_host("api", namespace=networks[0])
        first, second = (cluster.add_host("worker", namespace=network) for network in networks[1:])
        all_ready(cluster)
        cluster.watch_ends()

        def connected(network: Namespace) -> bool:
            query = "SELECT count(*) FROM pg_stat_activity WHERE host(client_addr) = %s"
            return cluster.ask(query, network.there) != [(0,)]

        for number in range(8):
            assert cluster.submit(api, f"windows {N_WINDOWS} 0.2", f"before-{number}")
        until(lambda: works(cluster, set()), "the first job")

        networks[1].cut()
        until(lambda: not connected(networks[1]), "the database to give up the host that is cut off", 20)
        assert cluster.submit(api, f"windows {N_WINDOWS} 0.05", "while one is cut off")
        until(lambda: cluster.unfinished() == 0, "the other host to do all jobs")
        networks[1].heal()
        back_s = until(lambda: connected(networks[1]), "the host to come back")

        second.kill()
        for number in range(4):
            assert cluster.submit(api, f"windows {N_WINDOWS} 0.1", f"after-{number}")
        until(lambda: works(cluster, set()), "the host that came back to work")

        cluster.server.stop("immediate")
        assert not cluster.submit(api, f"windows {N_WINDOWS} 0.05", "while the database is away")
        cluster.server.start()
        answered_s = until(lambda: cluster.submit(api, f"windows {N_WINDOWS} 0.05", "the database is back"), "a 202")
        assert first.is_ready()
        row.check("until a host whose cable was pulled is connected again", back_s, at_most=RECONNECT_S, unit="s")
        row.check("until a job is taken, once the database is back", answered_s, at_most=RECONNECT_S, unit="s")
        check_ends(row, cluster)


def test_a_worker_is_killed_and_another_goes_on_where_it_was(cluster: Cluster) -> None:
    api, first = cluster.add_host("api"), cluster.add_host("worker")
    all_ready(cluster)
    cluster.watch_ends()
    assert cluster.submit(api, f"windows {N_WINDOWS} 0.4", "k")
    until(lambda: cluster.ask("SELECT count(*) >= 2 FROM auricle_windows") == [(True,)], "two windows")
    first.kill()
    cluster.add_host("worker")
    cluster.check(N_WINDOWS)
    assert cluster.ask("SELECT attempt, resumed_s > 0 FROM auricle_jobs") == [(2, True)]


class Faults:
    """What may go wrong with two workers, each behind a proxy of its own, and their database."""

    def __init__(self, cluster: Cluster, workers: list[tuple[Host, TcpProxy]], chance: random.Random) -> None:
        self._cluster, self._workers, self._chance = cluster, workers, chance
        self.reconnects = Reconnects(cluster)
        self.counts = {"cut": 0, "connection": 0, "stop": 0, "kill": 0, "restart": 0}

    def one(self) -> None:
        kind = self._chance.choices(list(self.counts), weights=(30, 40, 20, 8, 2))[0]
        self.counts[kind] += 1
        host, proxy = self._chance.choice(self._workers)
        getattr(self, f"_{kind}")(host, proxy)

    def _cut(self, host: Host, proxy: TcpProxy) -> None:
        self.reconnects.closes(host)
        proxy.cut()
        time.sleep(self._chance.uniform(0.0, 1.5))
        self.reconnects.opens(host, lost=True)
        proxy.heal()

    def _connection(self, *_: object) -> None:
        """One session ends, wherever it is in its transaction."""
        self._cluster.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'auricle'"
            " ORDER BY random() LIMIT 1"
        )

    def _stop(self, host: Host, _: TcpProxy) -> None:
        """For longer than a lease: it comes back believing that its jobs are its own."""
        self.reconnects.closes(host)
        host.signal(signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.2, 1.5))
        host.signal(signal.SIGCONT)
        self.reconnects.opens(host, lost=False)

    def _kill(self, host: Host, _: TcpProxy) -> None:
        host.kill()
        self.reconnects.dies(host)
        host.start()

    def _restart(self, *_: object) -> None:
        self.reconnects.closes(*self._cluster.hosts)
        self._cluster.server.stop("immediate")
        self._cluster.server.start()
        self.reconnects.opens(*self._cluster.hosts, lost=True)


def test_nothing_is_lost_or_doubled_over_random_faults(cluster: Cluster) -> None:
    chance, is_over = random.Random(5), threading.Event()  # noqa: S311  (no secret)
    with measuring("postgres", n=N_FAULTS, asked=1000, unit="faults") as row, ExitStack() as stack:
        proxies = [TcpProxy("127.0.0.1", cluster.server.port) for _ in range(2)]
        for proxy in proxies:
            stack.callback(proxy.close)
        stack.callback(cluster.close)
        api = cluster.add_host("api")
        workers = [(cluster.add_host("worker", port=proxy.port), proxy) for proxy in proxies]
        all_ready(cluster)
        cluster.watch_ends()
        faults = Faults(cluster, workers, chance)
        stack.enter_context(faults.reconnects.watching())

        def keep_sending() -> None:
            while not is_over.is_set():
                key = uuid.uuid4().hex
                while not cluster.submit(api, f"windows {N_WINDOWS} 0.03", key):
                    time.sleep(0.2)  # a key that was sent is sent until it is answered
                is_over.wait(0.4)

        with ThreadPoolExecutor(1) as threads:
            sender = threads.submit(keep_sending)
            try:
                for number in range(N_FAULTS):
                    faults.one()
                    time.sleep(chance.uniform(0.0, 0.3))
                    row.progress(number + 1)
            finally:
                is_over.set()
            sender.result(120)
        check_ends(row, cluster)
        assert sum(faults.counts.values()) == N_FAULTS
        row.record.unit = f"faults: {', '.join(f'{n} {WORDS[kind]}' for kind, n in faults.counts.items())}"
        seconds = faults.reconnects.seconds()
        slowest = max(seconds, default=0.0)
        row.check(
            f"until a host is connected again, slowest of {len(seconds)}",
            slowest,
            at_most=RECONNECT_S,
            unit="s",
            slack=2,
        )


def test_a_database_that_was_cut_off_is_found_again(cluster: Cluster) -> None:
    proxy = TcpProxy("127.0.0.1", cluster.server.port)
    with ExitStack() as stack:
        stack.callback(proxy.close)
        stack.callback(cluster.close)
        api = cluster.add_host("all", port=proxy.port)
        all_ready(cluster)
        cluster.watch_ends()
        assert cluster.submit(api, f"windows {N_WINDOWS} 0.3", "before")
        proxy.cut()
        assert not cluster.submit(api, f"windows {N_WINDOWS} 0.01", "while it is cut off")
        assert api.is_ready()  # whatever is no job goes on
        time.sleep(3)
        proxy.heal()
        took_s = until(lambda: cluster.submit(api, f"windows {N_WINDOWS} 0.01", "it is back"), "a 202")
        assert took_s < RECONNECT_S
        cluster.check(N_WINDOWS)
