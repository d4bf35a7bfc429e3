"""What the request path knows of tracing; importing it costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias


class Span(Protocol):
    """A sampled request under way."""

    def end(self, method: str, route: str, status: int, cache: str | None = None) -> None:
        """The request is answered; `route` is a template, `cache` as in `Moorline-Cache`."""


Sample: TypeAlias = Callable[[bytes | None], Span | None]
"""Given `traceparent`, a span if this request is to be traced."""


def never(_traceparent: bytes | None) -> Span | None:
    """The `Sample` of those who trace nothing."""
    return None
