"""How the application runs under uvicorn. In: an application and where it listens. Out: a server that ends in order.

Knows nothing of settings and of the command line.
"""

from socket import socket

import uvicorn
from fastapi import FastAPI

from server.connections import HttpConnection
from server.jobs.service import JobService

__all__ = ["make_server"]

WS_MAX_BYTES = 2**20  # of a message; the routes refuse less, and say why
SHUTDOWN_PATIENCE_S = 20  # for requests in flight; orchestrators wait for 30, and the workers need a few of their own


def make_server(app: FastAPI, *, host: str, port: int) -> uvicorn.Server:
    """A server for the application, to be ``run``; SIGTERM ends it when what is in flight is answered."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=HttpConnection,
        log_config=None,
        ws_max_size=WS_MAX_BYTES,
        ws_per_message_deflate=False,  # sound does not shrink, and what does may unpack to anything
        access_log=False,  # the application logs each request, with its id
        timeout_graceful_shutdown=SHUTDOWN_PATIENCE_S,
    )
    return _Server(config, app)


class _Server(uvicorn.Server):
    """Lets those go who follow jobs before it waits for requests: jobs outlive the service, and so would they."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Answer what is in flight, and end."""
        jobs: JobService = self._app.state.jobs
        jobs.bells.close()
        await super().shutdown(sockets)
