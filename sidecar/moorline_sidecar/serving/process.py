"""Builds everything that serves, in order, and takes it down again."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct

from moorline_sidecar.config import (
    Address,
    Configuration,
    ConfigurationSource,
    SecretText,
    Token,
    Watch,
)
from moorline_sidecar.domain.cookies import Cookies
from moorline_sidecar.http.administration import Administration
from moorline_sidecar.http.api import Api
from moorline_sidecar.http.by_cookie import ByCookie
from moorline_sidecar.http.gate import Gate
from moorline_sidecar.http.health import Readiness, health_application
from moorline_sidecar.http.limits import Limits, Traffic
from moorline_sidecar.http.operations import operations_application
from moorline_sidecar.http.protocol import DataPlane
from moorline_sidecar.http.site import Site
from moorline_sidecar.http.traced import Traced, traced
from moorline_sidecar.serving.following import body_bytes, follow
from moorline_sidecar.serving.starting import bound, first_configuration
from moorline_sidecar.sessions.journal import Journal
from moorline_sidecar.sessions.journal_file import JournalFile
from moorline_sidecar.sessions.registering import Registering
from moorline_sidecar.sessions.service import Sessions
from moorline_sidecar.stores.base import SessionStore
from moorline_sidecar.stores.l2 import L2Store
from moorline_sidecar.stores.opening import open_cached_store
from moorline_sidecar.telemetry import LogSettings, configure_logs
from moorline_sidecar.telemetry.instruments import CONFIGURATION, L2, SESSIONS, TRAFFIC
from moorline_sidecar.telemetry.observation import Observation, Tables
from moorline_sidecar.telemetry.spans import never

SAVE_MARGIN_SECONDS: Final = 2.0
"""Left at the end of a shutdown, for what is lost to be logged and the rest to be closed."""

EXIT_SECONDS: Final = 0.5
"""Of these: from the last try to save to the end of the process."""

IN_FLIGHT_SECONDS: Final = 4.0
"""For requests under way: none takes longer than 3 s."""

CLOSE_SECONDS: Final = 0.5
"""For the store; everything is saved, or given up, by then."""

log = structlog.get_logger(__name__)


class Listening(Struct, frozen=True, kw_only=True):
    """Where a running process can be reached."""

    data: Address
    health: Address
    ops: Address


async def serve(
    source: ConfigurationSource,
    stop: asyncio.Event,
    announce: Callable[[Listening], None],
    logs: LogSettings = configure_logs,
    settle: Callable[[], None] = lambda: None,
) -> bool:
    """Serve until `stop` is set; `announce` is called once requests are welcome.

    `settle` is called once the last parts have started, those without which requests are served.

    `logs` is told the level of the log, and what each line holds, at the start and at each change.

    Returns whether everything was saved at the end.

    Raises:
        ConfigurationError: there are mistakes, or the store cannot be opened as it is configured.
        CannotListen: an address cannot be had.
    """
    configuration = await first_configuration(source, stop, logs)
    if configuration is None:
        return True
    logs(configuration.log_level, {"worker": configuration.worker})
    readiness = Readiness()
    version = importlib.metadata.version("moorline-sidecar")
    observation = _observation(configuration, version)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(observation.close)
        # First, so that a mistake in the configuration is told before a taken port is.
        store = await stack.enter_async_context(_store(configuration))
        exposition = observation.exposition
        watched = health_application(readiness, configuration.worker, exposition)
        with bound("--health", configuration.health):
            health = await stack.enter_async_context(Site(watched, configuration.health))
        journal = _journal(configuration)
        sessions = await stack.enter_async_context(
            Sessions(store, configuration.policy, journal=journal)
        )
        sessions.core.availability.observe = observation.store_calls.record
        api = _api(configuration, sessions)
        plane = await stack.enter_async_context(_data_plane(configuration, api, observation))
        watch = Watch(source, configuration, partial(follow, sessions, api, plane, logs))
        registering = Registering(sessions.core, store.registry(), source.pod, version)
        administration = Administration(sessions, plane, watch, registering)
        tables = (
            (SESSIONS, administration.readings),
            (TRAFFIC, partial(_readings, plane.traffic)),
            (CONFIGURATION, watch.readings),
            *(((L2, store.readings),) if isinstance(store, L2Store) else ()),
        )
        operations = operations_application(
            administration, _gate(configuration, configuration.ops.host)
        )
        with bound("--ops", configuration.ops):
            ops = await stack.enter_async_context(Site(operations, configuration.ops))
        async with asyncio.TaskGroup() as tasks:
            data = Address(configuration.listen.host, plane.port)
            readiness.reason = None
            announce(Listening(data=data, health=health.address, ops=ops.address))
            tasks.create_task(_start(observation, tables, settle))
            watching = tasks.create_task(watch.keep_watching())
            beating = tasks.create_task(registering.keep_beating(stop))
            await stop.wait()
            watching.cancel()
            beating.cancel()
            until = asyncio.get_running_loop().time() + configuration.shutdown_seconds
            readiness.reason = "shutting down"
            log.info("shutting down", unsaved=sessions.unsaved)
        is_saved = await _shut_down(until, plane, sessions)
        await registering.leave()
        return is_saved


async def _start(observation: Observation, tables: Tables, settle: Callable[[], None]) -> None:
    await observation.start(tables)
    settle()


async def _shut_down(until: float, plane: DataPlane, sessions: Sessions) -> bool:
    """Finish what is under way, save what is unsaved; whether that worked by `until`."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(until - EXIT_SECONDS):
            # However short the time is, a client that does not end leaves half of it for saving.
            in_flight = max(0.0, until - EXIT_SECONDS - loop.time()) / 2
            await plane.close(min(IN_FLIGHT_SECONDS, in_flight))
            return await sessions.close(max(0.0, until - loop.time() - SAVE_MARGIN_SECONDS))
    except TimeoutError:
        log.error("the time to shut down is over", unsaved=sessions.unsaved)  # noqa: TRY400 - expected
        return False


