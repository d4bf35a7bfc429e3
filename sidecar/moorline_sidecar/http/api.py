"""The data plane's API without I/O: a parsed request in, a response or an awaitable of one out."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any, Final

import structlog
from msgspec import Raw

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.content import content_of
from moorline_sidecar.domain.ids import new_id
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import (
    AttributeUnknown,
    InvalidRequest,
    MoorlineError,
    VersionConflict,
)
from moorline_sidecar.http import bodies
from moorline_sidecar.http.answers import PREFERENCE_APPLIED, Answers
from moorline_sidecar.http.asking import Asking, context_of, is_json
from moorline_sidecar.http.by_cookie import ByCookie
from moorline_sidecar.http.by_principal import ByPrincipal
from moorline_sidecar.http.gate import Gate
from moorline_sidecar.http.limits import Limits
from moorline_sidecar.http.messages import Request, Response
from moorline_sidecar.http.problems import problem
from moorline_sidecar.http.refusals import refusal_of
from moorline_sidecar.http.shortcut import Shortcut
from moorline_sidecar.http.targets import (
    ROUTES,
    NamedSession,
    Target,
    named_session,
    query_of,
    target_of,
)
from moorline_sidecar.sessions.renewing import Renewal
from moorline_sidecar.sessions.service import Served, Sessions

_NEED_A_BODY: Final = frozenset({b"PUT", b"PATCH"})

log = structlog.get_logger(__name__)


class _Refused(Exception):
    """The answer to a request that is not looked at further."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__()


def _refused(name: str, detail: str, fields: bytes = b"") -> _Refused:
    return _Refused(problem(name, detail, fields=fields))


