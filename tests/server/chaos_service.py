"""A whole service over the stub recognizer, to be killed: ``python chaos_service.py PORT``; AURICLE_* say the rest."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]  # worker processes inherit it


def main(port: int) -> None:
    # Imported here: worker processes import this module too, and are to be quick.
    from service_fakes import FakeDecoder, load_stub

    from server.app import create_app
    from server.jobs import runner, storage, webhooks
    from server.models import ModelPools
    from server.pool_types import QueueLimits
    from server.serving import make_server
    from server.settings import Settings
    from server.worker_pool import WorkerPool

    # A service that is killed every second must not wait ten of them for its own leases.
    runner.LEASE_S, runner.POLL_S, runner.WRITE_AFTER_S = 0.6, 0.1, 0.02
    webhooks.LEASE_S, webhooks.POLL_S, webhooks.FIRST_PAUSE_S = 0.6, 0.1, 0.1
    storage.GRACE_S = 0.5
    workers = ModelPools(("stub",), lambda _: WorkerPool(load_stub, limits=QueueLimits()), idle_timeout_s=0)
    app = create_app(Settings(), workers, FakeDecoder())
    make_server(app, host="127.0.0.1", port=port).run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
