"""What lies behind an error, and how it is told in a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from moorline_sidecar.errors import StoreError

_USER_INFORMATION: Final = re.compile(r"//[^/@\s]*@")
_TEXT_CHARACTERS: Final = 300


def cause_of(error: BaseException) -> BaseException | None:
    """What it was raised from."""
    return error.__cause__


def cause_or_context_of(error: BaseException) -> BaseException | None:
    """What it was raised from, or else while what was handled."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def causes(
    error: BaseException | None,
    before: Callable[[BaseException], BaseException | None] = cause_of,
) -> Iterator[BaseException]:
    """The error and those behind it, but for translated ones, which only repeat their cause."""
    while error is not None:
        if not (isinstance(error, StoreError) and error.__cause__ is not None):
            yield error
        error = before(error)


def without_credentials(text: str) -> str:
    """The text, with nobody's name or password in its URIs."""
    return _USER_INFORMATION.sub("//", text)


def told(error: BaseException, text: str) -> str:
    """The kind of an error, and the first line of a text about it."""
    lines = text.splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:_TEXT_CHARACTERS]}"
