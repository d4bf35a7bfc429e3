"""One leader at a time, by a Lease, and never one that acts without it.

No clock is shared. A leader acts until `renew_deadline` after it *asked* for the renewal that was
granted last; the others wait for `duration`, which is longer, after they *saw* the Lease change
last. So clocks may differ in what they show, and to some degree in how fast they go.

What no lease can prevent: a write that left before the deadline and arrives after it. Therefore
every write of the leader is guarded by what it was decided upon (resourceVersion, `test`, server-
side apply), and the elector of client-go, which this follows, says the same of itself.
"""

import asyncio
import math
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog
from msgspec import Struct

from moorline_operator.errors import (
    AlreadyExists,
    Conflict,
    KubeError,
    LeadershipLost,
    NotFound,
)
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import LEASES, Kind
from moorline_operator.settings import ElectionSettings, seconds

_NEVER: Final = -math.inf

_log = structlog.get_logger()


class Api(Protocol):
    """What of the API server is needed here."""

    async def get(self, kind: Kind, namespace: str, name: str) -> KubeObject: ...

    async def create(self, kind: Kind, obj: KubeObject) -> KubeObject: ...

    async def replace(self, kind: Kind, obj: KubeObject) -> KubeObject: ...


class Terms(Struct, frozen=True, kw_only=True):
    """The Lease, and its times in seconds: `duration` > `renew_deadline` > `retry` > 0."""

    namespace: str
    lease: str
    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0

    @property
    def request(self) -> float:
        """How long one attempt may take: an answer that is lost leaves time for two more."""
        return self.renew_deadline / 3


def elapsed() -> float:
    """Seconds by a clock that goes on while the machine is suspended, where there is one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def terms(settings: ElectionSettings, namespace: str) -> Terms:
    """What the settings say, for the Lease in the operator's own namespace."""
    return Terms(
        namespace=namespace,
        lease=settings.lease,
        duration=seconds(settings.duration),
        renew_deadline=seconds(settings.renew_deadline),
        retry=seconds(settings.retry),
    )


def new_identity(pod: str) -> str:
    """A name for this process: a container that is restarted is somebody else."""
    return f"{pod}_{uuid.uuid4().hex[:8]}"


