"""Following the configuration file while the process runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from moorline_sidecar.config.reload import reloadable
from moorline_sidecar.config.settings import Configuration
from moorline_sidecar.config.source import ConfigurationSource
from moorline_sidecar.errors import ConfigurationError

CHECK_SECONDS: Final = 5.0
"""A kubelet takes up to a minute and a half to bring a change of a ConfigMap: little on top."""

log = structlog.get_logger(__name__)


class Watch:
    """Looks at the file once in a while, and hands on what of it a running process can follow.

    `apply` gets each new configuration, on the event loop, and must take all of it over before it
    returns. A file of no use is told once, and changes nothing.
    """

    def __init__(
        self,
        source: ConfigurationSource,
        started_with: Configuration,
        apply: Callable[[Configuration], None],
    ) -> None:
        self._source = source
        self._apply = apply
        self._seen: bytes | None = None
        # The file may have changed between the start's reading and the first look.
        self._has_looked = False
        self._applied = self._refused = 0
        self.running = started_with
        self.waiting: tuple[str, ...] = ()
        """Paths of settings that were changed, and wait for a restart."""

    async def keep_watching(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self.look()
            except Exception:
                # A defect met here would be met by all workers at once: they serve on.
                log.exception("the configuration file cannot be followed")

    async def look(self) -> None:
        """Follow the file if it has changed since the last look.

        The content is compared, not its times: a kubelet swaps a symbolic link, whose target may
        be as old and as long as the last one.
        """
        content = await asyncio.to_thread(self._source.content)
        if self._has_looked and content == self._seen:
            return
        self._has_looked, self._seen = True, content
        try:
            new = await asyncio.to_thread(self._source.read_again, self.running)
        except ConfigurationError as error:
            self._refused += 1
            log.error(  # noqa: TRY400 - the mistakes say enough
                "the configuration file cannot be used; the last one stays",
                mistakes=list(error.mistakes),
            )
        else:
            self._follow(*reloadable(self.running, new))

    def readings(self) -> Mapping[str, float]:
        """What the metrics of the configuration show, under the keys of their instruments."""
        return {
            "reloads_applied": self._applied,
            "reloads_refused": self._refused,
            "restart_needed": len(self.waiting),
        }

    def _follow(self, new: Configuration, waiting: tuple[str, ...]) -> None:
        if new != self.running:
            self._apply(new)
            self.running = new
            self._applied += 1
            log.info("the configuration was reloaded", spec_hash=new.spec_hash)
        if waiting != self.waiting:
            self.waiting = waiting
            if waiting:
                log.warning("a restart is needed for what was changed", settings=list(waiting))