def _journal(configuration: Configuration) -> Journal:
    folder = configuration.journal
    return Journal() if folder is None else Journal(JournalFile.open(folder))


@asynccontextmanager
async def _store(configuration: Configuration) -> AsyncIterator[SessionStore]:
    async with AsyncExitStack() as stack:
        uri = configuration.uri
        if configuration.is_dev:
            from moorline_sidecar.stores.embedded import embedded_server  # noqa: PLC0415

            server = await stack.enter_async_context(embedded_server())
            uri = SecretText(server.uri)
        store = open_cached_store(configuration.backend, uri, configuration.cluster)
        stack.push_async_callback(_close, store)
        if configuration.is_dev:
            # Before there are sessions: SecantusDB may stand still where both come at once.
            await store.prepare()
        yield store


async def _close(store: SessionStore) -> None:
    """A driver takes its leave of the server, also of one that is away: not for long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await store.close()


def _api(configuration: Configuration, sessions: Sessions) -> Api:
    return Api(
        sessions,
        ByCookie(sessions, Cookies(configuration.cookies)),
        _gate(configuration, configuration.listen.host),
        configuration.default_context,
        _limits(configuration),
    )


@asynccontextmanager
async def _data_plane(
    configuration: Configuration, api: Api, observation: Observation
) -> AsyncIterator[DataPlane]:
    traces = observation.sample is not never
    application = Traced(api, observation.sample) if traces else api
    quick = traced(api.shortcut.answer, observation.sample) if traces else api.shortcut.answer
    async with DataPlane(application, _limits(configuration), quick=quick) as plane:
        unix = None if configuration.socket is None else Path(configuration.socket)
        if unix is not None:
            unix.parent.mkdir(parents=True, exist_ok=True)
        where = configuration.listen if unix is None else f"{configuration.listen} or {unix}"
        with bound("--listen", where):
            await plane.start([(configuration.listen.host, configuration.listen.port)], unix)
        yield plane


def _gate(configuration: Configuration, *hosts: str) -> Gate:
    if configuration.token is None:
        return Gate(hosts)
    return Gate(hosts, Token(configuration.token))


def _limits(configuration: Configuration) -> Limits:
    wanted, usual = configuration.limits, Limits()
    return Limits(
        head_bytes=wanted.head_bytes,
        head_fields=wanted.head_fields,
        head_s=wanted.head_seconds,
        body_bytes=max(usual.body_bytes, body_bytes(configuration)),
        session_bytes=configuration.policy.max_session_bytes,
        body_s=wanted.body_seconds,
        idle_s=wanted.idle_seconds,
        connections=wanted.connections,
    )


def _observation(configuration: Configuration, version: str) -> Observation:
    resource = {
        "service.name": "moorline-sidecar",
        "service.version": version,
        "service.namespace": configuration.namespace,
        "service.instance.id": configuration.worker,
        "moorline.cluster": configuration.cluster,
    }
    system = configuration.backend.type.value.lower()
    return Observation(resource, configuration.otlp_endpoint, configuration.trace_ratio, system)


def _readings(traffic: Traffic) -> Mapping[str, float]:
    """What the metrics of the data plane show, under the keys of `telemetry.instruments`."""
    answers = traffic.answers
    return {
        "accepted": traffic.accepted,
        "overloaded": traffic.overloaded,
        "refused": traffic.refused,
        "timeouts": traffic.timeouts,
        "failures": traffic.failures,
        "bytes_received": traffic.flow.received,
        "bytes_sent": traffic.flow.sent,
    } | {f"answers_{digit}xx": answers[digit] for digit in range(1, len(answers))}
