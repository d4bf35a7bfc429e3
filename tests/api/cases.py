"""The tables' one shape: a spec, and what is to be said about it."""

from typing import Any

from msgspec import Struct

Spec = dict[str, Any]

# The smallest spec that is right.
BACKEND: Spec = {"type": "MongoDB", "mongodb": {"connectionSecretRef": {"name": "shop-mongodb"}}}


class Wrong(Struct, frozen=True):
    """A spec with one mistake; `cure` is a part of the message at `path`."""

    id: str
    path: str
    cure: str
    spec: Spec


def wrong(title: str, path: str, cure: str, **fields: object) -> Wrong:
    """A case on top of the smallest right spec."""
    spec = {"backend": BACKEND, **fields}
    return Wrong(title, f"spec.{path}", cure, spec)
