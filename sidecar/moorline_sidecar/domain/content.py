"""The content of a session as it is held: JSON text, not objects.

Objects of a session of 1 KB take five times its text. Most that is done with content needs none of
them: an answer, a size, a copy, and a change too, which leaves the text of all other attributes as
it is. Objects are made where somebody looks at values, and not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Raw

from moorline_sidecar.domain.session import Json

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, Json]).decode
_decode_raw: Final = msgspec.json.Decoder(dict[str, Raw]).decode

_NO_OTHERS: Final[Mapping[str, bytes]] = {}
_NOTHING: Final = b"{}"
_BETWEEN_BYTES: Final = len('"":,')
_AROUND_BYTES: Final = len('{"":}')


class Content(Mapping[str, Mapping[str, Json]]):
    """Contexts, each with its attributes; immutable.

    All text is written by one encoder, so that values are the same if, and only if, their text is.
    """

    # Nearly every session has one context: a dictionary for one is larger than all else here.
    __slots__ = ("_first", "_others", "_text")

    def __init__(
        self, first: str | None, text: bytes, others: Mapping[str, bytes] = _NO_OTHERS
    ) -> None:
        self._first = first
        self._text = text
        self._others = others

    def __getitem__(self, context: str) -> Mapping[str, Json]:
        text = self.text(context)
        if text is None:
            raise KeyError(context)
        return _decode(text)

    def __contains__(self, context: object) -> bool:
        return context == self._first or context in self._others

    def __iter__(self) -> Iterator[str]:
        if self._first is not None:
            yield self._first
        yield from self._others

    def __len__(self) -> int:
        return (self._first is not None) + len(self._others)

    def text(self, context: str) -> bytes | None:
        """The attributes of a context as JSON without white space; None without the context."""
        return self._text if context == self._first else self._others.get(context)

    def raw(self, context: str) -> dict[str, Raw]:
        """The attributes of a context, each as JSON; none without the context."""
        return _decode_raw(self.text(context) or _NOTHING)

    def put(self, context: str, attributes: Mapping[str, Json | Raw]) -> Content:
        """The content with a context that has these attributes."""
        text = _text_of(attributes)
        if self._first is None or context == self._first:
            return Content(context, text, self._others)
        return Content(self._first, self._text, {**self._others, context: text})

    @property
    def size(self) -> int:
        """The bytes of all contexts as one JSON object."""
        if self._first is None:
            return len(_NOTHING)
        size = _AROUND_BYTES + _escaped(self._first) + len(self._text)
        for context, text in self._others.items():
            size += _BETWEEN_BYTES + _escaped(context) + len(text)
        return size


def content_of(contexts: Mapping[str, Mapping[str, Json]]) -> Content:
    """The same contexts as they are to be held."""
    if isinstance(contexts, Content):
        return contexts
    return content_of_texts({context: _text_of(each) for context, each in contexts.items()})


def content_of_texts(texts: dict[str, bytes]) -> Content:
    """Contexts whose attributes are text already, as `Content` holds it; the dictionary is its."""
    if not texts:
        return Content(None, _NOTHING)
    first = next(iter(texts))
    text = texts.pop(first)
    return Content(first, text, texts or _NO_OTHERS)


def as_json(value: object) -> dict[str, Raw]:
    """What an encoder is told by its `enc_hook` of content."""
    if not isinstance(value, Content):
        raise NotImplementedError(type(value).__name__)
    return {context: Raw(value.text(context) or _NOTHING) for context in value}


def _text_of(attributes: Mapping[str, Json | Raw]) -> bytes:
    # The encoder returns what it had allocated, up to half of it unused: a copy has its own size.
    return bytes(memoryview(_encode(attributes)))


@lru_cache(maxsize=256)
def _escaped(name: str) -> int:
    """The bytes of a context's name in JSON, without its quotes."""
    return len(_encode(name)) - len('""')
