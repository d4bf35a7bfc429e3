"""What the listeners are given to answer with."""

from __future__ import annotations

from collections.abc import Awaitable

from msgspec import Struct

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.sessions.core import live_session
from moorline_sidecar.sessions.finding import Source


class Served(Struct, gc=False):
    """A session to answer with.

    `was_renewed`: the id is an old one in its grace, and the content that from before the renew.
    `is_born`: an unborn session was stored with this change, so that its cookie is due.
    """

    entry: Entry
    source: Source
    is_new: bool = False
    was_renewed: bool = False
    is_born: bool = False
    was_changed: bool = False


async def resolved(answer: Served | Awaitable[Served]) -> Served:
    """What was answered at once, or is to be awaited."""
    return answer if isinstance(answer, Served) else await answer


def alive(served: Served) -> Served:
    """What was served, unless it has ended while this request waited.

    Raises:
        SessionEnded: it has.
    """
    live_session(served.entry)
    return served