class Elector:
    """Waits for the Lease, then lets the payload run while it is held. Good for one `run`.

    `identity` is this process's own. `now` is a monotonic clock, in seconds.
    """

    def __init__(
        self, api: Api, terms: Terms, identity: str, now: Callable[[], float] = elapsed
    ) -> None:
        self._api = api
        self._terms = terms
        self._identity = identity
        self._now = now
        self._acts_until = _NEVER
        self._seen_version = ""
        self._seen_at = _NEVER
        self._seen_duration = 0.0

    def is_leading(self) -> bool:
        return self._now() < self._acts_until

    def guard(self) -> None:
        """To be called before each write: a process that was frozen finds out here.

        Raises:
            LeadershipLost: the Lease was not renewed in time, or never held.
        """
        if not self.is_leading():
            raise LeadershipLost(f"{self._identity} does not hold the Lease {self._terms.lease}")

    async def run(self, payload: Callable[[], Awaitable[None]]) -> None:
        """Lead once. When it ends, however it ends, the process has to end.

        Cancelled, or when the payload ends by itself, the Lease is given back as soon as the
        payload has ended; until then it is renewed.

        Raises:
            LeadershipLost: the Lease could not be renewed in time. The payload was cancelled, and
                given half the time until another may lead.
            Exception: what the payload raised.
        """
        try:
            await self._acquire()
        except asyncio.CancelledError:
            # The answer that was not waited for may have been a yes.
            await self._release()
            raise
        _log.info("election: leading", identity=self._identity)
        working = asyncio.ensure_future(payload())
        renewing = asyncio.create_task(self._renew_for_ever())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._stop(working, renewing)
        if not renewing.cancelled():
            renewing.result()
        await working

    async def _stop(self, working: "asyncio.Future[None]", renewing: "asyncio.Task[None]") -> None:
        """End the payload while the Lease is ours, or at least nobody else's; then give it back."""
        working.cancel()
        await asyncio.wait(
            {working, renewing},
            timeout=self._terms.renew_deadline,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not working.done():
            spare = self._terms.duration - self._terms.renew_deadline
            await asyncio.wait({working}, timeout=spare / 2)
        renewing.cancel()
        await asyncio.wait({renewing})
        was_leading, self._acts_until = self.is_leading(), _NEVER
        if not working.done():
            _log.error("election: what the leader does cannot be stopped", identity=self._identity)
        elif was_leading:
            await self._release()

    async def _acquire(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._terms.request):
                    if await self._try_to_acquire():
                        return
            except (KubeError, TimeoutError) as error:
                _log.warning("election: no answer", reason=str(error) or "too late")
            await asyncio.sleep(self._terms.retry * random.uniform(0.8, 1.2))  # noqa: S311

    async def _try_to_acquire(self) -> bool:
        asked_at = self._now()
        try:
            lease = await self._api.get(LEASES, self._terms.namespace, self._terms.lease)
        except NotFound:
            if self._seen_version:
                # Somebody deleted it, and who had it may act on: that is a change like others.
                self._seen_version, self._seen_at = "", self._now()
            if asked_at < self._seen_at + self._seen_duration:
                return False
            return await self._create()
        self._observe(lease)
        holder = _holder(lease)
        if holder not in ("", self._identity):
            if asked_at < self._seen_at + self._seen_duration:
                return False
            _log.info("election: the leader is silent", leader=holder)
        with suppress(Conflict, NotFound):
            await self._replace(lease)
            return True
        return False

    def _observe(self, lease: KubeObject) -> None:
        """Time begins anew with every change, whatever it is: rather wait than act too early."""
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen_version:
            self._seen_version, self._seen_at = version, self._now()
            theirs: int = lease.get("spec", {}).get("leaseDurationSeconds") or 0
            self._seen_duration = max(theirs, self._terms.duration)

    async def _renew_for_ever(self) -> None:
        """Renew until that fails for too long.

        Raises:
            LeadershipLost: see there.
        """
        pause = self._terms.retry
        while True:
            left = self._acts_until - self._now()
            await asyncio.sleep(max(0, min(pause, left)))
            self.guard()
            left = self._acts_until - self._now()
            try:
                async with asyncio.timeout(min(self._terms.request, left)):
                    await self._renew()
                pause = self._terms.retry
            except (KubeError, TimeoutError) as error:
                _log.warning("election: not renewed", reason=str(error) or "no answer in time")
                pause = self._terms.retry / 4
            self.guard()

    async def _renew(self) -> None:
        try:
            lease = await self._api.get(LEASES, self._terms.namespace, self._terms.lease)
        except NotFound:
            is_ours = await self._create()
        else:
            is_ours = _holder(lease) == self._identity
            if is_ours:
                await self._replace(lease)
        if not is_ours:
            self._acts_until = _NEVER
            raise LeadershipLost("another replica has the Lease")

    async def _create(self) -> bool:
        asked_at = self._now()
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.name,
            "metadata": {"namespace": self._terms.namespace, "name": self._terms.lease},
            "spec": self._spec({}),
        }
        with suppress(AlreadyExists):
            await self._api.create(LEASES, body)
            self._acts_until = asked_at + self._terms.renew_deadline
            return True
        return False

    async def _replace(self, lease: KubeObject) -> None:
        asked_at = self._now()
        await self._api.replace(LEASES, {**lease, "spec": self._spec(lease.get("spec", {}))})
        self._acts_until = asked_at + self._terms.renew_deadline

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(self._terms.request):
                lease = await self._api.get(LEASES, self._terms.namespace, self._terms.lease)
                if _holder(lease) == self._identity:
                    spec = {**lease["spec"], "holderIdentity": ""}
                    await self._api.replace(LEASES, {**lease, "spec": spec})
        except (KubeError, TimeoutError) as error:
            _log.warning("election: not released", reason=str(error) or "no answer in time")

    def _spec(self, before: KubeObject) -> KubeObject:
        """Held by this process; the times are for people, nobody decides by them."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        is_ours = before.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": math.ceil(self._terms.duration),
            "acquireTime": before.get("acquireTime", now) if is_ours else now,
            "renewTime": now,
            "leaseTransitions": before.get("leaseTransitions", 0) + (not is_ours),
        }


def _holder(lease: KubeObject) -> str:
    holder: str = lease.get("spec", {}).get("holderIdentity") or ""
    return holder
