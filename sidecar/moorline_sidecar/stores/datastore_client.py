"""The connection to Cloud Datastore, by the key of a service account or the workload's identity.

What stands in the place of a connection URI is the content of a key file, or
`datastore://[host:port]`: an emulator, or nothing but the identity that Google's libraries find.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import google.auth
import grpc
import msgspec
from google.api_core import grpc_helpers_async
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError
from google.cloud.datastore_v1.services.datastore import DatastoreAsyncClient
from google.cloud.datastore_v1.services.datastore.transports import DatastoreGrpcAsyncIOTransport
from google.oauth2 import service_account
from msgspec import Struct

from moorline_sidecar.errors import ConfigurationError, StoreUnavailable
from moorline_sidecar.stores.datastore_errors import readable

SCHEME: Final = "datastore"
WORKLOAD_URI: Final = f"{SCHEME}://"
"""Of somebody without credentials of their own."""

EMULATOR_PROJECT: Final = "moorline"
"""For an emulator, to whom any name is a project."""

_HOST: Final = DatastoreAsyncClient.DEFAULT_ENDPOINT
_SCOPES: Final = ("https://www.googleapis.com/auth/datastore",)

AGAIN_SECONDS: Final = 1.0
"""Until the identity of the workload is looked for again."""

_OPTIONS: Final = (
    # A client that is made anew is to have a connection of its own.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Nothing is repeated but what gRPC knows to be unseen.
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)

_UNUSABLE: Final = (
    "the credentials cannot be used: {}; expected is the content of the JSON key file of a service "
    "account, or datastore://host:port for an emulator, or datastore:// for the identity of the "
    "workload"
)


class Address(Struct, frozen=True, kw_only=True):
    """Where to go, and as whom: an emulator, a service account, or whoever the workload is."""

    emulator: str = ""
    credentials: Credentials | None = None
    project: str = ""


class Client(Struct, frozen=True):
    """A client, and the project that it is for."""

    api: DatastoreAsyncClient
    channel: grpc.aio.Channel
    project: str


def parse_uri(text: str) -> Address:
    """What the text says.

    Raises:
        ConfigurationError: it is of no use; the error never holds a piece of it.
    """
    if text.lstrip().startswith("{"):
        return _service_account(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _unusable("it is neither") from None
    if parts.scheme != SCHEME or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise _unusable("it is neither")
    if parts.netloc and (port is None or "@" in parts.netloc):
        raise _unusable("an emulator is given as host:port")
    return Address(emulator=parts.netloc)


def _service_account(text: str) -> Address:
    try:
        key = msgspec.json.decode(text, type=dict[str, str])
        credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            key, scopes=_SCOPES
        )
    except (ValueError, GoogleAuthError):
        raise _unusable("it is JSON, but not of a key file of a service account") from None
    return Address(credentials=credentials, project=key.get("project_id", ""))


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError([_UNUSABLE.format(why)])


class Link:
    """One client at a time, made anew when it gets no answers."""

    def __init__(self, project: str, uri: str) -> None:
        """`project` is empty for that of the credentials. Raises ConfigurationError."""
        self._address = parse_uri(uri)
        self._project = project
        self._client: Client | None = None
        self._finding: asyncio.Task[Address] | None = None
        self._again_at = 0.0
        self._users: Counter[grpc.aio.Channel] = Counter()

    @asynccontextmanager
    async def use(self, seconds: float) -> AsyncIterator[Client]:
        """The client, which is not closed before its users have left; nothing is connected to yet.

        Raises:
            StoreUnavailable: nobody says who we are, or for which project.
        """
        client = await self._ready(seconds)
        self._users[client.channel] += 1
        try:
            yield client
        finally:
            self._users[client.channel] -= 1
            await self._close_if_left(client)

    def renew(self, client: Client) -> None:
        """Use another than this one from now on."""
        if self._client is client:
            self._client = None

    async def _ready(self, seconds: float) -> Client:
        if self._client is None:
            address = await self._found(seconds)
            project = self._project or address.project
            if not project:
                raise StoreUnavailable("the credentials name no project, nor spec.backend does")
            channel = _channel(address)
            transport = DatastoreGrpcAsyncIOTransport(channel=channel)
            self._client = Client(DatastoreAsyncClient(transport=transport), channel, project)
        return self._client

    async def _close_if_left(self, client: Client) -> None:
        """Closing a channel has gRPC cancel whoever still waits, and turn away who comes."""
        if client is not self._client and not self._users[client.channel]:
            del self._users[client.channel]
            await client.channel.close()

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await self._close_if_left(client)

    async def _found(self, seconds: float) -> Address:
        """With the credentials, where they have to be looked for."""
        address = self._address
        if address.emulator:
            return Address(emulator=address.emulator, project=EMULATOR_PROJECT)
        if address.credentials is not None:
            return address
        if self._finding is None or (self._finding.done() and time.monotonic() >= self._again_at):
            # It reads files, and asks the machine's metadata.
            self._finding = asyncio.create_task(asyncio.to_thread(_identity))
            self._again_at = time.monotonic() + AGAIN_SECONDS
        task = self._finding
        # Others wait for it, too: whoever leaves does not end it.
        await asyncio.wait({task}, timeout=max(0.0, seconds))
        if not task.done():
            raise StoreUnavailable("the identity of the workload is not found in time")
        try:
            self._address = task.result()
        except GoogleAuthError as error:
            raise StoreUnavailable(readable(error)) from error
        return self._address


def _identity() -> Address:
    credentials, project = google.auth.default(scopes=_SCOPES)
    return Address(credentials=credentials, project=project or "")


def _channel(address: Address) -> grpc.aio.Channel:
    if address.emulator:
        return grpc.aio.insecure_channel(address.emulator, options=_OPTIONS)
    channel: grpc.aio.Channel = grpc_helpers_async.create_channel(
        f"{_HOST}:443", credentials=address.credentials, scopes=_SCOPES, options=_OPTIONS
    )
    return channel
