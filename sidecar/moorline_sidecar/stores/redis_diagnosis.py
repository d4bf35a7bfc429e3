"""Why a Redis server is out of reach, or of no use, in the words of the condition BackendReady."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Final

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import MovedError

from moorline_sidecar.errors import StoreError
from moorline_sidecar.stores.diagnosis import Diagnosis
from moorline_sidecar.stores.redis_errors import MOVED_ON, lacks_rights, readable
from moorline_sidecar.stores.uri_source import UriMissing

OLDEST: Final = 7
"""The first version with scripts that say what they do, and with numbers of one's own."""

_CLUSTER: Final = (
    "the server is a node of a Redis Cluster, which is not supported: use a primary with replicas"
)


def info_of(text: bytes) -> dict[str, str]:
    """What `INFO` answers, by name."""
    lines = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def product_of(info: Mapping[str, str]) -> str:
    """Name and version."""
    valkey = info.get("valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {info.get('redis_version', '')}"


def flaw_of(info: Mapping[str, str]) -> str | None:
    """What keeps this server from keeping what it acknowledges."""
    version = info.get("redis_version", "")
    if not _is_new_enough(version):
        return f"Redis {version} is too old: version 7.0 or newer is needed, or Valkey"
    if info.get("cluster_enabled") == "1":
        return _CLUSTER
    policy = info.get("maxmemory_policy", "")
    if policy.startswith("allkeys") and info.get("maxmemory", "0") != "0":
        return (
            f"maxmemory-policy is {policy}: when its memory is full the server evicts sessions; "
            "set it to noeviction"
        )
    return None


def warning_of(info: Mapping[str, str]) -> str:
    """What a person should know of a server that is ready; empty where there is nothing."""
    if info.get("aof_enabled") == "0":
        return (
            "; appendonly is off: if the server crashes, what it acknowledged since its last "
            "snapshot is lost"
        )
    return ""


def diagnose(error: BaseException) -> Diagnosis:
    """What `error`, with those that caused it, tells."""
    errors = list(_chain(error))
    for found in errors:
        diagnosis = _told_by(found)
        if diagnosis is not None:
            return diagnosis
    return Diagnosis(
        reason="Unreachable",
        detail=f"the server of the connection URI does not answer ({readable(errors[0])})",
    )


def _told_by(error: BaseException) -> Diagnosis | None:
    if isinstance(error, UriMissing):
        return Diagnosis(reason=error.reason, detail=error.detail)
    if lacks_rights(error):
        reason = "AuthenticationFailed"
        detail = "the server refuses the user or the password of the URI, or the user lacks a right"
    elif isinstance(error, MovedError):
        reason, detail = "UnsupportedVersion", _CLUSTER
    elif isinstance(error, MasterNotFoundError):
        reason, detail = "NotPrimary", "no Sentinel of the connection URI knows a primary"
    elif isinstance(error, MOVED_ON):
        reason, detail = "NotPrimary", "the server is a replica, or has lost its primary"
    elif str(error).startswith("NOREPLICAS"):
        reason, detail = "NotPrimary", "the primary has fewer replicas than it is to have"
    elif isinstance(error, socket.gaierror):
        reason, detail = "NameNotResolved", "a host of the connection URI is not in the DNS"
    elif isinstance(error, ssl.SSLError):
        reason = "TLSFailed"
        detail = "the server speaks no TLS, or its certificate is not for this name or not trusted"
    else:
        return None
    return Diagnosis(reason=reason, detail=f"{detail} ({readable(error)})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        if not (isinstance(error, StoreError) and error.__cause__ is not None):
            # A translated error only repeats its cause.
            yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_new_enough(version: str) -> bool:
    major = version.partition(".")[0]
    return major.isdigit() and int(major) >= OLDEST
