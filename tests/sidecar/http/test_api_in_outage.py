"""The API while the store is away, where more than one call to the sessions makes an answer."""

import pytest
from moorline_api import OnOutage
from moorline_sidecar.domain.cookies import CookiePolicy, Cookies
from moorline_sidecar.domain.ids import new_id
from moorline_sidecar.errors import StoreRefused
from moorline_sidecar.http.api import Api
from moorline_sidecar.http.by_cookie import ByCookie
from moorline_sidecar.http.gate import Gate
from moorline_sidecar.http.messages import Request, Response
from moorline_sidecar.sessions.service import Sessions

from tests.sidecar.sessions.faults import Operation
from tests.sidecar.sessions.workers import VIRTUAL_TIME, cluster, cut

pytestmark = VIRTUAL_TIME


async def refused(_operation: Operation) -> None:
    raise StoreRefused


async def call(sessions: Sessions, method: str, path: str, cookie: str = "") -> Response:
    api = Api(sessions, ByCookie(sessions, Cookies(CookiePolicy())), Gate())
    fields = {b"cookie": cookie.encode()} if cookie else {}
    answer = api.handle(Request(method.encode(), path.encode(), b"", fields))
    return answer if isinstance(answer, Response) else await answer


@pytest.mark.parametrize(
    ("on_outage", "name", "status"),
    [
        (OnOutage.BUFFER, "absent", 404),
        (OnOutage.BUFFER, "user", 204),
        (OnOutage.REFUSE, "absent", 503),
        (OnOutage.REFUSE, "user", 503),
    ],
)
async def test_the_copy_says_what_can_be_deleted_where_changes_are_kept(
    on_outage: OnOutage, name: str, status: int
) -> None:
    async with cluster(on_outage=on_outage) as two:
        a, _ = two.workers
        session_id = await a.new(user="ada")
        await cut(a)
        target = f"/v1/sessions/{session_id}/attributes/{name}"
        assert (await call(a, "DELETE", target)).status == status


@pytest.mark.parametrize("is_known", [True, False], ids=["known outage", "found by this request"])
@pytest.mark.parametrize("is_last", [True, False], ids=["last", "first"])
async def test_of_several_cookies_the_one_that_can_be_found_is_served(
    *, is_known: bool, is_last: bool
) -> None:
    async with cluster() as two:
        a, _ = two.workers
        ids = [await a.new(user="ada"), new_id()]
        if is_known:
            await cut(a)
        a.link.is_cut = True
        cookie = "; ".join(f"SESSION={each}" for each in (ids[::-1] if is_last else ids))
        for method, status in {"GET": 200, "POST": 200, "DELETE": 503}.items():
            assert (await call(a, method, "/v1/session", cookie)).status == status
        assert (await call(a, "GET", "/v1/session", cookie)).body.count(ids[0].encode()) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_of_several_cookies_none_is_taken_for_dead_that_cannot_be_looked_up(
    method: str,
) -> None:
    async with cluster() as two:
        a, _ = two.workers
        dead = await a.new()
        await a.delete(dead)
        a.link.is_cut = True
        cookie = f"SESSION={new_id()}; SESSION={dead}"
        assert (await call(a, method, "/v1/session", cookie)).status == 503


async def test_of_several_cookies_none_is_preferred_while_the_store_is_in_reach() -> None:
    async with cluster() as two:
        a, b = two.workers
        cookie = f"SESSION={await a.new()}; SESSION={await b.new()}"
        a.link.plan("load", refused)
        assert (await call(a, "GET", "/v1/session", cookie)).status == 503
