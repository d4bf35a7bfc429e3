"""Walks plain data beside the model, and collects every mistake on the way."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import inspect

from moorline_api import messages
from moorline_api.errors import MoorlineApiError, Violation
from moorline_api.shapes import (
    Member,
    Shape,
    fits,
    is_list_for,
    is_mapping_for,
    members_of,
    shape_of,
)

# Stands for a value of which nothing can be used.
WRONG: Final = msgspec.UNSET
# Fields that people look for, and that are not there on purpose.
_REFUSED: Final = {
    "spec.backend.mongodb.readPreference": "remove it: reads always go to the primary, for a "
    "secondary may not have the change that was just acknowledged",
}


class Walk:
    """One pass over the data: the mistakes `found`, and the paths `left_out` of the copy.

    Where unknown keys are allowed, they are left out of the copy and no mistakes.
    """

    def __init__(self, *, allows_unknown: bool = False) -> None:
        self._allows_unknown = allows_unknown
        self.found: list[Violation] = []
        self.left_out: set[str] = set()

    def node(self, value: object, shape: Shape, path: str) -> object:
        """A copy of the value without what is wrong in it, or `WRONG`."""
        kept = self._copy(value, shape, path)
        if kept is WRONG:
            self.left_out.add(path)
        return kept

    def _copy(self, value: object, shape: Shape, path: str) -> object:
        match shape.node:
            case inspect.StructType(cls=model) if isinstance(value, Mapping):
                return self._struct(value, members_of(model), path)
            case inspect.DictType(value_type=item) if is_mapping_for(value, shape.node):
                return self._dict(value, shape_of(item), path)
            case inspect.VarTupleType(item_type=item) if is_list_for(value, shape.node):
                return self._list(value, shape_of(item), path)
            case _:
                return self._single(value, shape, path)

    def _struct(
        self, value: Mapping[object, object], known: Mapping[str, Member], path: str
    ) -> object:
        for key in value:
            if key not in known:
                at = f"{path}.{messages.shown_key(key)}"
                if at in _REFUSED or not self._allows_unknown:
                    self._report(at, _REFUSED.get(at) or messages.unknown(key, known))
        copies = {
            name: self._field(value.get(name), member, f"{path}.{name}")
            for name, member in known.items()
        }
        kept = {name: copy for name, copy in copies.items() if copy is not WRONG}
        is_whole = all(name in kept for name, member in known.items() if member.required)
        return kept if is_whole else WRONG

    def _field(self, value: object, member: Member, path: str) -> object:
        if value is not None:
            return self.node(value, member.shape, path)
        if member.required:
            self._report(path, messages.missing(member.shape))
            self.left_out.add(path)
        return WRONG

    def _dict(self, value: Mapping[object, object], item: Shape, path: str) -> object:
        kept: dict[str, object] = {}
        for key, each in value.items():
            at = f"{path}.{messages.shown_key(key)}"
            if isinstance(key, str):
                kept[key] = self.node(each, item, at)
            else:
                self._report(at, "write the name in quotes")
        return {key: copy for key, copy in kept.items() if copy is not WRONG}

    def _list(self, value: Sequence[object], item: Shape, path: str) -> object:
        copies = [self.node(each, item, f"{path}[{n}]") for n, each in enumerate(value)]
        # A list without some of its items may be too short, and would mean something else.
        return WRONG if any(copy is WRONG for copy in copies) else copies

    def _single(self, value: object, shape: Shape, path: str) -> object:
        if not fits(value, shape.node):
            self._report(path, messages.instead(shape, value))
            return WRONG
        try:
            if shape.parse is not None and isinstance(value, str):
                shape.parse(value)
        except MoorlineApiError as error:
            self._report(path, str(error))
            return WRONG
        return value

    def _report(self, path: str, message: str) -> None:
        self.found.append(Violation(path, message))
