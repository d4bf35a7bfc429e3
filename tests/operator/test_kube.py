"""The API server as the operator sees it, against a real one."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypedDict

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from moorline_operator import naming
from moorline_operator.errors import (
    AlreadyExists,
    Conflict,
    Expired,
    Invalid,
    KubeError,
    NotFound,
    Unavailable,
)
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import CONFIG_MAPS, SECRETS
from moorline_operator.kube.reflector import LONGEST_PAUSE_SECONDS, Reflector
from moorline_operator.kube.refusals import refusal

from tests.operator.control_plane import ControlPlane


def a_config_map(namespace: str, name: str = "one", **data: str) -> KubeObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"moorline-test": "yes"}},
        "data": data,
    }


async def test_what_was_created_can_be_read_replaced_and_deleted(
    kube: Kube, namespace: str
) -> None:
    created = await kube.create(CONFIG_MAPS, a_config_map(namespace, a="1"))
    found = await kube.get(CONFIG_MAPS, namespace, "one")
    assert found["data"] == {"a": "1"}
    replaced = await kube.replace(CONFIG_MAPS, {**found, "data": {"a": "2"}})
    assert replaced["data"] == {"a": "2"}
    uid = created["metadata"]["uid"]
    await kube.delete(CONFIG_MAPS, namespace, "one", uid=uid)
    with pytest.raises(NotFound):
        await kube.get(CONFIG_MAPS, namespace, "one")


async def test_each_refusal_is_an_error_of_its_own(kube: Kube, namespace: str) -> None:
    created = await kube.create(CONFIG_MAPS, a_config_map(namespace))
    with pytest.raises(AlreadyExists):
        await kube.create(CONFIG_MAPS, a_config_map(namespace))
    await kube.replace(CONFIG_MAPS, {**created, "data": {"a": "1"}})
    with pytest.raises(Conflict):
        await kube.replace(CONFIG_MAPS, {**created, "data": {"a": "2"}})
    with pytest.raises(Conflict):
        await kube.delete(CONFIG_MAPS, namespace, "one", uid="00000000-another")
    version = created["metadata"]["resourceVersion"]
    with pytest.raises(Conflict):
        await kube.delete(CONFIG_MAPS, namespace, "one", resource_version=version)
    with pytest.raises(Invalid):
        await kube.create(CONFIG_MAPS, a_config_map(namespace, "Not A Name"))
    with pytest.raises(NotFound):
        await kube.delete(CONFIG_MAPS, namespace, "nobody")
    with pytest.raises(Invalid) as caught:
        await kube.json_patch(
            CONFIG_MAPS,
            namespace,
            "one",
            [{"op": "test", "path": "/metadata/uid", "value": "another"}],
        )
    assert "one" in caught.value.action


async def test_applying_the_same_twice_writes_once_and_takes_over_what_others_changed(
    kube: Kube, namespace: str
) -> None:
    wanted = a_config_map(namespace, a="1")
    first = await kube.apply(CONFIG_MAPS, wanted)
    again = await kube.apply(CONFIG_MAPS, wanted)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    await kube.replace(CONFIG_MAPS, {**again, "data": {"a": "by hand", "b": "theirs"}})
    repaired = await kube.apply(CONFIG_MAPS, wanted)
    assert repaired["data"] == {"a": "1", "b": "theirs"}
    managers = {entry["manager"] for entry in repaired["metadata"]["managedFields"]}
    assert naming.FIELD_MANAGER in managers


async def test_every_character_can_be_applied(kube: Kube, namespace: str) -> None:
    # Of what JSON escapes and YAML does not, and the other way round.
    text = '\U0001f600 é \x7f \x85 \u2028 \ufeff \ufffe \\ud83d " \n \t'
    applied = await kube.apply(CONFIG_MAPS, a_config_map(namespace, a=text))
    assert applied["data"] == {"a": text}


class Named(TypedDict):
    name: str


class Shape(TypedDict):
    metadata: Named


async def test_of_what_is_listed_and_watched_only_the_shape_is_kept(
    kube: Kube, namespace: str
) -> None:
    await kube.create(CONFIG_MAPS, a_config_map(namespace, "early", a="1"))
    page = await anext(kube.pages(CONFIG_MAPS, namespace, labels="moorline-test", shape=Shape))
    version = page["metadata"]["resourceVersion"]
    await kube.create(CONFIG_MAPS, a_config_map(namespace, "late", a="1"))
    # Only these: a controller makes a ConfigMap in every namespace, sooner or later.
    watch = kube.watch(CONFIG_MAPS, namespace, labels="moorline-test", since=version, shape=Shape)
    assert isinstance(watch, AsyncGenerator)
    async with aclosing(watch):
        event = await anext(watch)

    assert page["items"] == [{"metadata": {"name": "early"}}]
    assert event == {"type": "ADDED", "object": {"metadata": {"name": "late"}}}


async def test_long_lists_come_in_pages(kube: Kube, namespace: str) -> None:
    for number in range(5):
        await kube.create(CONFIG_MAPS, a_config_map(namespace, f"n{number}"))
    pages = [
        [item["metadata"]["name"] for item in page["items"]]
        async for page in kube.pages(CONFIG_MAPS, namespace, labels="moorline-test", limit=2)
    ]
    assert pages == [["n0", "n1"], ["n2", "n3"], ["n4"]]
    named = [
        item["metadata"]["name"]
        async for page in kube.pages(CONFIG_MAPS, namespace, fields="metadata.name=n3")
        for item in page["items"]
    ]
    assert named == ["n3"]


async def test_a_watch_from_a_forgotten_past_has_to_begin_anew() -> None:
    told = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}

    async def forget(_request: web.Request) -> web.Response:
        return web.Response(text=f"{json.dumps(told)}\n")

    application = web.Application()
    application.router.add_get("/api/v1/secrets", forget)
    async with TestServer(application) as server:
        configuration = Configuration(host=str(server.make_url("")).rstrip("/"))
        async with ApiClient(configuration) as client:
            events = Kube(client).watch(SECRETS, since="1")
            with pytest.raises(Expired, match="too old"):
                await anext(aiter(events))


async def test_a_guard_stops_writes_and_lets_reads_pass(kube: Kube, namespace: str) -> None:
    def refuse() -> None:
        raise KubeError("write", "not leading")

    guarded = kube.guarded(refuse)
    with pytest.raises(KubeError, match="not leading"):
        await guarded.create(CONFIG_MAPS, a_config_map(namespace))
    with pytest.raises(NotFound):
        await guarded.get(CONFIG_MAPS, namespace, "one")


class Seen:
    """A sink that keeps names."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.lists = 0

    def changed(self, obj: KubeObject) -> None:
        self.names[obj["metadata"]["uid"]] = obj["metadata"]["name"]

    def removed(self, obj: KubeObject) -> None:
        del self.names[obj["metadata"]["uid"]]

    def listed(self, namespace: str, uids: frozenset[str]) -> None:
        assert namespace
        self.lists += 1
        self.names = {uid: name for uid, name in self.names.items() if uid in uids}

    async def until(self, *names: str) -> None:
        # After its longest pause, where the API server took its time to come back.
        async with asyncio.timeout(2 * LONGEST_PAUSE_SECONDS):
            while sorted(self.names.values()) != sorted(names):  # noqa: ASYNC110 - it is a sink
                await asyncio.sleep(0.01)


