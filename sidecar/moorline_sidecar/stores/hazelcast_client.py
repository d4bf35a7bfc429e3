"""The connection to a Hazelcast cluster, by a URI or by the addresses of its members.

The URI is `hazelcast://[user:password@][host:port[,host:port…]][/?option=value…]`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from hazelcast.asyncio import HazelcastClient
from hazelcast.config import Config, FlakeIdGeneratorConfig, IntType
from hazelcast.lifecycle import LifecycleState
from msgspec import Struct

from moorline_sidecar.errors import ConfigurationError, StoreUnavailable
from moorline_sidecar.stores.hazelcast_errors import CLIENT_ERRORS, readable

SCHEME: Final = "hazelcast"

CONNECT_SECONDS: Final = 2.0
"""For a member to be found and to accept: below the 3 s that an answer may take."""

AGAIN_SECONDS: Final = 0.2
"""Until members that all refused are tried again."""

HEARD_MAX: Final = 100
"""Of the reasons why members could not be connected to."""

HEARTBEAT_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 10.0
"""After which a connection that says nothing is given up."""

RETRY_SECONDS: Final = 2.0
RETRY_PAUSE_SECONDS: Final = 0.05
"""The client repeats what a member refused because it is not, or not yet, the one to ask."""

_TLS_OPTIONS: Final = {
    "tlsCAFile": "ssl_cafile",
    "tlsCertificateFile": "ssl_certfile",
    "tlsKeyFile": "ssl_keyfile",
}
_YES_OR_NO: Final = {"true": True, "false": False}
_UNUSABLE: Final = (
    "the connection URI cannot be used: {}; expected is "
    "hazelcast://user:password@host:port,host:port/?tls=true, with user and hosts as needed and "
    "reserved characters of user and password percent-encoded; options are tls, "
    + ", ".join(_TLS_OPTIONS)
)


class Address(Struct, frozen=True, kw_only=True):
    """What a connection URI says; without `members` they are those of the configuration."""

    members: tuple[str, ...] = ()
    user: str | None = None
    password: str | None = None
    has_tls: bool = False
    files: tuple[tuple[str, str], ...] = ()


def parse_uri(uri: str) -> Address:
    """What the URI says.

    Raises:
        ConfigurationError: it cannot be parsed; the text never holds a piece of it but the name of
            an option.
    """
    try:
        parts = urlsplit(uri)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _unusable("it is no URI") from None
    if parts.scheme != SCHEME:
        raise _unusable(f"it does not begin with {SCHEME}://")
    if parts.path not in ("", "/") or parts.fragment:
        raise _unusable("something follows the addresses")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    files = []
    has_tls = False
    for name, value in options:
        if name == "tls" and value in _YES_OR_NO:
            has_tls = _YES_OR_NO[value]
        elif name in _TLS_OPTIONS and value:
            files.append((_TLS_OPTIONS[name], value))
        else:
            # An option that is not understood may be one that somebody relies on.
            raise _unusable(f"its option {name} is wrong")
    return Address(
        members=tuple(_members(hosts)),
        user=unquote(user) if credentials else None,
        password=unquote(password) if credentials else None,
        has_tls=has_tls,
        files=tuple(files),
    )


def _members(hosts: str) -> Iterable[str]:
    for host in hosts.split(",") if hosts else ():
        name, colon, port = host.rpartition(":")
        if not (name and colon and port.isdecimal()):
            raise _unusable("a member is given as host:port")
        yield host


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError([_UNUSABLE.format(why)])


_LOST: Final = (LifecycleState.DISCONNECTED, LifecycleState.SHUTDOWN)

_failures: ContextVar[list[BaseException]] = ContextVar("_failures")


class _Overheard(logging.Filter):
    """Why no member could be connected to: the client's log is all that says it."""

    def filter(self, record: logging.LogRecord) -> bool:
        heard = _failures.get([])
        if record.exc_info and record.exc_info[1] is not None and len(heard) < HEARD_MAX:
            heard.append(record.exc_info[1])
        return False


_OVERHEARD: Final = _Overheard()


def _listen_in() -> None:
    """Have the client's log to ourselves: what is of interest in it is told by our own errors."""
    logging.getLogger("hazelcast").setLevel(logging.CRITICAL)
    connecting = logging.getLogger("hazelcast.internal.asyncio_connection")
    connecting.setLevel(logging.WARNING)
    connecting.addFilter(_OVERHEARD)


