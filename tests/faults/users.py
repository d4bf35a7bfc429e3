"""Users with several tabs each, whose requests go to any worker; everything is written down."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
from msgspec import Struct, structs

from tests.faults.history import Call, Kind, Seen, Story
from tests.faults.processes import Worker

ANSWER_SECONDS: Final = 30.0
"""Longer than anything is frozen or held up: a call whose answer is not waited for says little."""

TRIES_MAX: Final = 8
OLD: Final = 0.3
"""Of the changes with If-Match, those that may name a version that is not the newest."""

DOUBLED: Final = 0.2
"""Of the increments, those that are sent again though they were answered."""

SHOWN: Final = 0.3
"""Of the changes, those that ask to be shown the session."""

COUNTER: Final = "count"
TIRED_SECONDS: Final = (0.2, 1.0)
"""Between two tries of the same call."""

METHODS: Final[dict[Kind, tuple[str, str]]] = {
    Kind.READ: ("GET", ""),
    Kind.PEEK: ("GET", "?touch=false"),
    Kind.TOUCH: ("POST", "/touch"),
    Kind.CHANGE: ("PATCH", ""),
    Kind.INCREMENT: ("PATCH", ""),
    Kind.GUARDED: ("PATCH", ""),
    Kind.RENEW: ("POST", "/renew"),
    Kind.END: ("DELETE", ""),
}
UNREPEATED: Final = frozenset({"POST", "PATCH"})
"""The methods of which the client sends no request twice when its connection breaks."""

_stories = itertools.count(1)


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Hint(Struct, frozen=True):
    """What an answer showed under the id at `place`, and the tag that names it."""

    place: int
    version: int
    worker: str
    tag: str


class Asked(Struct, frozen=True):
    """A call before it is made, of a worker in one of its lives."""

    kind: Kind
    place: int
    worker: Worker
    life: int
    name: str = ""
    hint: Hint | None = None
    is_final: bool = False
    planted: str = ""
    """The id that is sent, where it is not for the sidecar to take."""


class Reply(Struct, frozen=True):
    """An answer as it came; status 0 for none."""

    status: int
    sent: int
    received: int
    headers: Mapping[str, str]
    body: Any


class Town(Struct):
    """Where requests may go, and how fast they are made."""

    workers: Sequence[Worker]
    http: aiohttp.ClientSession
    chance: random.Random
    think_seconds: float
    steps_max: int
    """Of a tab, before its user leaves."""
    stop: asyncio.Event
    note_outage: Callable[[str, int, int], None]

    def any_worker(self) -> Worker:
        return self.chance.choice(self.workers)

    async def think(self, seconds: float | None = None) -> None:
        """Wait, but not beyond the end."""
        pause = self.chance.expovariate(1 / self.think_seconds) if seconds is None else seconds
        try:
            async with asyncio.timeout(pause):
                await self.stop.wait()
        except TimeoutError:
            return

    async def ask(
        self, worker: Worker, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> Reply | None:
        """The answer; None if nobody took the request."""
        sent = now_ms()
        url = f"http://127.0.0.1:{worker.port}/v1{path}"
        try:
            async with self.http.request(method, url, json=body, headers=headers) as answer:
                text = await answer.read()
                received = now_ms()
        except aiohttp.ClientConnectorError:
            # What may be repeated may have been sent before, on a connection that broke then.
            return None if method in UNREPEATED else Reply(0, sent, now_ms(), {}, None)
        except (aiohttp.ClientError, TimeoutError):
            return Reply(0, sent, now_ms(), {}, None)
        return Reply(answer.status, sent, received, answer.headers, json.loads(text or b"null"))


class Browser:
    """One session as its user knows it."""

    def __init__(self, town: Town, max_idle_seconds: int) -> None:
        self._town = town
        self.story = Story(next(_stories), max_idle_seconds * 1000)
        self.ids: list[str] = []
        self.hint: Hint | None = None
        self._older_hint: Hint | None = None
        self.is_over = False
        self._names = itertools.count()

    async def create(self) -> bool:
        """Whether there is a session now; several tries are one call."""
        town, worker = self._town, self._town.any_worker()
        asked = Asked(Kind.CREATE, 0, worker, worker.life)
        headers = {"Idempotency-Key": secrets.token_urlsafe(12)}
        body = {"maxIdleSeconds": self.story.max_idle_ms // 1000}
        first = now_ms()
        for _ in range(TRIES_MAX):
            reply = await town.ask(worker, "POST", "/sessions", body, headers)
            if reply is not None and reply.status == 201:
                self.ids.append(reply.body["id"])
                call = self._call(asked, reply)
                self.story.calls.append(structs.replace(call, sent=first))
                return True
            if worker.life != asked.life:
                return False
            await self._rest()
        return False

    async def step(
        self,
        kind: Kind,
        *,
        place: int | None = None,
        worker: Worker | None = None,
        with_hint: bool = True,
        is_final: bool = False,
    ) -> Call | None:
        """One call, and the tries it takes to know its outcome, where the API makes that safe."""
        where = len(self.ids) - 1 if place is None else place
        name = self._name(kind)
        is_repeated = kind in {Kind.INCREMENT, Kind.RENEW, Kind.END}
        call = None
        for _ in range(TRIES_MAX if is_repeated else 1):
            target = worker or self._town.any_worker()
            hint = self._hint_for(kind, where) if with_hint else None
            if kind is Kind.GUARDED and hint is None:
                return None
            asked = Asked(kind, where, target, target.life, name, hint, is_final)
            call = await self._once(asked)
            is_known = call is not None and not call.is_open and call.status != 503
            if is_known and not self._is_doubled(kind):
                break
            if is_repeated:
                await self._rest()
        return call

    async def adopt(self, place: int | None) -> None:
        """Get or create with the id at `place`, or with one that nobody was given."""
        session_id = secrets.token_urlsafe(24) if place is None else self.ids[place]
        worker = self._town.any_worker()
        asked = Asked(Kind.ADOPT, place or 0, worker, worker.life, planted=session_id)
        headers = {"Moorline-Session": session_id}
        reply = await self._town.ask(worker, "POST", "/session", {}, headers)
        if reply is not None:
            self.story.calls.append(self._call(asked, reply))

    def _is_doubled(self, kind: Kind) -> bool:
        return kind is Kind.INCREMENT and self._town.chance.random() < DOUBLED

    def _hint_for(self, kind: Kind, place: int) -> Hint | None:
        """A hint belongs to the id that it came with; a form may be an old one."""
        is_old = kind is Kind.GUARDED and self._town.chance.random() < OLD
        hint = self._older_hint if is_old else self.hint
        return hint if hint is not None and hint.place == place else None

    async def _rest(self) -> None:
        await asyncio.sleep(self._town.chance.uniform(*TIRED_SECONDS))

    def _name(self, kind: Kind) -> str:
        if kind is Kind.RENEW:
            return secrets.token_urlsafe(24)
        is_change = kind in {Kind.CHANGE, Kind.INCREMENT, Kind.GUARDED}
        return f"{kind.value}-{self.story.number}-{next(self._names)}" if is_change else ""

    async def _once(self, asked: Asked) -> Call | None:
        method, rest = METHODS[asked.kind]
        path = f"/sessions/{self.ids[asked.place]}{rest}"
        body = _body(asked.kind, asked.name)
        reply = await self._town.ask(asked.worker, method, path, body, self._headers(asked))
        if reply is None:
            return None
        if asked.kind is Kind.RENEW and reply.status == 200 and len(self.ids) == asked.place + 1:
            self.ids.append(asked.name)
        call = self._call(asked, reply)
        self.story.calls.append(call)
        self._learn(call, reply)
        return call

    def _headers(self, asked: Asked) -> dict[str, str]:
        hint = asked.hint
        headers = {"Moorline-Hint": f"{hint.version}.{hint.worker}"} if hint else {}
        if asked.kind is Kind.INCREMENT:
            headers["Idempotency-Key"] = asked.name
        if asked.kind is Kind.GUARDED and hint is not None:
            headers["If-Match"] = hint.tag
        if asked.kind is Kind.CHANGE and self._town.chance.random() < SHOWN:
            headers["Prefer"] = "return=representation"
        return headers

    def _learn(self, call: Call, reply: Reply) -> None:
        is_ending = call.kind is Kind.END and call.is_done
        place = call.place + (call.kind is Kind.RENEW)
        if is_ending or (call.status == 410 and call.place == len(self.ids) - 1):
            self.is_over = True
        elif call.version and call.is_done and not call.is_renewed and place == len(self.ids) - 1:
            tag = reply.headers.get("ETag", "")
            worker = reply.headers["Moorline-Hint"].partition(".")[2]
            if tag:
                self.hint, self._older_hint = Hint(place, call.version, worker, tag), self.hint

    def _call(self, asked: Asked, reply: Reply) -> Call:
        headers, body, hint = reply.headers, reply.body or {}, asked.hint
        if reply.status == 503 or "Moorline-Degraded" in headers:
            self._town.note_outage(asked.worker.name, reply.sent, reply.received)
        version = headers.get("Moorline-Hint", "0").partition(".")[0]
        if reply.status == 412 and "current" in body:
            version = body["current"]["version"]
        return Call(
            kind=asked.kind,
            place=asked.place,
            worker=asked.worker.name,
            life=asked.life,
            sent=reply.sent,
            received=reply.received,
            status=reply.status,
            name=asked.name,
            guard=hint.version if hint and asked.kind is Kind.GUARDED else 0,
            carried=hint.version if hint else 0,
            carried_worker=hint.worker if hint else "",
            version=int(version),
            source=headers.get("Moorline-Cache", ""),
            reason=body.get("reason", ""),
            seen=self._seen(body, asked) if "attributes" in body else None,
            is_degraded="Moorline-Degraded" in headers,
            is_renewed="Moorline-Renewed" in headers,
            is_unsaved="Moorline-Unsaved" in headers,
            is_final=asked.is_final,
            tells_when="Retry-After" in headers,
        )

    def _seen(self, body: Mapping[str, Any], asked: Asked) -> Seen:
        attributes = dict(body["attributes"])
        count = attributes.pop(COUNTER, 0)
        place = self.ids.index(body["id"]) if body["id"] in self.ids else -1
        if body["id"] == asked.planted:
            place = asked.place
        return Seen(frozenset(attributes), count, body["principal"], place)


def _body(kind: Kind, name: str) -> dict[str, object] | None:
    match kind:
        case Kind.CHANGE | Kind.GUARDED:
            return {"set": {name: 1}}
        case Kind.INCREMENT:
            return {"set": {name: 1}, "increment": {COUNTER: 1}}
        case Kind.RENEW:
            return {"id": name, "principal": "ada", "set": {name: 1}}
        case _:
            return None


Listener = Callable[[Browser], None]
