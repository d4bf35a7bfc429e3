"""A few routes, as what the data plane's protocol serves: those of health and operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from moorline_sidecar.errors import InvalidRequest, OutcomeUnknown, StoreUnavailable
from moorline_sidecar.http.gate import Gate
from moorline_sidecar.http.messages import Request, Response
from moorline_sidecar.http.problems import problem
from moorline_sidecar.http.targets import decoded

Handler: TypeAlias = Callable[[Request, str], Response | Awaitable[Response]]
"""Gets the request, and what its path has in the place of `*`."""

JSON: Final = b"Content-Type: application/json\r\nCache-Control: no-store\r\n"

_ALSO: Final = {"GET": ("GET", "HEAD")}


class Routes:
    """Implements `messages.Application`.

    `handlers` has a method and a path, separated by a space, for each; a `*` at the end of a path
    stands for one segment. A handler may raise InvalidRequest, StoreUnavailable or OutcomeUnknown.
    """

    def __init__(self, handlers: Mapping[str, Handler], gate: Gate | None = None) -> None:
        self._gate = gate
        self._paths: dict[bytes, dict[bytes, Handler]] = {}
        for route, handler in handlers.items():
            method, path = route.split(" ")
            methods = self._paths.setdefault(path.encode(), {})
            methods.update({also.encode(): handler for also in _ALSO.get(method, (method,))})

    def screen(self, head: Request) -> Response | None:
        """The refusal that the head alone deserves."""
        refusal = None if self._gate is None else self._gate.refusal(head.headers)
        if refusal is not None:
            return refusal
        methods, _ = self._found(head.path)
        if not methods:
            return problem("route-unknown", "This listener does not serve that path.")
        if head.method in methods:
            return None
        allowed = b", ".join(sorted(methods))
        detail = f"This path takes {allowed.decode()}."
        return problem("method-not-allowed", detail, fields=b"Allow: %b\r\n" % allowed)

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """The answer of the route's handler."""
        refusal = self.screen(request)
        return self._handled(request) if refusal is None else refusal

    async def _handled(self, request: Request) -> Response:
        methods, segment = self._found(request.path)
        try:
            answer = methods[request.method](request, decoded(segment))
            return answer if isinstance(answer, Response) else await answer
        except InvalidRequest as error:
            return problem(error.problem, error.detail)
        except StoreUnavailable as error:
            why = str(error) or "the store is out of reach"
            return problem("store-unavailable", f"Repeat it later: {why}")
        except OutcomeUnknown as error:
            return problem("outcome-unknown", f"Perhaps it was done: {error}")

    def _found(self, path: bytes) -> tuple[Mapping[bytes, Handler], bytes]:
        """The handlers of a path by method, none if it is not served; and what `*` stands for."""
        methods = None if b"*" in path else self._paths.get(path)
        if methods is not None:
            return methods, b""
        start, slash, segment = path.rpartition(b"/")
        return (self._paths.get(start + slash + b"*", {}) if segment else {}), segment


def json_answer(value: object, status: int = 200) -> Response:
    return Response(status, JSON, msgspec.json.encode(value))


def parameters(request: Request, *known: str) -> Mapping[str, str]:
    """Those of the query; one that is unknown or given twice is refused rather than overlooked.

    Raises:
        InvalidRequest: there is such a one, or it is not UTF-8.
    """
    try:
        pairs = parse_qsl(request.query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidRequest("malformed-request", "The query is not UTF-8.") from None
    found = dict(pairs)
    for name, _ in pairs:
        if name not in known or len(found) < len(pairs):
            detail = f"{name!r} is no parameter of this route, or is given twice."
            raise InvalidRequest("malformed-request", detail)
    return found