class Link:
    """One client at a time, made anew when it has lost the cluster.

    The client's own reconnecting waits without an end for a member that takes a connection and
    then says nothing.
    """

    def __init__(self, cluster_name: str, servers: Sequence[str], clock: str, uri: str) -> None:
        """`clock` is the generator that tells the time. Raises ConfigurationError for the URI."""
        self._address = parse_uri(uri)
        self._cluster_name = cluster_name
        self._members = list(self._address.members or servers)
        self._clock = clock
        self._client: HazelcastClient | None = None
        self._connecting: asyncio.Task[HazelcastClient] | None = None
        self._failure: StoreUnavailable | None = None
        self._again_at = 0.0
        self._endings: set[asyncio.Task[None]] = set()
        self._is_closed = False
        _listen_in()

    async def client(self, seconds: float) -> HazelcastClient:
        """A client that is connected, as far as it knows.

        Raises:
            StoreUnavailable: no member accepts in time; its causes are those that were seen.
        """
        if self._client is not None:
            return self._client
        if self._connecting is None:
            if self._failure is not None and asyncio.get_running_loop().time() < self._again_at:
                raise StoreUnavailable(str(self._failure)) from self._failure.__cause__
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._connected)
        task = self._connecting
        # Others wait for it, too: whoever leaves does not end it.
        await asyncio.wait({task}, timeout=max(0.0, seconds))
        if not task.done():
            raise StoreUnavailable("no member of the cluster accepts in time")
        return task.result()

    async def close(self) -> None:
        self._is_closed = True
        if self._connecting is not None:
            await asyncio.wait({self._connecting})
        client, self._client = self._client, None
        if client is not None:
            self._end(client)
        if self._endings:
            await asyncio.wait(self._endings)

    def _end(self, client: HazelcastClient) -> None:
        ending = asyncio.create_task(client.shutdown())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    def _connected(self, task: asyncio.Task[HazelcastClient]) -> None:
        self._connecting = None
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, StoreUnavailable):
            self._failure = failure
            self._again_at = asyncio.get_running_loop().time() + AGAIN_SECONDS

    async def _connect(self) -> HazelcastClient:
        heard: list[BaseException] = []
        _failures.set(heard)
        client = HazelcastClient(self._config())
        client.lifecycle_service.add_listener(partial(self._changed, client))
        # `create_and_start` would keep the client to itself until it has started: one whose start
        # hangs could not be ended.
        task = asyncio.create_task(client._start())  # type: ignore[no-untyped-call]  # noqa: SLF001
        await asyncio.wait({task}, timeout=CONNECT_SECONDS)
        is_late = not task.done()
        if is_late or self._is_closed:
            await client.shutdown()
        try:
            await task
        except CLIENT_ERRORS as error:
            why = self._most_telling([error, *heard])
            text = "no member accepts in time" if is_late and not heard else readable(why)
            raise StoreUnavailable(text) from why
        if not client.lifecycle_service.is_running():
            raise StoreUnavailable("no member of the cluster accepts in time")
        self._client = client
        return client

    def _most_telling(self, errors: Sequence[BaseException]) -> BaseException:
        """Of what went wrong with the members, and of what the client says of all of it."""
        *_, last = errors
        found = next((each for each in errors[1:] if not isinstance(each, ConnectionError)), last)
        if self._address.has_tls and isinstance(found, ConnectionResetError):
            return ssl.SSLError("the member hung up when TLS began")
        return found

    def _changed(self, client: HazelcastClient, state: str) -> None:
        """End a client that has lost all members: its own way back may never end."""
        if state == LifecycleState.DISCONNECTED:
            self._end(client)
        if state in _LOST and self._client is client:
            self._client = None

    def _config(self) -> Config:
        address = self._address
        config = Config()  # type: ignore[no-untyped-call]
        config.cluster_name = self._cluster_name
        config.cluster_members = self._members
        if address.user is not None and address.password is not None:
            config.creds_username = address.user
            config.creds_password = address.password
        config.ssl_enabled = address.has_tls
        if address.has_tls:
            config.ssl_check_hostname = True
            for name, path in address.files:
                setattr(config, name, path)
        # One pass over the members; what comes after it is ours to decide.
        config.cluster_connect_timeout = 0
        config.connection_timeout = CONNECT_SECONDS
        config.heartbeat_interval = HEARTBEAT_SECONDS
        config.heartbeat_timeout = SILENCE_SECONDS
        config.invocation_timeout = RETRY_SECONDS
        config.invocation_retry_pause = RETRY_PAUSE_SECONDS
        # A write is never repeated, and one whose backup is not known to be written is in doubt.
        config.redo_operation = False
        config.fail_on_indeterminate_operation_state = True
        config.default_int_type = IntType.LONG
        # Each id tells the time when it was made, so that none is kept for later.
        clock = FlakeIdGeneratorConfig()  # type: ignore[no-untyped-call]
        clock.prefetch_count = 1
        config.flake_id_generators = {self._clock: clock}
        return config
