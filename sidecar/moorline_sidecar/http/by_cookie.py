"""The routes of `/v1/session`: the session that the browser's cookies name.

Cookies are written seldom (docs/sessions.md): a slow answer must not undo a login that overtook it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from moorline_api import HintPlacement
from msgspec import Struct

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.cookies import Cookies, Presented
from moorline_sidecar.domain.ids import Hint, new_id
from moorline_sidecar.errors import (
    InvalidRequest,
    MoorlineError,
    SessionEnded,
    SessionUnknown,
    StoreUnavailable,
    VersionConflict,
)
from moorline_sidecar.http import bodies
from moorline_sidecar.http.answers import PREFERENCE_APPLIED, Answers
from moorline_sidecar.http.asking import Asking
from moorline_sidecar.http.messages import Response
from moorline_sidecar.http.targets import named_session
from moorline_sidecar.sessions.renewing import Renewal
from moorline_sidecar.sessions.service import Served, Sessions

CANDIDATES_MAX: Final = 8
"""Different ids in the cookies of one request that are looked up: a browser sends one or two."""


class Claim(Struct, frozen=True):
    """What a request says about its session: `kept` is the hint in the browser's own cookies."""

    ids: tuple[str, ...]
    hint: Hint | None
    kept: Hint | None
    is_by_cookie: bool


