"""Has the store make what it needs: tables, folders, indexes.

A store that lacks its tables answers nothing, and one that lacks an index answers slowly. So it is
seen to before anybody is served, but nobody waits for an index of millions of sessions.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from moorline_sidecar.errors import ConfigurationError, StoreError
from moorline_sidecar.stores.base import SessionStore

PATIENCE_SECONDS: Final = 2.0
"""For what must be made before anybody is served."""

AGAIN_SECONDS: Final = 5.0
"""Before it is tried again."""

log = structlog.get_logger(__name__)


class Preparing:
    """Tries until it has worked once."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._is_done = False
        self._try: asyncio.Task[None] | None = None

    async def hasten(self) -> None:
        """Try now, unless it has worked; wait for that try, but not for long."""
        await self._try_unless_done(PATIENCE_SECONDS)

    async def keep_trying(self) -> None:
        """Go on with a try that is under way, and try again until it has worked."""
        try:
            if self._try is None or not self._try.done():
                await self._try_unless_done()
            while not self._is_done:
                await asyncio.sleep(AGAIN_SECONDS)
                await self._try_unless_done()
        finally:
            if self._try is not None:
                self._try.cancel()
                await asyncio.wait({self._try})

    async def _try_unless_done(self, seconds: float | None = None) -> None:
        """Wait so long for the try that is under way, or a new one: there is never more than one.

        What has worked is not tried again, by whomever it was done meanwhile.
        """
        if self._is_done:
            return
        if self._try is None or self._try.done():
            self._try = asyncio.create_task(self._prepare())
        await asyncio.wait({self._try}, timeout=seconds)

    async def _prepare(self) -> None:
        try:
            await self._store.prepare()
        except (StoreError, ConfigurationError) as error:
            log.warning("the tables or indexes could not be made yet", why=str(error))
        else:
            self._is_done = True
