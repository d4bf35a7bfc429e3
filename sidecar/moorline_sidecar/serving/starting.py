"""The beginning of a serving process, which may have to wait for its configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Final

import structlog

from moorline_sidecar.config import Configuration, ConfigurationSource
from moorline_sidecar.errors import CannotListen
from moorline_sidecar.http.health import Readiness, health_application
from moorline_sidecar.http.site import Site
from moorline_sidecar.telemetry import LogSettings

LOOK_SECONDS: Final = 1.0
"""A mounted file comes up to a minute and a half late; a start should add nothing to that."""

log = structlog.get_logger(__name__)


async def first_configuration(
    source: ConfigurationSource, stop: asyncio.Event, logs: LogSettings
) -> Configuration | None:
    """What to start with; None if `stop` was set before there was anything.

    A file that is to be mounted is waited for, alive but not ready: a process that ended would be
    started again and again, later and later, and say why only in the log of a container that is
    gone.

    Raises:
        ConfigurationError: there are mistakes in it.
        CannotListen: the address of health cannot be had.
    """
    if source.is_awaited:
        logs("info", {"worker": source.worker})
        await _wait_for_file(source, stop)
        if stop.is_set():
            return None
    return source.read()


async def _wait_for_file(source: ConfigurationSource, stop: asyncio.Event) -> None:
    address = source.health
    application = health_application(Readiness(source.missing), source.worker, lambda: None)
    async with AsyncExitStack() as stack:
        with bound("--health", address):
            site = await stack.enter_async_context(Site(application, address))
        log.warning(
            "waiting for the configuration file", why=source.missing, health=str(site.address)
        )
        while source.is_awaited and not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()


@contextmanager
def bound(option: str, address: object) -> Iterator[None]:
    """Tell which address could not be had."""
    try:
        yield
    except OSError as error:
        raise CannotListen(option, str(address), error.strerror or str(error)) from error
