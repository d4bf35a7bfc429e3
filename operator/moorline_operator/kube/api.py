"""The API server over HTTP: plain JSON in, plain JSON out.

Typed models are passed over on purpose: building one costs milliseconds a pod, and drops the
fields that a newer server knows. Credentials, TLS and the renewing of tokens are the official
client's.
"""

import re
import warnings
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeAlias, TypedDict, TypeVar
from urllib.parse import quote, urlencode
from urllib.request import getproxies

import aiohttp
import msgspec
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTResponse
from msgspec import Struct

from moorline_operator import naming
from moorline_operator.errors import ConfigurationError, Unavailable
from moorline_operator.kube.kinds import Kind
from moorline_operator.kube.refusals import refusal

KubeObject: TypeAlias = dict[str, Any]

REQUEST_SECONDS: Final = 10.0

WATCH_SECONDS: Final = 240
"""How long the API server keeps a watch open; a new one goes on where it ended."""

SILENCE_SECONDS: Final = 90.0
"""A watch without a byte for that long is dead: bookmarks come about every minute."""

CONNECTIONS: Final = 64
"""For requests; each watch has one more to itself."""

_TOKEN: Final = "BearerToken"  # noqa: S105 - the name of a setting
_JSON: Final = "application/json"
# With a parameter, for without one the client would write the JSON by itself.
_APPLY: Final = "application/apply-patch+yaml; charset=utf-8"
_JSON_PATCH: Final = "application/json-patch+json"
_CLIENT_ERROR: Final = 400

_S = TypeVar("_S")


class _Page(TypedDict, Generic[_S]):
    metadata: KubeObject
    items: list[_S]


class _Event(Struct):
    type: str
    object: msgspec.Raw


# What it is a page of is known only when the program runs.
_PAGE: Final[Any] = _Page
_OBJECTS: Final = msgspec.json.Decoder(KubeObject)
_EVENTS: Final = msgspec.json.Decoder(_Event)


