"""What a process of the service is there for. In: the command that started it. Out: which parts of it run."""

from enum import StrEnum

__all__ = ["Role"]


class Role(StrEnum):
    """One process does everything, or some face clients and others work on jobs."""

    ALL = "all"
    API = "api"
    """Takes requests, streams and jobs; works on requests and streams only."""
    WORKER = "worker"
    """Works on jobs only; its routes are for operators."""

    @property
    def works_on_jobs(self) -> bool:
        """Whether it claims jobs."""
        return self is not Role.API

    @property
    def serves_clients(self) -> bool:
        """Whether it has routes for them."""
        return self is not Role.WORKER
