"""What this worker keeps of an outage: which sessions, under which numbers, and where.

The changes themselves wait with the entries of the L1, as those of the save modes do; with a file
they are there too, before anyone is told of them.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

import msgspec
import structlog
from msgspec import Struct

from moorline_sidecar.domain.content import as_json
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.domain.serials import Serial
from moorline_sidecar.domain.session import Reason, Session
from moorline_sidecar.errors import Overloaded
from moorline_sidecar.sessions.counters import Counters
from moorline_sidecar.sessions.journal_file import JournalFile, JournalFull
from moorline_sidecar.stores.base import End

_FULL: Final = "Changes wait for the session store, and there is no room for more; try again."

log = structlog.get_logger(__name__)


class Created(Struct, frozen=True, tag="created"):
    """A session that is to be stored."""

    session: Session


class Changed(Struct, frozen=True, tag="changed"):
    """A change to a session that had this version; `now` is the time of the access."""

    key: str
    version: int
    asked: Asked
    now: int = 0


class Sent(Struct, frozen=True, tag="sent"):
    """A created session is about to be stored (`at`, ms of its clock); None: surely it was not.

    Whoever finds it absent later must know: it may have been ended elsewhere, and purged.
    """

    key: str
    at: int | None


class Ended(Struct, frozen=True, tag="ended"):
    """A session that is to become a tombstone."""

    key: str
    write_id: str
    now: int
    reason: Reason


Kept: TypeAlias = Created | Changed | Sent | Ended

_encode = msgspec.json.Encoder(enc_hook=as_json).encode
_decoder = msgspec.json.Decoder(Kept)


class Journal:
    """Numbers what is kept, and remembers it until it is in the store.

    `keys` are sessions with changes, and how they were before, where that is known; `creates` those
    that the store does not have yet, `ends` the writes that end some.
    """

    def __init__(self, file: JournalFile | None = None) -> None:
        self._name = secrets.token_urlsafe(9)
        self._number = 0
        self._file = file
        self._under_way = 0
        self.keys: dict[str, Session | None] = {}
        self.creates: dict[str, Session] = {}
        self.ends: dict[str, End] = {}
        self.left_behind: Sequence[Kept] = _decoded(file.records) if file is not None else ()
        """What an earlier process kept, in order, until it has been taken over."""

    @property
    def has_file(self) -> bool:
        return self._file is not None

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size if self._file is not None else 0

    def next_serial(self) -> Serial:
        """A number above all that were given before."""
        self._number += 1
        return Serial(self._name, self._number)

    @asynccontextmanager
    async def keeping(self, kept: Kept, max_bytes: int, counters: Counters) -> AsyncIterator[None]:
        """Write it to the file, if there is one, which is not emptied before this is left.

        By then it is remembered elsewhere, or refused.

        Raises:
            Overloaded: there is no room for it.
        """
        self._under_way += 1
        try:
            await self._append(kept, max_bytes, counters)
            yield
        finally:
            self._under_way -= 1

    async def _append(self, kept: Kept, max_bytes: int, counters: Counters) -> None:
        if self._file is None:
            return
        record = _encode(kept)
        try:
            if self._file.size + len(record) > max_bytes:
                raise JournalFull("the bound is reached")  # noqa: TRY301 as a full disk
            await self._file.append(record)
        except JournalFull as error:
            counters.journal_refusals += 1
            log.warning("a change could not be kept", why=str(error))
            raise Overloaded(_FULL) from error

    async def note(self, kept: Kept, max_bytes: int) -> None:
        """Write it to the file, if there is one that has room: nobody waits for an answer."""
        if self._file is None:
            return
        record = _encode(kept)
        if self._file.size + len(record) <= max_bytes:
            with suppress(JournalFull):
                await self._file.append(record)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be stored."""
        return not (self.keys or self.creates or self.ends or self.left_behind)

    def clear_if_idle(self) -> None:
        """Empty the file if all that it holds is in the store."""
        if self.is_idle and not self._under_way and self._file is not None:
            self._file.clear()

    async def close(self) -> None:
        """Let another process have the file."""
        if self._file is not None:
            await self._file.close()


def _decoded(records: Sequence[bytes]) -> list[Kept]:
    kept: list[Kept] = []
    for record in records:
        try:
            kept.append(_decoder.decode(record))
        except msgspec.MsgspecError as error:
            # Whole, as its checksum shows: written by a version that knows more.
            kind = type(error).__name__
            log.error("a record of the journal is not understood", why=kind)  # noqa: TRY400
    return kept
