"""Tells whoever wants to know that a job has ended. In: deliveries that are due. Out: signed requests.

Standard Webhooks (https://www.standardwebhooks.com): the headers ``webhook-id``, ``webhook-timestamp`` and
``webhook-signature``. A delivery is tried until it arrives, with growing pauses that the store remembers; it arrives at
least once, always under the same id. Knows nothing of queues, and of jobs only their state, which holds no text.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Collection

import httpx

from server.errors import ApiError
from server.jobs.answers import job_state
from server.jobs.store import Delivery, Job, JobStore
from server.outbound import Destination, new_client, opened, parsed_url, resolve_public
from server.settings import WEBHOOK_SECRET_PREFIX
from server.waiting import is_set_within

__all__ = ["WebhookSender", "signature", "webhook_destination"]

logger = logging.getLogger("auricle.webhooks")

MAX_AT_ONCE = 8  # a receiver that does not answer must not keep the others waiting
TIMEOUT_S = 10.0  # of each step of a request
LEASE_S = 60.0  # longer than any attempt
POLL_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 6 * 3600.0
MAX_ATTEMPTS = 10  # over about 15 hours
GONE = 410  # the receiver wants no more (Standard Webhooks)


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """``v1,`` and the HMAC-SHA256 of id, timestamp and body in base64; ``whsec_`` marks a secret that is base64."""
    if secret.startswith(WEBHOOK_SECRET_PREFIX):
        key = base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX))
    else:
        key = secret.encode()
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


async def webhook_destination(url: str, allowed_hosts: Collection[str]) -> Destination:
    """Where a webhook leads; the address of an allowed host may be private. Raises ApiError (400, 403)."""
    parsed = parsed_url(url, param="webhook_url")
    may_be_private = parsed.host.lower() in allowed_hosts
    return await resolve_public(parsed, param="webhook_url", may_be_private=may_be_private)


class WebhookSender:
    """Sends what is due, signed with ``secret``; without one nothing is sent."""

    def __init__(self, store: JobStore, secret: str | None, allowed_hosts: Collection[str]) -> None:
        self._store = store
        self._secret = secret
        self._allowed_hosts = allowed_hosts
        self._woken = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send."""
        if self._secret is not None:
            self._loop = asyncio.create_task(self._send_for_ever(self._secret))

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        tasks = [*self._sending, *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """There may be something to send."""
        self._woken.set()

    async def _send_for_ever(self, secret: str) -> None:
        async with await asyncio.to_thread(new_client, TIMEOUT_S) as client:  # reads certificates
            await self._send_with(client, secret)

    async def _send_with(self, client: httpx.AsyncClient, secret: str) -> None:
        while True:
            self._woken.clear()
            try:
                while len(self._sending) < MAX_AT_ONCE and (delivery := await self._store.claim_delivery(LEASE_S)):
                    task = asyncio.create_task(self._deliver(client, delivery, secret))
                    self._sending.add(task)
                    task.add_done_callback(self._sending.discard)
            except ApiError:
                logger.debug("no delivery can be claimed; trying again")  # the store has logged why
            await is_set_within(self._woken, POLL_S)

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery, secret: str) -> None:
        try:
            outcome = await self._attempt(client, delivery, secret)
        except asyncio.CancelledError:
            await self._settle(delivery, FIRST_PAUSE_S)  # whether it has arrived nobody knows
            raise
        has_arrived = outcome.isdecimal() and 200 <= int(outcome) < 300
        is_over = has_arrived or outcome == str(GONE) or delivery.n_attempts + 1 >= MAX_ATTEMPTS
        pause_s = None if is_over else min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 4**delivery.n_attempts)
        what = "arrived" if has_arrived else "given up" if is_over else f"again in {pause_s:.0f} s"
        logger.info("webhook %s: %s, %s", delivery.id, outcome, what)
        await self._settle(delivery, pause_s)

    async def _settle(self, delivery: Delivery, pause_s: float | None) -> None:
        try:
            await self._store.settle_delivery(delivery, pause_s)
        except ApiError:
            logger.warning("webhook %s: its outcome cannot be stored; it is sent again", delivery.id)

    async def _attempt(self, client: httpx.AsyncClient, delivery: Delivery, secret: str) -> str:
        """The status of the answer, or why there was none."""
        body, timestamp = _body(delivery.job), int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Auricle",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secret, delivery.id, timestamp, body),
        }
        try:
            destination = await webhook_destination(delivery.url, self._allowed_hosts)
            async with opened(client, "POST", destination, headers=headers, content=body) as answer:
                return str(answer.status_code)
        except httpx.HTTPError as error:
            return type(error).__name__
        except ApiError as error:
            return error.message


def _body(job: Job) -> bytes:
    state = job_state(job).model_dump(mode="json")
    return json.dumps({"type": f"job.{job.status}", "timestamp": state["ended_at"], "data": state}).encode()
