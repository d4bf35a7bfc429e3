"""The port's writes as the arguments of their scripts, and the outcomes of what these answer."""

from __future__ import annotations

from typing import Final

from moorline_sidecar.domain.differences import added_contexts, changed_attributes
from moorline_sidecar.stores.base import Change, End, Outcome, Touch, Write
from moorline_sidecar.stores.redis_records import (
    Value,
    attribute_field,
    attribute_value,
    context_fields,
    recent_text,
    text_of,
)
from moorline_sidecar.stores.redis_running import Call
from moorline_sidecar.stores.redis_scripts import Scripts

OUTCOMES: Final = {
    1: Outcome.APPLIED,
    2: Outcome.CONFLICT,
    3: Outcome.ENDED,
    4: Outcome.ABSENT,
}


def write_call(scripts: Scripts, key: str, write: Write) -> Call:
    if isinstance(write, End):
        return Call(scripts.end, (key,), _end_arguments(write))
    return Call(scripts.change, (key,), _change_arguments(write))


def touch_call(scripts: Scripts, key: str, touch: Touch) -> Call:
    arguments = (
        *(str(touch.accessed), str(touch.last_accessed), text_of(touch.expiry)),
        *(str(touch.max_idle_ms), touch.last_node, str(touch.now)),
    )
    return Call(scripts.touch, (key,), arguments)


def _end_arguments(end: End) -> tuple[Value, ...]:
    access = end.access
    guard = ("0", "", "", "")
    if access is not None:
        guard = ("1", str(access.accessed), text_of(access.expiry), access.last_node)
    return (
        *(end.write_id, str(end.now), end.reason.value, text_of(end.version)),
        *guard,
        *(end.renewed_to or "", text_of(end.grace_until), end.content_id),
    )


def _change_arguments(change: Change) -> tuple[Value, ...]:
    before, after = change.before, change.after
    sets: list[Value] = []
    unsets: list[Value] = []
    _add_fields(change, sets, unsets)
    _add_attributes(change, sets, unsets)
    return (
        *(str(before.version), after.write_id, str(after.version)),
        *(str(after.accessed), str(after.last_accessed), text_of(after.expiry)),
        "" if after.max_idle_ms == before.max_idle_ms else str(after.max_idle_ms),
        *(after.last_node, str(after.last_saved)),
        "0" if after.principal == before.principal else "1",
        *(after.principal or "", before.write_id, str(len(unsets)), *unsets, *sets),
    )


def _add_fields(change: Change, sets: list[Value], unsets: list[Value]) -> None:
    before, after = change.before, change.after
    fields: dict[str, Value] = {}
    if after.cookie_set != before.cookie_set:
        fields["cookieSet"] = str(after.cookie_set)
    if after.principal != before.principal:
        fields["principal"] = after.principal or ""
    if after.recent != before.recent:
        fields["recent"] = recent_text(after.recent)
    for field, value in fields.items():
        if value:
            sets += field, value
        else:
            unsets.append(field)


def _add_attributes(change: Change, sets: list[Value], unsets: list[Value]) -> None:
    for context, attributes in added_contexts(change.before, change.after).items():
        sets += context_fields(context, attributes)
    for changed in changed_attributes(change.before, change.after):
        field = attribute_field(changed.context, changed.name)
        if changed.is_set:
            sets += field, attribute_value(changed.value)
        else:
            unsets.append(field)
