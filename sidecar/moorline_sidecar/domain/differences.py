"""What a change changes, attribute by attribute, for stores that write no more than that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

from moorline_sidecar.domain.content import content_of
from moorline_sidecar.domain.session import Json, Session


class AttributeChange(Struct, frozen=True):
    """One attribute that a write sets, or unsets where `is_set` is false."""

    context: str
    name: str
    is_set: bool
    value: Json = None


def changed_attributes(before: Session, after: Session) -> Iterator[AttributeChange]:
    """Each attribute whose JSON is another in `after`, in contexts of both.

    Contexts that only `after` has are not reported (see `added_contexts`); contexts never vanish.
    """
    was, now = content_of(before.contexts), content_of(after.contexts)
    for context in now:
        if context not in was or was.text(context) == now.text(context):
            continue
        known, attributes = was.raw(context), now.raw(context)
        for name, value in attributes.items():
            if name not in known or known[name] != value:
                decoded = msgspec.json.decode(value)
                yield AttributeChange(context, name, is_set=True, value=decoded)
        for name in known:
            if name not in attributes:
                yield AttributeChange(context, name, is_set=False)


def added_contexts(before: Session, after: Session) -> Mapping[str, Mapping[str, Json]]:
    """The contexts that only `after` has, whole."""
    return {
        context: after.contexts[context]
        for context in after.contexts
        if context not in before.contexts
    }
