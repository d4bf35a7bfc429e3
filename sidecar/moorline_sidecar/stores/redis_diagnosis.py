"""Why a Redis server is out of reach, or of no use, in the words of the condition BackendReady."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import MovedError

from moorline_sidecar.stores.causes import cause_or_context_of, causes
from moorline_sidecar.stores.diagnosis import Diagnosis, first_told, told_by_network
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
    errors = list(causes(error, cause_or_context_of))
    return first_told(errors, _told_by) or Diagnosis(
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
    elif (told := told_by_network(error)) is not None:
        reason, detail = told
    else:
        return None
    return Diagnosis(reason=reason, detail=f"{detail} ({readable(error)})")


def _is_new_enough(version: str) -> bool:
    major = version.partition(".")[0]
    return major.isdigit() and int(major) >= OLDEST
