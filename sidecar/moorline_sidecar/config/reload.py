"""What of a changed configuration a running process can follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from moorline_sidecar.config.settings import Configuration

# What is bound, opened or part of every key in the store, by the path that a person changes.
_NEEDS_RESTART: Final = {
    "cluster": "cluster.name",
    "namespace": "cluster.namespace",
    "is_dev": "--dev",
    "backend": "spec.backend",
    "limits": "limits",
    "listen": "spec.sidecar.port",
    "health": "spec.sidecar.healthPort",
    "ops": "spec.sidecar.opsPort",
    "socket": "spec.sidecar.socket",
    "token": "spec.sidecar.tokenSecretRef",
    "trace_ratio": "spec.sidecar.traceRatio",
    "otlp_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "shutdown_seconds": "MOORLINE_SHUTDOWN_SECONDS",
    "journal": "MOORLINE_JOURNAL",
}
_POLICY_NEEDS_RESTART: Final = {
    "worker": "MOORLINE_WORKER",
    "hashed_ids": "spec.sessions.storeIds",
    "cache_mode": "spec.cache.mode",
}

_S = TypeVar("_S", bound=Struct)


def reloadable(old: Configuration, new: Configuration) -> tuple[Configuration, tuple[str, ...]]:
    """`new` with what a running process keeps of `old`, and the paths that wait for a restart."""
    policy, of_policy = _kept(old.policy, new.policy, _POLICY_NEEDS_RESTART)
    secret = {"uri": f"spec.backend.{old.backend.type.member}.connectionSecretRef"}
    paths = _NEEDS_RESTART | secret
    merged, waiting = _kept(old, msgspec.structs.replace(new, policy=policy), paths)
    return merged, (*waiting, *of_policy)


def _kept(old: _S, new: _S, fields: Mapping[str, str]) -> tuple[_S, tuple[str, ...]]:
    held = {name: getattr(old, name) for name in fields}
    waiting = tuple(path for name, path in fields.items() if getattr(new, name) != held[name])
    return msgspec.structs.replace(new, **held), waiting
