"""The bodies of all routes, as functions of the body alone."""

from collections.abc import Callable
from typing import Final

from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.http import bodies

Reader = Callable[[bytes], object]


def create(body: bytes) -> Patch:
    return bodies.creation(body, "/")


def replace(body: bytes) -> Patch:
    return bodies.replacement(body, "/")


def patch(body: bytes) -> Patch:
    return bodies.patch(body, "/")


def renew(body: bytes) -> tuple[Patch, str | None]:
    return bodies.renewal(body, "/")


def put_attributes(body: bytes) -> Patch:
    return bodies.attribute_map(body, "/")


def put_attribute(body: bytes) -> Patch:
    return bodies.attribute(body, "/", "a")


OBJECT_READERS: Final[list[Reader]] = [create, replace, patch, renew, put_attributes]
READERS: Final[list[Reader]] = [*OBJECT_READERS, put_attribute]
