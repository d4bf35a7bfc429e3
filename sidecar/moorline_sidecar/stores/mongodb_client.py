"""The driver's client, and how it is replaced when the connection URI changes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

from pymongo import AsyncMongoClient
from pymongo.errors import InvalidURI, PyMongoError
from pymongo.read_preferences import ReadPreference
from pymongo.server_description import ServerDescription

from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.connection import Source, UriConnection
from moorline_sidecar.stores.mongodb_errors import SentWrites
from moorline_sidecar.stores.mongodb_replies import StreamReplies
from moorline_sidecar.stores.mongodb_waiting import mend_waiting
from moorline_sidecar.stores.tls_files import check_files

Client: TypeAlias = AsyncMongoClient[dict[str, Any]]

SCHEMES: Final = ("mongodb://", "mongodb+srv://")

CONNECT_MS: Final = 2_000
"""For a server to be found and to accept: below the 3 s that an answer may take."""

HEARTBEAT_MS: Final = 2_000
"""Between two looks at a server that does not stream its state: how late its return is seen."""

CONNECTIONS_MAX: Final = 20
"""To one server: a handful of calls is under way at once, and thousands of sidecars add up."""

_FILES: Final = frozenset({"tlscafile", "tlscertificatekeyfile", "tlscrlfile"})
"""Options that name files, in lower case, as the driver takes them in any."""

SECONDARY_READS: Final = (
    "the connection URI asks for reads from secondaries (readPreference): remove it; they lag "
    "behind, and a session that was changed or ended would be served as it was"
)
UNACKNOWLEDGED_WRITES: Final = (
    "the connection URI asks for unacknowledged writes (w=0): remove it; a change that was lost "
    "would be answered as saved"
)


def open_client(uri: str) -> Client:
    """A client for `uri` that has not connected yet.

    Raises:
        ConfigurationError: it cannot be parsed, or asks for what would break the port's promises.
            The text never holds the URI, nor a piece of it.
        UriMissing: a file that it names cannot be read.
    """
    try:
        if not uri.startswith(SCHEMES):
            # The driver would take it for the name of a host.
            raise InvalidURI
        with warnings.catch_warnings():
            # The driver only warns of an option that it does not know or understand, and goes on
            # without: without TLS, for one.
            warnings.simplefilter("error", UserWarning)
            client = _client(uri)
    except OSError:
        check_files(_files_of(uri))
        raise
    except (PyMongoError, ValueError, TypeError, UserWarning) as error:
        # Their texts quote what they could not parse, which may be the password.
        raise ConfigurationError([_unusable(uri, error)]) from None
    if client.read_preference != ReadPreference.PRIMARY:
        raise ConfigurationError([SECONDARY_READS])
    if not client.write_concern.acknowledged:
        raise ConfigurationError([UNACKNOWLEDGED_WRITES])
    return client


def _client(uri: str) -> Client:
    mend_waiting()
    return AsyncMongoClient(
        uri,
        appname="moorline-sidecar",
        serverSelectionTimeoutMS=CONNECT_MS,
        connectTimeoutMS=CONNECT_MS,
        heartbeatFrequencyMS=HEARTBEAT_MS,
        maxPoolSize=CONNECTIONS_MAX,
        # The sessions layer repeats writes itself: it knows which of them may be repeated.
        retryWrites=False,
        event_listeners=[SentWrites(), StreamReplies()],
    )


def _files_of(uri: str) -> dict[str, str]:
    return {name: value for name, value in _options_of(uri) if name.lower() in _FILES}


def _options_of(uri: str) -> list[tuple[str, str]]:
    # Only what follows the last @ is surely no part of the password.
    return parse_qsl(uri.rpartition("@")[2].partition("?")[2])


def _unusable(uri: str, error: Exception) -> str:
    named = [name for name, _ in _options_of(uri) if name.lower() in str(error).lower()]
    where = f"its option {named[0]} is wrong" if named else "it is no MongoDB URI"
    return (
        f"the connection URI cannot be used ({type(error).__name__}): {where}; expected is "
        "mongodb://user:password@host:port/?options or mongodb+srv://…, with reserved characters "
        "of user and password percent-encoded"
    )


class Connection(UriConnection[Client]):
    """The client for the URI as it is now."""

    def __init__(self, source: Source, opener: Callable[[str], Client] = open_client) -> None:
        """Raises ConfigurationError if there is a URI already, and it is of no use."""
        super().__init__(source, opener)

    def servers(self) -> list[ServerDescription]:
        """What the client knows of its servers, for a diagnosis."""
        if self.client is None:
            return []
        return list(self.client.topology_description.server_descriptions().values())
