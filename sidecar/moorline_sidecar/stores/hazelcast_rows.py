"""What queries of a Hazelcast map answer: rows of the fields that they ask for."""

from __future__ import annotations

from typing import Any, Final

from moorline_sidecar.stores.base import AccessGuard, Copy, Expired, Summary

EXPIRED_FIELDS: Final = ("__key", "expiry", "accessed", "lastNode")
COPY_FIELDS: Final = ("__key", "renewOf", "version")
SUMMARY_FIELDS: Final = ("__key", "created", "accessed", "expiry", "lastNode", "renewOf")


def expired_of(row: list[Any]) -> Expired:
    key, expiry, accessed, last_node = row
    return Expired(key=key, access=AccessGuard(accessed, expiry, last_node or ""))


def copy_of(row: list[Any]) -> Copy:
    key, origin, version = row
    return Copy(key=key, origin=origin, version=version)


def summary_of(row: list[Any]) -> Summary:
    key, created, accessed, expiry, last_node, renew_of = row
    return Summary(
        key=key,
        created=created,
        accessed=accessed,
        expiry=expiry,
        last_node=last_node or "",
        renew_of=renew_of,
    )