class Kube:
    """Requests to one API server; any number at a time, of which `CONNECTIONS` are under way.

    Every method raises a `KubeError`: `Unavailable` without an answer within `REQUEST_SECONDS`,
    else what the answer says.
    """

    def __init__(self, client: ApiClient, guard: Callable[[], None] = lambda: None) -> None:
        self._client = client
        self._guard = guard

    def guarded(self, guard: Callable[[], None]) -> "Kube":
        """The same, but `guard` is called before every write and may raise instead of it."""
        return Kube(self._client, guard)

    async def get(self, kind: Kind, namespace: str, name: str) -> KubeObject:
        return await self._request("GET", _path(kind, namespace, name))

    async def pages(  # noqa: PLR0913 - what is listed, and how
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 500,
        shape: Any = KubeObject,  # noqa: ANN401 - a type, as a TypedDict is one
    ) -> AsyncIterator[KubeObject]:
        """Lists, one a page; every page has the resourceVersion of the first.

        Of each object only the members of `shape` are kept.

        Raises:
            Expired: it took the reader too long to ask for the next page: begin anew.
        """
        more = ""
        decoder = msgspec.json.Decoder(_PAGE[shape])
        while True:
            query = {
                "labelSelector": labels,
                "fieldSelector": fields,
                "limit": str(limit),
                "continue": more,
            }
            page = await self._request("GET", _path(kind, namespace), query, decoder=decoder)
            yield page
            more = page["metadata"].get("continue", "")
            if not more:
                return

    async def watch(  # noqa: PLR0913 - what is watched, and how
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        since: str,
        shape: Any = KubeObject,  # noqa: ANN401 - as above
    ) -> AsyncIterator[KubeObject]:
        """Events as the API server sends them, bookmarks among them, until it ends the watch.

        Of each object only the members of `shape` are kept.

        Raises:
            Expired: what happened since is forgotten: list anew.
        """
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
            "resourceVersion": since,
            "labelSelector": labels,
            "fieldSelector": fields,
        }
        timeout = aiohttp.ClientTimeout(
            sock_connect=REQUEST_SECONDS, sock_read=SILENCE_SECONDS, total=None
        )
        path = _path(kind, namespace)
        decoder = msgspec.json.Decoder(shape)
        async with self._answer("GET", path, query, timeout=timeout) as answer:
            async for line in _lines(answer.response.content):
                event = _EVENTS.decode(line)
                if event.type == "ERROR":
                    status = msgspec.json.decode(event.object)
                    raise refusal(f"watch {path}", status.get("code", 0), line)
                yield {"type": event.type, "object": decoder.decode(event.object)}

    async def create(self, kind: Kind, obj: KubeObject, *, is_dry_run: bool = False) -> KubeObject:
        """Create it, or in a dry run only find out whether it could be."""
        path = _path(kind, obj["metadata"].get("namespace", ""))
        query = {"dryRun": "All"} if is_dry_run else {}
        return await self._request("POST", path, query, body=obj)

    async def replace(self, kind: Kind, obj: KubeObject) -> KubeObject:
        """Write an object as it was read and changed; guarded by its resourceVersion.

        Raises:
            Conflict: it is not as it was read.
        """
        metadata = obj["metadata"]
        path = _path(kind, metadata.get("namespace", ""), metadata["name"])
        return await self._request("PUT", path, body=obj)

    async def apply(self, kind: Kind, obj: KubeObject, *, subresource: str = "") -> KubeObject:
        """Server-side apply as `naming.FIELD_MANAGER`, taking fields over from whoever has them."""
        metadata = obj["metadata"]
        path = _path(kind, metadata.get("namespace", ""), metadata["name"], subresource)
        query = {"fieldManager": naming.FIELD_MANAGER, "force": "true"}
        return await self._request("PATCH", path, query, body=_as_yaml(obj), content_type=_APPLY)

    async def json_patch(
        self, kind: Kind, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> KubeObject:
        """Change an object by the operations of RFC 6902.

        Raises:
            Invalid: a `test` among them does not hold, or the result is wrong.
        """
        path = _path(kind, namespace, name)
        query = {"fieldManager": naming.FIELD_MANAGER}
        return await self._request(
            "PATCH", path, query, body=list(operations), content_type=_JSON_PATCH
        )

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str = "", resource_version: str = ""
    ) -> None:
        """Delete in the background, if the object still is that one.

        Raises:
            Conflict: it is another one, or not as it was read.
        """
        conditions = {"uid": uid, "resourceVersion": resource_version}
        body = {
            "propagationPolicy": "Background",
            "preconditions": {name: value for name, value in conditions.items() if value},
        }
        await self._request("DELETE", _path(kind, namespace, name), body=body)

    async def _request(  # noqa: PLR0913 - a request has that many parts
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: object = None,
        content_type: str = _JSON,
        decoder: msgspec.json.Decoder[Any] = _OBJECTS,
    ) -> KubeObject:
        if method != "GET":
            self._guard()
        async with self._answer(
            method, path, query or {}, body=body, content_type=content_type
        ) as answer:
            found: KubeObject = decoder.decode(await _body(answer))
            return found

    @asynccontextmanager
    async def _answer(  # noqa: PLR0913 - a request has that many parts
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        body: object = None,
        content_type: str = _JSON,
        timeout: aiohttp.ClientTimeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS),  # noqa: ASYNC109, B008 - aiohttp's own, and frozen
    ) -> AsyncIterator[RESTResponse]:
        action = f"{method} {path}"
        configuration = self._client.configuration
        headers = {"Accept": _JSON, "Content-Type": content_type}
        token = await configuration.get_api_key_with_prefix(_TOKEN)
        if token:
            headers["Authorization"] = token
        asked = urlencode({name: value for name, value in query.items() if value})
        try:
            answer = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
                method,
                f"{configuration.host}{path}{'?' if asked else ''}{asked}",
                headers=headers,
                body=body,
                _request_timeout=timeout,
            )
            try:
                if answer.status >= _CLIENT_ERROR:
                    raise refusal(action, answer.status, await _body(answer))
                yield answer
            finally:
                answer.response.release()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(action, str(error) or type(error).__name__) from error


@asynccontextmanager
async def connected(watches: int = 0) -> AsyncIterator[Kube]:
    """The API server of the pod this process runs in, else of the current kubeconfig.

    `watches` is how many are open at a time.

    Raises:
        ConfigurationError: there is neither, or it cannot be used.
    """
    configuration = Configuration()
    # Our own pool, as large as all that may go on at a time; no retries: callers decide.
    configuration.connection_pool_maxsize = CONNECTIONS + watches
    configuration.retries = None
    # Where there are proxies, aiohttp looks for the right one in a thread, for every request.
    configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
    # Python 3.13 wants extensions that the certificates of many clusters do not have. Chain and
    # name are verified as ever.
    configuration.disable_strict_ssl_verification = True
    try:
        with warnings.catch_warnings():
            # In a pod there is no kubeconfig, which the client finds worth a warning.
            warnings.simplefilter("ignore", UserWarning)
            await config.load_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise ConfigurationError([f"no way to the API server: {error}"]) from error
    async with ApiClient(configuration) as client:
        yield Kube(client)


def _path(kind: Kind, namespace: str, name: str = "", subresource: str = "") -> str:
    parts = [kind.root]
    if namespace:
        parts += ["namespaces", quote(namespace, safe="")]
    parts += [part for part in (kind.plural, quote(name, safe=""), subresource) if part]
    return "/".join(parts)


def _as_yaml(obj: KubeObject) -> str:
    """JSON that a YAML parser reads as well.

    In YAML an escape is no half of a surrogate pair, so what is beyond the first plane is written
    as it is. Most of what is below cannot be escaped wrongly, and control characters have to be.
    """
    text = msgspec.json.encode(obj).decode()
    return re.sub("[\x7f-\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)


async def _body(answer: RESTResponse) -> bytes:
    body: bytes = await answer.read()  # type: ignore[no-untyped-call]
    return body


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
