"""A service over the stub recognizer, to be killed: ``python chaos_service.py PORT [ROLE]``; AURICLE_* say the rest."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]  # worker processes inherit it


def main(port: int, role_name: str) -> None:
    # Imported here: worker processes import this module too, and are to be quick.
    from service_fakes import FakeDecoder, load_stub

    from server.app import create_app
    from server.jobs import runner, storage, webhooks
    from server.models import ModelPools
    from server.pool_types import QueueLimits
    from server.roles import Role
    from server.serving import make_server
    from server.settings import Settings
    from server.worker_pool import WorkerPool

    # A service that is killed every second must not wait ten of them for its own leases.
    runner.LEASE_S, runner.POLL_S, runner.WRITE_AFTER_S = 0.6, 0.1, 0.02
    webhooks.LEASE_S, webhooks.POLL_S, webhooks.FIRST_PAUSE_S = 0.6, 0.1, 0.1
    settings = Settings()
    storage.GRACE_S = 20.0 if settings.database_url else 0.5  # a database that is away keeps jobs waiting
    workers = ModelPools(("stub",), lambda _: WorkerPool(load_stub, limits=QueueLimits()), idle_timeout_s=0)
    app = create_app(settings, workers, FakeDecoder(), Role(role_name))
    make_server(app, host=settings.host, port=port).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "all")
