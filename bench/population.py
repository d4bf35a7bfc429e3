"""Sessions drawn at random: ids, attributes and sizes, the same again for the same seed."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec
from moorline_sidecar.domain.ids import hashed_key
from moorline_sidecar.domain.session import Session
from moorline_sidecar.stores.mongodb_documents import session_document
from msgspec import Struct, structs
from pymongo import MongoClient

DATABASE: Final = "sessions"
IDLE_MS: Final = 30 * 60 * 1000
BATCH: Final = 2_000

MEAN_BYTES: Final = 1_024
"""Of the JSON that a reader gets."""

SPREAD_BYTES: Final = 128
FRAME_BYTES: Final = 320
"""Of these, what is not attributes, about."""

WORDS: Final = ("tea", "cup", "saucer", "kettle", "spoon", "honey", "lemon", "ginger", "mint")


class Member(Struct, frozen=True):
    """A session that was drawn: what a client knows of it, and how old its stored access is."""

    id: str
    attributes: dict[str, Any]
    age_ms: int = 0


def drawn_id(chance: random.Random) -> str:
    return base64.urlsafe_b64encode(chance.randbytes(24)).decode()


def drawn_attributes(chance: random.Random, size: int) -> dict[str, Any]:
    """Attributes of a shop's user, of so many bytes of JSON."""
    attributes: dict[str, Any] = {
        "user": f"user-{chance.randrange(10**6):06d}",
        "roles": chance.sample(["buyer", "seller", "editor", "auditor"], 2),
        "visits": chance.randrange(1, 500),
        "isMember": chance.choice([True, False]),
        "csrf": chance.randbytes(16).hex(),
    }
    cart: list[dict[str, Any]] = []
    attributes["cart"] = cart
    length = len(msgspec.json.encode(attributes))
    while length < size - 60:
        sku = f"{chance.choice(WORDS)}-{chance.randrange(10**4)}"
        item = {"sku": sku, "count": chance.randrange(1, 9), "cents": chance.randrange(9999)}
        length += len(msgspec.json.encode(item)) + (len(",") if cart else 0)
        cart.append(item)
    missing = size - len(msgspec.json.encode({**attributes, "note": ""}))
    attributes["note"] = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz ", k=max(missing, 0)))
    return attributes


def members(count: int, chance: random.Random) -> Iterator[Member]:
    """Sessions of about 1 KB."""
    for _ in range(count):
        size = MEAN_BYTES - FRAME_BYTES + chance.randrange(-SPREAD_BYTES, SPREAD_BYTES + 1)
        yield Member(drawn_id(chance), drawn_attributes(chance, size))


def aged(most_ms: int) -> Callable[[Member, random.Random], Member]:
    """Draws when a session was accessed last: at any time of the last `most_ms`."""
    return lambda member, chance: structs.replace(member, age_ms=chance.randrange(most_ms))


def document(member: Member, worker: str, now_ms: int) -> dict[str, Any]:
    """As a worker of this name would have stored it."""
    then_ms = now_ms - member.age_ms
    return session_document(
        Session(
            key=hashed_key(member.id),
            version=1,
            created=then_ms,
            accessed=then_ms,
            last_accessed=then_ms,
            expiry=then_ms + IDLE_MS,
            max_idle_ms=IDLE_MS,
            last_node=worker,
            last_saved=then_ms,
            cookie_set=then_ms,
            write_id="",
            contexts={"/": member.attributes},
        )
    )


def store_all(uri: str, collection: str, population: Iterable[Member], worker: str) -> int:
    """Insert them; how many there were."""
    stored = 0
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        target = client[DATABASE][collection]
        waiting = iter(population)
        while batch := list(islice(waiting, BATCH)):
            now_ms = int(time.time() * 1000)
            target.insert_many([document(m, worker, now_ms) for m in batch], ordered=False)
            stored += len(batch)
    return stored