def watching(kube: Kube, namespace: str, seen: Seen) -> Reflector:
    return Reflector(kube, CONFIG_MAPS, seen, namespace=namespace, labels="moorline-test")


async def test_a_reflector_shows_what_is_there_and_then_each_change(
    kube: Kube, namespace: str
) -> None:
    await kube.create(CONFIG_MAPS, a_config_map(namespace, "early"))
    seen = Seen()
    reflector = watching(kube, namespace, seen)
    running = asyncio.create_task(reflector.run())
    async with asyncio.timeout(30):
        await reflector.synced()
    assert list(seen.names.values()) == ["early"]
    await kube.create(CONFIG_MAPS, a_config_map(namespace, "late"))
    await seen.until("early", "late")
    await kube.delete(CONFIG_MAPS, namespace, "early")
    await seen.until("late")
    assert seen.lists == 1
    running.cancel()


async def test_a_reflector_outlives_the_api_server(
    control_plane: ControlPlane, kube: Kube, namespace: str
) -> None:
    await kube.create(CONFIG_MAPS, a_config_map(namespace, "early"))
    seen = Seen()
    reflector = watching(kube, namespace, seen)
    running = asyncio.create_task(reflector.run())
    await seen.until("early")
    await asyncio.to_thread(control_plane.stop_api_server)
    with pytest.raises(Unavailable):
        await kube.get(CONFIG_MAPS, namespace, "early")
    await asyncio.to_thread(control_plane.start_api_server)
    await kube.create(CONFIG_MAPS, a_config_map(namespace, "late"))
    await seen.until("early", "late")
    running.cancel()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(409, b'{"reason":"AlreadyExists"}', AlreadyExists, id="already-exists"),
        pytest.param(409, b"{}", Conflict, id="conflict"),
        pytest.param(429, b"busy", Unavailable, id="too-many"),
        pytest.param(502, b"<html>", Unavailable, id="no-json"),
        pytest.param(500, b"[1]", Unavailable, id="no-object"),
        pytest.param(410, b'{"object":{"message":"too old"}}', Expired, id="event"),
    ],
)
def test_statuses_become_errors(status: int, body: bytes, expected: type[Any]) -> None:
    assert type(refusal("GET /x", status, body)) is expected
