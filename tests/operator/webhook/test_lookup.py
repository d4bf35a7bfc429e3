"""Waiting for a SessionCluster, in virtual time."""

import asyncio

import pytest
from moorline_operator.cluster import Cluster
from moorline_operator.errors import Forbidden, Unavailable
from moorline_operator.webhook.lookup import LOOK_SECONDS, Lookup

from tests.operator.injection.samples import a_cluster

pytestmark = pytest.mark.looptime

WAIT = 3.0


class Source:
    """Has the cluster from `appears` on, by the loop's clock; tells of errors before."""

    def __init__(self, appears: float, error: Exception | None = None) -> None:
        self._appears = appears
        self._error = error
        self.looks = 0

    def known(self, namespace: str, name: str) -> Cluster | None:
        assert (namespace, name) == ("web", "shop")
        return None

    async def look_up(self, namespace: str, name: str) -> Cluster | None:
        assert (namespace, name) == ("web", "shop")
        self.looks += 1
        await asyncio.sleep(0.01)
        if asyncio.get_running_loop().time() >= self._appears:
            return a_cluster()
        if self._error is not None:
            raise self._error
        return None


async def test_one_that_appears_in_time_is_found_soon() -> None:
    found = await Lookup(Source(appears=2.0), WAIT).find("web", "shop")
    assert found is not None
    assert asyncio.get_running_loop().time() < 2.0 + 2 * LOOK_SECONDS


async def test_one_that_does_not_is_given_up() -> None:
    assert await Lookup(Source(appears=60.0), WAIT).find("web", "shop") is None
    assert asyncio.get_running_loop().time() == pytest.approx(WAIT, abs=0.1)


async def test_many_pods_ask_as_often_as_one() -> None:
    source = Source(appears=2.0)
    lookup = Lookup(source, WAIT)
    found = await asyncio.gather(*(lookup.find("web", "shop") for _ in range(200)))
    assert all(found)
    assert source.looks <= 2.0 / LOOK_SECONDS + 2


async def test_a_later_pod_does_not_see_what_an_earlier_one_saw() -> None:
    source = Source(appears=60.0)
    lookup = Lookup(source, 0.1)
    assert await lookup.find("web", "shop") is None
    looks = source.looks
    assert await lookup.find("web", "shop") is None
    assert source.looks > looks


async def test_an_api_server_that_is_away_for_a_moment_is_asked_again() -> None:
    source = Source(appears=1.0, error=Unavailable("get", "away"))
    assert await Lookup(source, WAIT).find("web", "shop") is not None


async def test_one_that_does_not_let_us_look_is_an_error() -> None:
    source = Source(appears=1.0, error=Forbidden("get", "no"))
    with pytest.raises(Forbidden):
        await Lookup(source, WAIT).find("web", "shop")