class Api:
    """Implements `messages.Application` on the sessions of this worker."""

    def __init__(
        self,
        sessions: Sessions,
        by_cookie: ByCookie,
        gate: Gate,
        default_context: str = "/",
        limits: Limits | None = None,
    ) -> None:
        self.shortcut = Shortcut(sessions, by_cookie, gate, default_context, limits or Limits())
        self._sessions = sessions
        self._by_cookie = by_cookie
        self._by_principal = ByPrincipal(sessions)
        self._gate = gate
        self._default_context = default_context
        self._answers = Answers(sessions)

    def follow(self, by_cookie: ByCookie, default_context: str) -> None:
        """Answer requests that come from now on by these; those under way are not touched."""
        self._by_cookie = by_cookie
        self._default_context = default_context
        self.shortcut.follow(by_cookie, default_context)

    def screen(self, head: Request) -> Response | None:
        """The refusal that the head alone deserves."""
        try:
            self._screened(head)
        except _Refused as refused:
            return refused.response
        except InvalidRequest as error:
            return refusal_of(error)
        return None

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """The answer to a request; at once for a read that the L1 may answer."""
        try:
            target = self._screened(request)
            query = query_of(request.query) if request.query else {}
            asking = Asking(request, query, context_of(request, query, self._default_context))
            answer = self._dispatch(target, asking)
        except _Refused as refused:
            return refused.response
        except MoorlineError as error:
            return self._answers.refused(error)
        return answer if isinstance(answer, Response) else self._guarded(answer, target, asking)

    def _screened(self, head: Request) -> Target:
        """The target of a request whose head is in order.

        Raises:
            _Refused, InvalidRequest: it is not.
        """
        refusal = self._gate.refusal(head.headers)
        if refusal is not None:
            raise _Refused(refusal)
        target = target_of(head.path)
        if target is None:
            raise _refused("route-unknown", "The API is described in docs/openapi.yaml.")
        methods = ROUTES[target.route]
        if head.method not in methods:
            allowed = b"Allow: %b\r\n" % b", ".join(sorted(methods))
            detail = "This route takes other methods, see Allow."
            raise _refused("method-not-allowed", detail, allowed)
        length = head.headers.get(b"content-length")
        has_body = length is not None or b"transfer-encoding" in head.headers
        # Clients name a type for bodies that they do not send, too.
        if has_body and length != b"0" and not is_json(head.headers):
            raise _refused(
                "unsupported-media-type",
                "Send JSON, as Content-Type: application/json (with curl: --json in place of -d).",
            )
        has_default = (head.method, target.route) == (b"PUT", ("sessions", "{id}"))
        if not has_body and head.method in _NEED_A_BODY and not has_default:
            raise _refused("length-required", "This route takes a body; send its Content-Length.")
        return target

    async def _guarded(
        self, answer: Awaitable[Response], target: Target, asking: Asking
    ) -> Response:
        try:
            return await answer
        except VersionConflict as error:
            return self._answers.conflict(error, asking, target)
        except MoorlineError as error:
            return self._answers.refused(error)

    def _dispatch(self, target: Target, asking: Asking) -> Response | Awaitable[Response]:
        match target.route:
            case ("sessions",):
                return self._create(asking)
            case ("session", *verb):
                return self._by_cookie.answer(tuple(verb), asking)
            case ("principals", *_):
                return self._by_principal.answer(target.parameters, asking)
            case ("sessions", _, *rest):
                named = named_session(target.parameters[0])
                return self._on_session(named, tuple(rest), target, asking)
        raise InvalidRequest("malformed-request", "The route is not served.")

    def _on_session(  # noqa: PLR0911 one case a route
        self, named: NamedSession, rest: tuple[str, ...], target: Target, asking: Asking
    ) -> Response | Awaitable[Response]:
        method = asking.request.method
        body = asking.request.body
        match rest, method:
            case (), b"GET" | b"HEAD":
                return self._read(named, asking)
            case (), b"PUT":
                return self._put(named, asking)
            case (), b"PATCH":
                return self._change(named, asking, bodies.patch(body, asking.context))
            case (), b"DELETE":
                return self._delete(named)
            case ("touch",), _:
                return self._touch(named, asking)
            case ("complete",), _:
                return self._complete(named, asking)
            case ("renew",), _:
                return self._renew(named, asking)
            case ("attributes",), _:
                patch = bodies.attribute_map(body, asking.context)
                return self._change(named, asking, patch, may_represent=False)
            case _:
                return self._on_attribute(named, target.parameters[1], asking)

    # Reading

    def _read(self, named: NamedSession, asking: Asking) -> Response | Awaitable[Response]:
        key = self._sessions.key_of(named.session_id)
        served = self._sessions.read(key, asking.hint(named), is_access=asking.is_access)
        if isinstance(served, Served):
            return self._answers.read(served, named.session_id, asking)
        return self._read_later(served, named, asking)

    async def _read_later(
        self, served: Awaitable[Served], named: NamedSession, asking: Asking
    ) -> Response:
        return self._answers.read(await served, named.session_id, asking)

    async def _found(self, named: NamedSession, asking: Asking) -> Served:
        key = self._sessions.key_of(named.session_id)
        served = self._sessions.read(key, asking.hint(named))
        return served if isinstance(served, Served) else await served

    async def _touch(self, named: NamedSession, asking: Asking) -> Response:
        return self._answers.empty(await self._found(named, asking), named.session_id, asking)

    # Changing

    async def _create(self, asking: Asking) -> Response:
        patch = bodies.creation(asking.request.body, asking.context)
        session_id = new_id()
        served, session_id = await self._sessions.create(
            session_id, asking.asked(patch, session_id)
        )
        return self._answers.created(served, session_id, asking)

    def _put(self, named: NamedSession, asking: Asking) -> Coroutine[Any, Any, Response]:
        condition = asking.request.headers.get(b"if-none-match")
        body = asking.request.body
        if condition is None:
            return self._replace(named, asking, bodies.replacement(body, asking.context))
        if condition.strip() != b"*":
            raise InvalidRequest("malformed-request", "PUT takes If-None-Match: * only.")
        return self._create_as(named, asking, bodies.creation(body, asking.context))

    async def _create_as(self, named: NamedSession, asking: Asking, patch: Patch) -> Response:
        asked = asking.asked(patch, named.session_id)
        served, _ = await self._sessions.create(named.session_id, asked, remembered=False)
        return self._answers.created(served, named.session_id, asking)

    async def _replace(self, named: NamedSession, asking: Asking, patch: Patch) -> Response:
        served = await self._changed(named, asking, patch)
        return self._answers.changed(
            served, named.session_id, asking, asking.hint(named), shows_session=True
        )

    async def _change(
        self, named: NamedSession, asking: Asking, patch: Patch, *, may_represent: bool = True
    ) -> Response:
        served = await self._changed(named, asking, patch)
        shows_session = may_represent and asking.wants_representation
        more = PREFERENCE_APPLIED if shows_session else b""
        return self._answers.changed(
            served,
            named.session_id,
            asking,
            asking.hint(named),
            shows_session=shows_session,
            more=more,
        )

    async def _changed(self, named: NamedSession, asking: Asking, patch: Patch) -> Served:
        key = self._sessions.key_of(named.session_id)
        asked = asking.asked(patch, named.session_id)
        return await self._sessions.change(key, asked, asking.hint(named))

    async def _complete(self, named: NamedSession, asking: Asking) -> Response:
        body = asking.request.body
        patch = bodies.patch(body, asking.context) if body else Patch(context=asking.context)
        key = self._sessions.key_of(named.session_id)
        asked = asking.asked(patch, named.session_id)
        served = await self._sessions.complete(key, asked, asking.hint(named))
        return self._answers.changed(served, named.session_id, asking, asking.hint(named))

    async def _renew(self, named: NamedSession, asking: Asking) -> Response:
        patch, wanted_id = bodies.renewal(asking.request.body, asking.context)
        renewal = Renewal(
            session_id=named.session_id,
            new_id=None if wanted_id is None else named_session(wanted_id).session_id,
            asked=asking.asked(patch, named.session_id),
            hint=asking.hint(named),
        )
        served, new_session_id = await self._sessions.renew(renewal)
        return self._answers.renewed(served, new_session_id, asking)

    async def _delete(self, named: NamedSession) -> Response:
        key = self._sessions.key_of(named.session_id)
        await self._sessions.invalidate(key)
        return self._answers.gone(key=key)

    # One attribute

    async def _on_attribute(self, named: NamedSession, name: str, asking: Asking) -> Response:
        if asking.request.method == b"PUT":
            patch = bodies.attribute(asking.request.body, asking.context, name)
            return await self._change(named, asking, patch, may_represent=False)
        bodies.check_attribute_name(name)
        served = await self._found(named, asking)
        attributes = _attributes(served.entry, asking.context)
        if asking.request.method == b"DELETE":
            if name not in attributes:
                # A copy must not decide that there is nothing to do.
                key = self._sessions.key_of(named.session_id)
                attributes = _attributes(await self._sessions.refresh(key), asking.context)
            if name not in attributes:
                raise AttributeUnknown
            patch = Patch(context=asking.context, unset=(name,))
            return await self._change(named, asking, patch, may_represent=False)
        if name not in attributes:
            raise AttributeUnknown
        return self._answers.attribute(served, named.session_id, asking, attributes[name])


def _attributes(entry: Entry, context: str) -> Mapping[str, Raw]:
    record = entry.record
    return content_of(record.contexts).raw(context) if isinstance(record, Session) else {}
