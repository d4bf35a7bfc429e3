"""What stays as it is when a SessionCluster changes: where its sessions are.

Enforced by the API server alone; the operator and the sidecar never see the old spec. The Python
half is what the tests hold against it.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from moorline_api.errors import Violation
from moorline_api.model import SessionClusterSpec


class Transition(Struct, frozen=True, kw_only=True):
    """What must hold of every change of a spec; `holds` takes the old one, then the new one.

    `reason` is the API server's word for the kind of mistake.
    """

    scope: str
    path: str
    message: str
    cel: str
    holds: Callable[[SessionClusterSpec, SessionClusterSpec], bool]
    reason: str = "FieldValueForbidden"


def transition_violations(
    old: SessionClusterSpec, new: SessionClusterSpec
) -> tuple[Violation, ...]:
    """Every rule that the change from old to new breaks, in the order of `TRANSITIONS`."""
    return tuple(
        Violation(rule.path, rule.message) for rule in TRANSITIONS if not rule.holds(old, new)
    )


def _same(field: str, message: str, member: str = "mongodb", *, name: str = "") -> Transition:
    """`name` is that of the field in a manifest, where it is another one than in Python."""
    name = name or field

    def holds(old: SessionClusterSpec, new: SessionClusterSpec) -> bool:
        before, after = getattr(old.backend, member), getattr(new.backend, member)
        if before is None or after is None:
            return True
        return bool(getattr(before, field) == getattr(after, field))

    return Transition(
        scope=f"spec.backend.{member}",
        path=f"spec.backend.{member}.{name}",
        message=message,
        cel=f"self.{name} == oldSelf.{name}",
        holds=holds,
    )


_SQL: Final = ("postgresql", "mysql", "sqlite")
_SQL_FIELDS: Final = {
    "table": "the table stays as it is, for the sessions are there: keep it, or make a new "
    "SessionCluster",
    "columns": "the columns keep their names, for the sessions are there: keep them, or make a new "
    "SessionCluster",
}

TRANSITIONS: Final[tuple[Transition, ...]] = (
    Transition(
        scope="spec.backend",
        path="spec.backend.type",
        message="the type stays as it is, for the sessions are there: keep it, or make a new "
        "SessionCluster and let the pods' label name that",
        cel="self.type == oldSelf.type",
        holds=lambda old, new: old.backend.type is new.backend.type,
    ),
    _same(
        "map_name",
        "the map stays as it is, for the sessions are there: keep it, or make a new SessionCluster",
        "hazelcast",
        name="mapName",
    ),
    _same(
        "cache_name",
        "the cache stays as it is, for the sessions are there: keep it, or make a new "
        "SessionCluster",
        "infinispan",
        name="cacheName",
    ),
    _same(
        "project",
        "the project stays as it is, for the sessions are there: keep it, or make a new "
        "SessionCluster",
        "datastore",
    ),
    _same(
        "kind",
        "the kind stays as it is, for the sessions are there: keep it, or make a new "
        "SessionCluster",
        "datastore",
    ),
    _same(
        "database",
        "the database stays as it is, for the sessions are there: keep it, or make a new "
        "SessionCluster",
    ),
    _same(
        "collection",
        "the collection stays as it is, for the sessions are there: keep it, or make a new "
        "SessionCluster",
    ),
    *(_same(field, message, member) for member in _SQL for field, message in _SQL_FIELDS.items()),
    _same(
        "path",
        "the file stays as it is, for the sessions are there: keep it, or make a new "
        "SessionCluster",
        "sqlite",
    ),
    _same(
        "directory",
        "the directory stays as it is, for the sessions are there: keep it, or make a new "
        "SessionCluster",
        "file",
    ),
    _same(
        "key_prefix",
        "the prefix stays as it is, for the sessions are there: keep it, or make a new "
        "SessionCluster",
        "redis",
        name="keyPrefix",
    ),
)