class ByCookie:
    """Answers for whoever forwards a browser's `Cookie` and passes every `Set-Cookie` back."""

    def __init__(self, sessions: Sessions, cookies: Cookies) -> None:
        self._sessions = sessions
        self._cookies = cookies
        self._answers = Answers(sessions)

    def answer(  # noqa: PLR0911 one case a route
        self, verb: tuple[str, ...], asking: Asking
    ) -> Response | Awaitable[Response]:
        """The answer for `/v1/session` and what follows it."""
        claim = self._claim(asking)
        match verb, asking.request.method:
            case (), b"GET" | b"HEAD":
                return self._read(claim, asking)
            case (), b"POST":
                return self._get_or_create(claim, asking)
            case (), b"PATCH":
                return self._change(claim, asking)
            case (), b"DELETE":
                return self._delete(claim)
            case ("touch",), _:
                return self._touch(claim, asking)
            case ("complete",), _:
                return self._complete(claim, asking)
            case _:
                return self._renew(claim, asking)

    # The session that is meant

    def presented(self, cookie: bytes) -> Presented:
        """What a `Cookie` field says, where there is no other field that says it."""
        return self._cookies.presented(None, cookie)

    def _claim(self, asking: Asking) -> Claim:
        headers = asking.request.headers
        hint = headers.get(b"moorline-hint")
        direct = headers.get(b"moorline-session")
        if direct is not None:
            named = named_session(direct.decode("latin-1"))
            return Claim((named.session_id,), asking.hint(named), None, is_by_cookie=False)
        presented = self._cookies.presented(hint, headers.get(b"cookie"))
        return Claim(presented.ids, presented.hint, presented.kept, is_by_cookie=True)

    async def _found(self, claim: Claim, *, is_access: bool = True) -> tuple[str, Served]:
        """The one live session of the claim.

        Raises:
            SessionUnknown, SessionEnded: there is none.
            InvalidRequest: there are two.
            StoreUnavailable: one could not be looked up; in an outage only if no other lives.
        """
        refusal: MoorlineError = SessionUnknown(is_named=bool(claim.ids))
        unavailable: StoreUnavailable | None = None
        # Only the one that is meant is accessed: with several, all are only peeked at first.
        is_alone = len(claim.ids) == 1
        found: list[tuple[str, Served]] = []
        for session_id in claim.ids[:CANDIDATES_MAX]:
            try:
                served = await self._served(claim, session_id, is_access=is_access and is_alone)
            except SessionUnknown:
                continue
            except SessionEnded as ended:
                refusal = ended
            except StoreUnavailable as error:
                unavailable = error
            else:
                found.append((session_id, served))
        if unavailable is not None and not (found and self._sessions.core.availability.is_down):
            raise unavailable
        # An id in its grace is on its way out: the one that lives on is meant.
        living = [pair for pair in found if not pair[1].was_renewed] or found
        if not living:
            raise refusal
        if len(living) > 1:
            raise InvalidRequest(
                "ambiguous-cookie",
                "The cookies name two different live sessions; end one of them by its id.",
            )
        if is_access and not is_alone:
            session_id = living[0][0]
            return session_id, await self._served(claim, session_id, is_access=True)
        return living[0]

    async def _served(self, claim: Claim, session_id: str, *, is_access: bool) -> Served:
        key = self._sessions.key_of(session_id)
        answer = self._sessions.read(key, claim.hint, is_access=is_access)
        return answer if isinstance(answer, Served) else await answer

    # Verbs

    def _read(self, claim: Claim, asking: Asking) -> Response | Awaitable[Response]:
        if len(claim.ids) != 1:
            return self._read_one_of(claim, asking)
        session_id = claim.ids[0]
        key = self._sessions.key_of(session_id)
        served = self._sessions.read(key, claim.hint, is_access=asking.is_access)
        if isinstance(served, Served):
            return self._answers.read(
                served, session_id, asking, self._kept_cookies(claim, session_id, served)
            )
        return self._read_later(served, claim, session_id, asking)

    async def _read_later(
        self, answer: Awaitable[Served], claim: Claim, session_id: str, asking: Asking
    ) -> Response:
        served = await answer
        more = self._kept_cookies(claim, session_id, served)
        return self._answers.read(served, session_id, asking, more)

    async def _read_one_of(self, claim: Claim, asking: Asking) -> Response:
        session_id, served = await self._found(claim, is_access=asking.is_access)
        more = self._kept_cookies(claim, session_id, served)
        return self._answers.read(served, session_id, asking, more)

    async def _get_or_create(self, claim: Claim, asking: Asking) -> Response:
        try:
            session_id, served = await self._found(claim)
        except (SessionUnknown, SessionEnded):
            return await self._create(asking)
        more = self._kept_cookies(claim, session_id, served)
        return self._answers.whole(served, session_id, asking, more)

    async def _create(self, asking: Asking) -> Response:
        patch = bodies.creation(asking.request.body, asking.context)
        session_id = new_id()
        served, session_id = await self._sessions.create(
            session_id, asking.asked(patch, session_id)
        )
        return self._answers.created(served, session_id, asking, self._new(session_id, served))

    async def _change(self, claim: Claim, asking: Asking) -> Response:
        patch = bodies.patch(asking.request.body, asking.context)
        session_id, served = await self._changed(claim, asking, patch)
        return self._answers.changed(
            served,
            session_id,
            asking,
            claim.hint,
            shows_session=asking.wants_representation,
            more=self._changed_cookies(claim, session_id, served)
            + (PREFERENCE_APPLIED if asking.wants_representation else b""),
        )

    async def _changed(
        self, claim: Claim, asking: Asking, patch: Patch, *, completes: bool = False
    ) -> tuple[str, Served]:
        session_id = await self._meant(claim)
        key = self._sessions.key_of(session_id)
        asked = asking.asked(patch, session_id)
        verb = self._sessions.complete if completes else self._sessions.change
        try:
            return session_id, await verb(key, asked, claim.hint)
        except VersionConflict as error:
            error.session_id = session_id
            raise

    async def _meant(self, claim: Claim) -> str:
        """The id to change; looked up only where several are presented."""
        if not claim.ids:
            raise SessionUnknown(is_named=False)
        if len(claim.ids) == 1:
            return claim.ids[0]
        return (await self._found(claim, is_access=False))[0]

    async def _touch(self, claim: Claim, asking: Asking) -> Response:
        session_id, served = await self._found(claim)
        more = self._kept_cookies(claim, session_id, served)
        return self._answers.empty(served, session_id, asking, more)

    async def _complete(self, claim: Claim, asking: Asking) -> Response:
        body = asking.request.body
        patch = bodies.patch(body, asking.context) if body else Patch(context=asking.context)
        session_id, served = await self._changed(claim, asking, patch, completes=True)
        more = self._changed_cookies(claim, session_id, served)
        return self._answers.changed(served, session_id, asking, claim.hint, more=more)

    async def _renew(self, claim: Claim, asking: Asking) -> Response:
        patch, wanted_id = bodies.renewal(asking.request.body, asking.context)
        session_id = await self._meant(claim)
        renewal = Renewal(
            session_id=session_id,
            new_id=None if wanted_id is None else named_session(wanted_id).session_id,
            asked=asking.asked(patch, session_id),
            hint=claim.hint,
        )
        try:
            served, successor_id = await self._sessions.renew(renewal)
        except VersionConflict as error:
            error.session_id = session_id
            raise
        more = self._new(successor_id, served)
        return self._answers.renewed(served, successor_id, asking, more)

    async def _delete(self, claim: Claim) -> Response:
        try:
            session_id = await self._meant(claim)
        except SessionEnded:
            return self._answers.gone()
        key = self._sessions.key_of(session_id)
        has_ended = await self._sessions.invalidate(key)
        # Had it ended before, a login may have set new cookies since: they are not touched.
        expired = self._cookies.expired_cookies() if has_ended else ()
        return self._answers.gone(b"".join(map(_set_cookie, expired)), key=key)

    # Cookies

    def _new(self, session_id: str, served: Served) -> bytes:
        """Both cookies; none for a session that is not stored yet."""
        hint = self._answers.renderer.hint(served.entry)
        if hint.version == 0 or served.was_renewed:
            return b""
        written = _set_cookie(self._cookies.session_cookie(session_id, hint.worker))
        if self._cookies.policy.hint is HintPlacement.SEPARATE:
            written += _set_cookie(self._cookies.hint_cookie(hint))
        return written

    def _changed_cookies(self, claim: Claim, session_id: str, served: Served) -> bytes:
        if served.is_born:
            return self._new(session_id, served)
        presented = claim.hint.version if claim.hint is not None and served.was_changed else 0
        return self._kept_cookies(claim, session_id, served, at_least=presented)

    def _kept_cookies(
        self, claim: Claim, session_id: str, served: Served, *, at_least: int = 0
    ) -> bytes:
        if not claim.is_by_cookie or served.was_renewed:
            return b""
        return self.kept_cookies(session_id, served.entry, claim.kept, at_least=at_least)

    def kept_cookies(
        self, session_id: str, entry: Entry, kept: Hint | None, *, at_least: int = 0
    ) -> bytes:
        """What has to be written to a browser that has the cookies already: mostly nothing."""
        hint = self._answers.renderer.hint(entry, at_least)
        if hint.version == 0:
            return b""
        written = b""
        placement = self._cookies.policy.hint
        kept_worker = kept.worker if kept is not None else None
        has_moved = placement is HintPlacement.SUFFIX and kept_worker != hint.worker
        now = self._sessions.core.clock.now()
        if has_moved or self._cookies.is_refresh_due(entry.cookie_set, now):
            entry.cookie_set = now
            written = _set_cookie(self._cookies.session_cookie(session_id, hint.worker))
        if placement is HintPlacement.SEPARATE and kept != hint:
            written += _set_cookie(self._cookies.hint_cookie(hint))
        return written


def _set_cookie(value: bytes) -> bytes:
    return b"Set-Cookie: %b\r\n" % value
